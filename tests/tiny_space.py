"""A search space of 18 small convolutional networks with exact costs, for quick tests with real torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evonas.space import Gene, Genome, Metrics, SearchSpace

if TYPE_CHECKING:
    from torch import nn

WIDTHS, KERNELS, DEPTHS = (2, 4, 8), (1, 3, 5), (1, 2)


@dataclass(frozen=True)
class TinySpace(SearchSpace):
    """Convolutions with batch norm and ReLU, the first with stride 2, pooled to 2 x 2 and classified."""

    input_shape: tuple[int, int, int] = (1, 8, 8)
    classes: int = 10

    genes = (Gene("width", WIDTHS), Gene("kernel", KERNELS), Gene("depth", DEPTHS))

    def build(self, genome: Genome) -> nn.Module:
        from torch import nn

        width, kernel, depth = self._options(genome)
        layers: list[nn.Module] = []
        channels = self.input_shape[0]
        for layer in range(depth):
            stride = 2 if layer == 0 else 1
            layers += [
                nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, self.classes))

    def costs(self, genome: Genome) -> Metrics:
        width, kernel, depth = self._options(genome)
        channels, height, image_width = self.input_shape
        pixels = ((height + 1) // 2) * ((image_width + 1) // 2)
        weights = kernel**2 * width * (channels + (depth - 1) * width)
        return {
            "params": float(weights + 2 * depth * width + (4 * width + 1) * self.classes),
            "macs": float(weights * pixels + 4 * width * self.classes),
        }

    def _options(self, genome: Genome) -> tuple[int, int, int]:
        width, kernel, depth = self.validate(genome)
        return WIDTHS[width], KERNELS[kernel], DEPTHS[depth]
