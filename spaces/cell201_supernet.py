"""The supernet of the NAS-Bench-201 cell space."""

from __future__ import annotations

import re
from collections.abc import Callable

from evonas.space import Genome
from evonas.spaces.cell201 import EDGES, OPERATIONS, Cell201
from evonas.spaces.operation_supernet import OperationSupernet, Share


class Cell201Supernet(OperationSupernet):
    """The cells of NAS-Bench-201 on shared weights: an edge of a cell has a set of them for each of its convolutions.

    As in the one-shot searches that the benchmark compares (Dong & Yang, ICLR 2020), all share stem, residual blocks
    and head. Deviation: batch norms learn a weight and a bias, as they do in networks that are trained alone.
    """

    def __init__(self, space: Cell201) -> None:
        super().__init__(space, [(OPERATIONS.index(name),) * len(EDGES) for name in ("conv_1x1", "conv_3x3")])

    def shares(self, genome: Genome) -> Callable[[str], Share]:
        """Put the operation after its edge: `body.0.operations.edge_0_1.conv_3x3.1.weight`."""
        chosen = {f"edge_{a}_{b}": OPERATIONS[index] for (a, b), index in zip(EDGES, genome, strict=True)}
        return lambda path: Share(re.sub(r"edge_\d_\d", lambda edge: f"{edge[0]}.{chosen[edge[0]]}", path))
