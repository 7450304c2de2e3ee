"""The networks of the NAS-Bench-101 cell space, as torch modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evonas.spaces.cell101 import KERNELS, vertex_channels
from evonas.spaces.cell101_graph import Graph


class Cell101Network(nn.Module):
    """The skeleton of NAS-Bench-101 (Ying et al., ICML 2019) around one graph.

    Images (batch, input_channels, height, width) to logits (batch, classes). Stem, stacks of modules with a max pool
    between stacks, global average pool, linear.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        stem_channels: int,
        stacks: int,
        modules_per_stack: int,
        input_channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        channels = stem_channels
        self.stem = conv_bn_relu(input_channels, channels, 3)
        self.body = nn.Sequential()
        for stack in range(stacks):
            inputs = channels
            if stack > 0:
                self.body.append(nn.MaxPool2d(2, ceil_mode=True))
                channels *= 2
            for position in range(modules_per_stack):
                self.body.append(Cell(graph, channels if position else inputs, channels))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, classes)."""
        logits: Tensor = self.head(self.body(self.stem(images)))
        return logits


class Cell(nn.Module):
    """One module: a pruned graph from `inputs` to `outputs` channels."""

    def __init__(self, graph: Graph, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = graph.matrix
        self.channels = vertex_channels(graph.matrix, outputs)
        self.operations = nn.ModuleList(
            _operation(name, self.channels[vertex]) for vertex, name in enumerate(graph.operations, start=1)
        )
        self.projections = nn.ModuleDict(
            {
                str(target): conv_bn_relu(inputs, self.channels[target], 1)
                for target, reads in enumerate(graph.matrix[0])
                if reads
            }
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return shape (batch, outputs, height, width)."""
        vertices, last = [images], len(self.matrix) - 1
        for target, operation in enumerate(self.operations, start=1):
            terms = [vertices[s][:, : self.channels[target]] for s in range(1, target) if self.matrix[s][target]]
            terms += self._projected(images, target)
            vertices.append(operation(sum(terms[1:], start=terms[0])))
        joined = [vertices[source] for source in range(1, last) if self.matrix[source][last]]
        terms = [torch.cat(joined, dim=1)] if joined else []
        terms += self._projected(images, last)
        return sum(terms[1:], start=terms[0])

    def _projected(self, images: Tensor, target: int) -> list[Tensor]:
        return [self.projections[str(target)](images)] if str(target) in self.projections else []


def conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return convolution without bias, batch norm, ReLU: the order of NAS-Bench-101."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _operation(name: str, channels: int) -> nn.Module:
    if name in KERNELS:
        return conv_bn_relu(channels, channels, KERNELS[name])
    return nn.MaxPool2d(3, stride=1, padding=1)
