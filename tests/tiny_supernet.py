"""The networks of `TinySpace` on shared weights: the first filters of a wide one, and the middles of its kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tiny_space import DEPTHS, KERNELS, WIDTHS, TinySpace
from torch import Tensor, nn

from evonas.space import Genome
from evonas.spaces.subnet import Subnet
from evonas.supernet import Supernet


class TinySupernet(nn.Module, Supernet):
    """Weights of a network 8 channels wide and 2 layers deep, with 5 x 5 kernels; each has a head for every width."""

    def __init__(self, space: TinySpace) -> None:
        super().__init__()
        self.space = space
        channels = space.input_shape[0]
        self.kernels = nn.ParameterList(torch.randn(8, c, 5, 5) / (25 * c) ** 0.5 for c in (channels, 8))
        self.scales = nn.ParameterList(torch.ones(8) for _ in DEPTHS)
        self.shifts = nn.ParameterList(torch.zeros(8) for _ in DEPTHS)
        self.head = nn.Parameter(torch.randn(space.classes, 8, 4) / 32**0.5)
        self.bias = nn.Parameter(torch.zeros(space.classes))

    def subnet(self, genome: Genome) -> nn.Module:
        width, depth = WIDTHS[genome[0]], DEPTHS[genome[2]]
        edge = (5 - KERNELS[genome[1]]) // 2
        middle = slice(edge, 5 - edge)
        takes: dict[str, Callable[[], Tensor]] = {}
        for layer in range(depth):
            takes[f"{3 * layer}.weight"] = lambda layer=layer: self._kernel(layer, width)[:, :, middle, middle]
            takes[f"{3 * layer + 1}.weight"] = lambda layer=layer: self.scales[layer][:width]
            takes[f"{3 * layer + 1}.bias"] = lambda layer=layer: self.shifts[layer][:width]
        takes[f"{3 * depth + 2}.weight"] = lambda: self.head[:, :width].flatten(1)
        takes[f"{3 * depth + 2}.bias"] = lambda: self.bias
        return Subnet(lambda: self.space.build(genome), takes, self.bias.device)

    def _kernel(self, layer: int, width: int) -> Tensor:
        return self.kernels[layer][:width, : width if layer else None]
