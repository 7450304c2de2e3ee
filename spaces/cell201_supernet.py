"""The supernet of the NAS-Bench-201 cell space."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import nn

from evonas.space import Genome
from evonas.spaces.cell201 import EDGES, OPERATIONS, Cell201
from evonas.spaces.operation_supernet import OperationSupernet, Share
from evonas.spaces.subnet import copied

_EDGES = [f"edge_{source}_{target}" for source, target in EDGES]


class Cell201Supernet(OperationSupernet):
    """The cells of NAS-Bench-201 on shared weights: an edge of a cell has a set of them for each of its convolutions.

    As in the one-shot searches that the benchmark compares (Dong & Yang, ICLR 2020), all share stem, residual blocks
    and head. Deviation: batch norms learn a weight and a bias, as they do in networks that are trained alone.
    """

    def __init__(self, space: Cell201) -> None:
        everywhere = [(option,) * len(EDGES) for option in range(len(OPERATIONS))]
        super().__init__(space, everywhere)
        with torch.device("meta"):
            networks = [space.build(genome) for genome in everywhere]
        self._modules_of = [dict(network.named_modules()) for network in networks]  # in a list: no part of this module

    def skeleton(self, genome: Genome) -> nn.Module:
        """Put the network together from copies of those with one operation everywhere: several times as quick."""
        network = copied(self._modules_of[OPERATIONS.index("none")][""])
        for path, operations in network.named_modules():
            if path.endswith(".operations"):
                for edge, option in zip(_EDGES, genome, strict=True):
                    if module := self._modules_of[option].get(f"{path}.{edge}"):
                        operations._modules[edge] = copied(module)
        return network

    def shares(self, genome: Genome) -> Callable[[str], Share]:
        """Put the operation after its edge: `body.0.operations.edge_0_1.conv_3x3.1.weight`."""
        chosen = {edge: OPERATIONS[option] for edge, option in zip(_EDGES, genome, strict=True)}
        return lambda path: Share(re.sub(r"edge_\d_\d", lambda edge: f"{edge[0]}.{chosen[edge[0]]}", path))
