"""The macro space of NAS-Bench-Macro: one choice a layer, identity or one of two inverted residual blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from evonas.errors import ConfigError
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces.sizes import image_shape, is_whole, whole_number

if TYPE_CHECKING:
    from torch import Tensor, nn

OPERATIONS = ("identity", "mb3_k3", "mb6_k5")
"""The options of every gene, in the order of the published table."""

BLOCKS = {"mb3_k3": (3, 3), "mb6_k5": (6, 5)}
"""(expansion, kernel) of the inverted residual blocks."""

_IDENTITY = 0


@dataclass(frozen=True, kw_only=True)
class Macro(SearchSpace):
    """The 6,561 networks of NAS-Bench-Macro (Su et al., CVPR 2021), in a skeleton of any size.

    A stem (convolution 3x3, batch norm, ReLU), stages of layers, a head (convolution 1x1, batch norm, ReLU, global
    average pool, linear). The first layer of a stage halves the image, rounding up, and doubles the channels: there an
    identity is a convolution 1x1 with stride 2 and batch norm. A block is a convolution 1x1 that expands, a depthwise
    convolution and a convolution 1x1 that projects, each with batch norm, ReLU after the first two; where shapes agree
    its input is added. The published skeleton is the default. Deviation: images of odd size work too.

    `input_shape` is (channels, height, width) in pixels. Raises ConfigError for what cannot be built.
    """

    stem_channels: int = 32
    layers_per_stage: tuple[int, ...] = (2, 3, 3)
    head_channels: int = 1280
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    genes: tuple[Gene, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("stem_channels", "head_channels", "classes"):
            whole_number(name, getattr(self, name), 1)
        layers = _tuple(self.layers_per_stage)
        if not layers or not all(is_whole(number, 1) for number in layers):
            raise ConfigError(
                f"'layers_per_stage' must be a list of numbers of layers, each 1 or more, not {self.layers_per_stage!r}"
            )
        object.__setattr__(self, "layers_per_stage", layers)
        object.__setattr__(self, "input_shape", image_shape(self.input_shape))
        object.__setattr__(self, "genes", tuple(Gene(f"layer_{n + 1}", OPERATIONS) for n in range(sum(layers))))

    def build(self, genome: Genome) -> nn.Module:
        """Return the network: float images (batch, *input_shape) to logits (batch, classes)."""
        from evonas.spaces.macro_network import MacroNetwork

        return MacroNetwork(
            [[OPERATIONS[index] for index in stage] for stage in self._stages(self.validate(genome))],
            stem_channels=self.stem_channels,
            head_channels=self.head_channels,
            input_channels=self.input_shape[0],
            classes=self.classes,
        )

    def costs(self, genome: Genome) -> Metrics:
        """Return trainable `params` and `macs` of one image: convolutions and the linear layer."""
        (params, macs), layers = self._prices
        for prices, index in zip(layers, genome, strict=True):
            params += prices[index][0]
            macs += prices[index][1]
        return {"params": float(params), "macs": float(macs)}

    def activations(self, genome: Genome) -> int:
        """Return the exact number of elements that autograd keeps of one image, see SearchSpace.

        A convolution keeps its input and its batch norm keeps the convolution's output; an identity without a
        convolution and a sum keep nothing.
        """
        fixed, layers = self._sizes
        return fixed + sum(sizes[index] for sizes, index in zip(layers, self.validate(genome), strict=True))

    def morph(
        self, parent: Genome, child: Genome, weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the state that a child starts from, see SearchSpace and `macro_morphism`."""
        from evonas.spaces.macro_morphism import morphed

        return morphed(parent, child, weights, fresh)

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome of the same network whose identities come as early as they can.

        An identity behind the first layer of its stage does nothing, wherever it stands: only the order of the stage's
        other blocks matters. Of the 6,561 genomes 3,969 = 9 * 21 * 21 networks remain. The published table agrees: its
        rows of one network have one accuracy, to the last digit.
        """
        stages = self._stages(self.validate(genome))
        return tuple(
            index
            for first, *others in stages
            for index in (first, *sorted(others, key=lambda operation: operation != _IDENTITY))
        )

    def _stages(self, genome: Genome) -> Iterator[Genome]:
        start = 0
        for layers in self.layers_per_stage:
            yield genome[start : start + layers]
            start += layers

    def _shapes(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield, for every layer, the channels and pixels that it is given, and those that it returns."""
        channels, (_, height, width) = self.stem_channels, self.input_shape
        for layers in self.layers_per_stage:
            pixels = height * width
            height, width = (height + 1) // 2, (width + 1) // 2
            yield channels, pixels, 2 * channels, height * width
            channels *= 2
            yield from [(channels, height * width, channels, height * width)] * (layers - 1)

    @cached_property
    def _prices(self) -> tuple[tuple[int, int], tuple[tuple[tuple[int, int], ...], ...]]:
        """(params, macs) of the skeleton, and of every operation in every layer."""
        image_channels, height, width = self.input_shape
        params = 9 * image_channels * self.stem_channels + 2 * self.stem_channels
        macs = 9 * image_channels * self.stem_channels * height * width
        layers = []
        for inputs, pixels, outputs, halved in self._shapes():
            identity = (inputs * outputs + 2 * outputs, inputs * outputs * halved) if inputs != outputs else (0, 0)
            blocks = []
            for expansion, kernel in BLOCKS.values():
                hidden = expansion * inputs
                weights = (inputs * hidden, kernel**2 * hidden, hidden * outputs)
                blocks.append(
                    (
                        sum(weights) + 4 * hidden + 2 * outputs,
                        weights[0] * pixels + (weights[1] + weights[2]) * halved,
                    )
                )
            layers.append((identity, *blocks))
        params += (outputs + 2) * self.head_channels + (self.head_channels + 1) * self.classes
        macs += outputs * self.head_channels * halved + self.head_channels * self.classes
        return (params, macs), tuple(layers)

    @cached_property
    def _sizes(self) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """Elements of one image that the skeleton keeps, and every operation in every layer, with what it returns."""
        image_channels, height, width = self.input_shape
        fixed = (image_channels + 2 * self.stem_channels) * height * width
        layers = []
        for inputs, pixels, outputs, halved in self._shapes():
            returned = outputs * halved
            identity = 2 * returned if inputs != outputs else 0
            blocks = [expansion * inputs * (2 * pixels + 2 * halved) + 2 * returned for expansion, _ in BLOCKS.values()]
            layers.append((identity, *blocks))
        return fixed + self.head_channels * (2 * halved + 1), tuple(layers)


def _tuple(value: object) -> tuple[int, ...]:
    try:
        return tuple(value)  # type: ignore[arg-type]
    except TypeError:
        return ()
