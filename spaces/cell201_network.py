"""The networks of the NAS-Bench-201 cell space, as torch modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from evonas.spaces.cell201 import EDGES


class Cell201Network(nn.Module):
    """The skeleton of NAS-Bench-201 (Dong & Yang, ICLR 2020) around cells that `cell(channels)` makes one by one.

    Images (batch, input_channels, height, width) to logits (batch, classes). Stem, stages of cells, a residual block
    between stages, batch norm, ReLU, global average pool, linear.
    """

    def __init__(
        self,
        cell: Callable[[int], nn.Module],
        *,
        stem_channels: int,
        cells_per_stage: int,
        stages: int,
        input_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        channels = stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(input_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.body = nn.Sequential()
        for stage in range(stages):
            if stage > 0:
                self.body.append(ReductionBlock(channels, 2 * channels))
                channels *= 2
            for _ in range(cells_per_stage):
                self.body.append(cell(channels))
        self.head = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, classes)."""
        logits: Tensor = self.head(self.body(self.stem(images)))
        return logits


class Cell(nn.Module):
    """Four nodes, each the sum of its incoming edges: `operations` are the names of the six edges' operations."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(
            {
                _edge_name(source, target): operation(name, channels)
                for (source, target), name in zip(EDGES, operations, strict=True)
                if name != "none"
            }
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the output node, of the shape of `images`; a node without edges is zero."""
        nodes = [images]
        for target in (1, 2, 3):
            edges = [(source, _edge_name(source, target)) for source in range(target)]
            terms = [self.operations[name](nodes[source]) for source, name in edges if name in self.operations]
            nodes.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(images))
        return nodes[3]


class ReductionBlock(nn.Module):
    """The residual block that halves the image, rounding up; its shortcut is an average pool and a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(relu_conv_bn(inputs, outputs, 3, stride=2), relu_conv_bn(outputs, outputs, 3))
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),  # the last odd row or column is averaged alone
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return shape (batch, outputs, ceil(height / 2), ceil(width / 2))."""
        halved: Tensor = self.residual(images) + self.shortcut(images)
        return halved


def operation(name: str, channels: int) -> nn.Module:
    """Return the module of an operation other than `none`; it keeps the shape (batch, channels, height, width)."""
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_bn(channels, channels, {"conv_1x1": 1, "conv_3x3": 3}[name])


def relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution without bias, batch norm: the order of NAS-Bench-201."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _edge_name(source: int, target: int) -> str:
    return f"edge_{source}_{target}"
