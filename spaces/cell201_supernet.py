"""The supernet of the NAS-Bench-201 cell space."""

from __future__ import annotations

import re

from evonas.space import Genome
from evonas.spaces.cell201 import EDGES, OPERATIONS, Cell201
from evonas.spaces.operation_supernet import OperationSupernet


class Cell201Supernet(OperationSupernet):
    """The cells of NAS-Bench-201 on shared weights: an edge of a cell has a set of them for each of its convolutions.

    As in the one-shot searches of the paper's comparison (Dong & Yang, ICLR 2020), stem, residual blocks and head are
    shared by all. Deviation: only the chosen operations are computed, and an edge's batch norms have a weight and a
    bias to learn.
    """

    def __init__(self, space: Cell201) -> None:
        super().__init__(space, [(OPERATIONS.index(name),) * len(EDGES) for name in ("conv_1x1", "conv_3x3")])

    def shared_name(self, genome: Genome, path: str) -> str:
        """Return the path with the operation after its edge: `body.0.operations.edge_0_1.conv_3x3.1.weight`."""
        return _EDGE.sub(lambda edge: f"{edge[0]}.{OPERATIONS[genome[_GENES[edge[0]]]]}", path)


_EDGE = re.compile(r"edge_\d_\d")
_GENES = {f"edge_{source}_{target}": gene for gene, (source, target) in enumerate(EDGES)}
