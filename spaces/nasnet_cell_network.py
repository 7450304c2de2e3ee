"""The networks of the NASNet cell space, as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.spaces.nasnet_cell_costs import AUXILIARY_CHANNELS, Layer, Skeleton


class CellGenes(NamedTuple):
    """A cell: (operation, source) twice for each block, and the states that it concatenates.

    States 0 and 1 are the outputs of the cell before the last and of the last cell, 2 and on are the blocks.
    """

    pairs: Sequence[tuple[str, int]]
    concatenated: Sequence[int]


class NASNetCellNetwork(nn.Module):
    """Images (batch, channels, height, width) to logits (batch, classes).

    With an auxiliary head it returns (logits, auxiliary logits) in training mode. `drop_path` is the probability that
    an operation of the last cell is dropped for an image in training mode; towards the first cell it falls linearly
    (scheduled drop-path: Zoph et al., "Learning Transferable Architectures", CVPR 2018; DARTS and what followed it drop
    alike in all cells). Who trains sets it.
    """

    drop_path: float

    def __init__(self, normal: CellGenes, reduction: CellGenes, skeleton: Skeleton) -> None:
        super().__init__()
        self.drop_path = 0.0
        channels = skeleton.stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(skeleton.input_shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.cells = nn.ModuleList()
        self.auxiliary: nn.Module | None = None
        self.auxiliary_reads = skeleton.reductions[1]
        inputs = channels, channels
        for number, layer in enumerate(skeleton.plan()):
            genes = reduction if layer.reduction else normal
            self.cells.append(Cell(genes, inputs, layer))
            inputs = inputs[1], layer.channels * len(genes.concatenated)
            if skeleton.auxiliary and number == self.auxiliary_reads:
                self.auxiliary = auxiliary_head(inputs[1], skeleton.classes)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs[1], skeleton.classes))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits or, in training mode with an auxiliary head, (logits, auxiliary logits)."""
        before = last = self.stem(images)
        auxiliary_logits: Tensor | None = None
        for number, cell in enumerate(self.cells):
            dropped = self.drop_path * (number + 1) / len(self.cells) if self.training else 0.0
            before, last = last, cell(before, last, dropped)
            if self.training and self.auxiliary is not None and number == self.auxiliary_reads:
                auxiliary_logits = self.auxiliary(last)
        logits: Tensor = self.head(last)
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)


class Cell(nn.Module):
    """Blocks, each the sum of two operations; both inputs are first brought to the cell's channels and size."""

    def __init__(self, genes: CellGenes, inputs: tuple[int, int], layer: Layer) -> None:
        super().__init__()
        self.sources = [source for _, source in genes.pairs]
        self.concatenated = list(genes.concatenated)
        reduce = factorized_reduction if layer.after_reduction else relu_conv_bn
        self.preprocess = nn.ModuleList([reduce(inputs[0], layer.channels), relu_conv_bn(inputs[1], layer.channels)])
        self.operations = nn.ModuleList(
            operation(name, layer.channels, stride=2 if layer.reduction and source < 2 else 1)
            for name, source in genes.pairs
        )

    def forward(self, before: Tensor, last: Tensor, dropped: float) -> Tensor:
        """Return the concatenated blocks; an operation is dropped for an image with probability `dropped`."""
        states = [preprocess(state) for preprocess, state in zip(self.preprocess, (before, last), strict=True)]
        terms: list[Tensor] = []
        for module, source in zip(self.operations, self.sources, strict=True):
            term = module(states[source])
            terms.append(term if isinstance(module, nn.Identity) else _drop_path(term, dropped))
            if len(terms) % 2 == 0:
                states.append(terms[-2] + terms[-1])
        return torch.cat([states[state] for state in self.concatenated], dim=1)


class FactorizedReduction(nn.Module):
    """Halves images, rounding up, and loses no pixel: two convolutions 1x1 of stride 2, one of them a pixel aside."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.straight = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.aside = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return shape (batch, outputs, ceil(height / 2), ceil(width / 2))."""
        shifted = functional.pad(images, (-1, 1, -1, 1))
        return torch.cat([self.straight(images), self.aside(shifted)], dim=1)


class Residual(nn.Module):
    """The sum of an image and what the branch makes of it."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, images: Tensor) -> Tensor:
        """Return the shape of `images`."""
        total: Tensor = images + self.branch(images)
        return total


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """Return the module of an operation that keeps the channels; images are divided by the stride, rounding up."""
    kind, _, kernel = name.rpartition("_")
    if kind == "max_pool":
        return nn.MaxPool2d(3, stride=stride, padding=1)
    if kind == "avg_pool":
        return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else factorized_reduction(channels, channels)
    if name == "conv_7x1_1x7":
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, 7), stride=(1, stride), padding=(0, 3), bias=False),
            nn.Conv2d(channels, channels, (7, 1), stride=(stride, 1), padding=(3, 0), bias=False),
            nn.BatchNorm2d(channels),
        )
    size = int(kernel[0])
    if kind == "dil_conv":
        return nn.Sequential(*_separable(channels, size, stride, dilation=2))
    if kind == "sep_conv":
        return nn.Sequential(*_separable(channels, size, stride), *_separable(channels, size, 1))
    branch = nn.Sequential(
        *relu_conv_bn(channels, channels),
        nn.ReLU(),
        _depthwise(channels, size, stride),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
    return Residual(branch) if stride == 1 else branch


def relu_conv_bn(inputs: int, outputs: int) -> nn.Sequential:
    """Return ReLU, convolution 1x1 without bias, batch norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def factorized_reduction(inputs: int, outputs: int) -> nn.Sequential:
    """Return ReLU, factorized reduction, batch norm."""
    return nn.Sequential(nn.ReLU(), FactorizedReduction(inputs, outputs), nn.BatchNorm2d(outputs))


def auxiliary_head(inputs: int, classes: int) -> nn.Sequential:
    """Return the head of DARTS and its successors; its pool to 2 x 2 pixels adapts to images of any size."""
    first, second = AUXILIARY_CHANNELS
    return nn.Sequential(
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(inputs, first, 1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.Conv2d(first, second, 2, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second, classes),
    )


def _separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    return [
        nn.ReLU(),
        _depthwise(channels, kernel, stride, dilation),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


def _depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(
        channels, channels, kernel, stride=stride, padding=padding, dilation=dilation, groups=channels, bias=False
    )


def _drop_path(term: Tensor, probability: float) -> Tensor:
    """Zero the term of an image with this probability, and scale up those that stay."""
    if probability == 0:
        return term
    kept = torch.empty(len(term), 1, 1, 1, dtype=term.dtype, device=term.device).bernoulli_(1 - probability)
    return term * kept / (1 - probability)
