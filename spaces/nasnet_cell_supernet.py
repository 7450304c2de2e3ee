"""The supernet of the NASNet cell space."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from evonas.space import Genome
from evonas.spaces.nasnet_cell import OPERATIONS, NASNetCell
from evonas.spaces.nasnet_cell_costs import Skeleton
from evonas.spaces.operation_supernet import OperationSupernet, Share


class NASNetCellSupernet(OperationSupernet):
    """The search networks of NSGA-Net's and EEEA-Net's cells on shared weights.

    Each half of a block in each cell has a set of weights for each operation, whatever state it reads and whether it
    halves the image. What reads a cell reads some of its blocks, side by side: the convolution, or the linear layer,
    has weights for all blocks, and a network takes those of its own.
    """

    def __init__(self, space: NASNetCell) -> None:
        everywhere = [(operation, 0) * 4 * space.blocks for operation in range(len(OPERATIONS[space.operations]))]
        super().__init__(space, everywhere)  # no block reads another, so that all are concatenated

    def shares(self, genome: Genome) -> Callable[[str], Share]:
        """Put the operation after its place: `cells.0.operations.3.sep_conv_3x3.1.weight`."""
        space: NASNetCell = self.space  # type: ignore[assignment]
        both = space.cells(genome)
        cells = [both[layer.reduction] for layer in space.skeleton.plan()]

        def share(path: str) -> Share:
            if place := _OPERATION.match(path):
                name, _ = cells[int(place[1])].pairs[int(place[2])]
                return Share(f"{place[0]}{name}.{path[place.end() :].removeprefix('branch.')}")
            read = _cell_read(path, space.skeleton)
            if read is None or len(cells[read].concatenated) == space.blocks:
                return Share(path)
            return Share(path, _inputs([state - 2 for state in cells[read].concatenated], space.blocks))

        return share


_OPERATION = re.compile(r"cells\.(\d+)\.operations\.(\d+)\.")
_PREPROCESS = re.compile(r"cells\.(\d+)\.preprocess\.(\d)\.1\.")


def _cell_read(path: str, skeleton: Skeleton) -> int | None:
    """Return the number of the cell whose blocks are the inputs of the weight at `path`; None for other weights."""
    if preprocess := _PREPROCESS.match(path):
        cell = int(preprocess[1]) - 2 + int(preprocess[2])
        return cell if cell >= 0 else None  # the stem
    return {"head.2.weight": skeleton.layers - 1, "auxiliary.2.weight": skeleton.reductions[1]}.get(path)


def _inputs(blocks: list[int], of: int) -> Callable[[Tensor], Tensor]:
    def part(weight: Tensor) -> Tensor:
        by_block = weight.chunk(of, dim=1)
        return torch.cat([by_block[block] for block in blocks], dim=1)

    return part
