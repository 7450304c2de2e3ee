"""The supernet of the NASNet cells."""

from __future__ import annotations

import torch
from one_thread import one_thread  # noqa: F401
from supernet_contract import SupernetContract, loss
from torch import nn

from evonas.space import Genome
from evonas.spaces.nasnet_cell import OPERATIONS, NASNetCell
from evonas.spaces.nasnet_cell_supernet import NASNetCellSupernet

TINY = NASNetCell(blocks=2, channels=2, layers=3, input_shape=(1, 8, 7), classes=5)
SKIP = OPERATIONS["eeea"].index("skip_connect")


def _operations(c: int, *, reduces: bool) -> int:
    """The weights of all ten operations of EEEA-Net on `c` channels, counted by hand."""
    separable = sum(2 * (taps * c + c * c + 2 * c) for taps in (9, 25))
    dilated = sum(taps * c + c * c + 2 * c for taps in (9, 25))
    inverted = sum((c * c + 2 * c) + (taps * c + 2 * c) + (c * c + 2 * c) for taps in (9, 25))
    return separable + dilated + (7 * c * c + 7 * c * c + 2 * c) + inverted + (c * c + 2 * c if reduces else 0)


class TestNASNetCellSupernet(SupernetContract):
    space = TINY
    weights = (
        (9 * 6 + 2 * 6)  # the stem has 3 x 2 channels
        + (6 * 2 + 2 * 2) + (6 * 2 + 2 * 2) + 4 * _operations(2, reduces=False)
        + (6 * 4 + 2 * 4) + (2 * 2 * 4 + 2 * 4) + 4 * _operations(4, reduces=True)  # reads the stem and two blocks of 2
        + (2 * 2 * 8 + 2 * 8) + (2 * 4 * 8 + 2 * 8) + 4 * _operations(8, reduces=True)
        + (2 * 8 * 5 + 5)
    )  # fmt: skip

    def supernet(self) -> nn.Module:
        return NASNetCellSupernet(TINY)


class TestWithAuxiliaryHead(SupernetContract):
    space = NASNetCell(
        operations="nsga", blocks=3, channels=2, layers=4, input_shape=(1, 8, 8), classes=3, auxiliary=True
    )
    sampled = 2

    @property
    def weights(self) -> int:  # type: ignore[override]
        """By the exact costs: the frame of cells that concatenate all blocks, and each operation everywhere."""
        costs = [self.space.costs((operation, 0) * 12)["params"] for operation in range(9)]
        frame = min(costs)  # that of pools
        return int(frame + sum(cost - frame for cost in costs))

    def supernet(self) -> nn.Module:
        return NASNetCellSupernet(self.space)


def test_operations_of_a_place_have_nothing_in_common_not_even_batch_norms() -> None:
    supernet = NASNetCellSupernet(TINY)
    each = [_used(supernet, (operation, 0) * 8) for operation in range(len(OPERATIONS["eeea"]))]
    frame = set.intersection(*each)
    assert not {name for name in frame if "operations" in name}
    assert sum(len(used - frame) for used in each) == len(set.union(*each) - frame)


def test_what_reads_a_cell_takes_the_inputs_of_the_blocks_that_are_concatenated() -> None:
    supernet = NASNetCellSupernet(TINY)
    of_both, of_second = (SKIP, 0) * 8, ((SKIP, 0, SKIP, 1), (SKIP, 0, SKIP, 2)) * 2
    chained = tuple(index for block in of_second for index in block)
    images = torch.randn(3, 1, 8, 7)
    both, second = (supernet.subnet(genome)(images) for genome in (of_both, chained))
    with torch.no_grad():
        supernet.weights["head/2/weight"][:, :8] = 0.0  # the first block's, of 8 channels
    assert torch.equal(supernet.subnet(chained)(images), second)
    assert not torch.equal(supernet.subnet(of_both)(images), both)


def _used(supernet: nn.Module, genome: Genome) -> set[str]:
    supernet.zero_grad()
    loss(supernet.subnet(genome)(torch.randn(3, 1, 8, 7))).backward()  # type: ignore[operator]
    return {name for name, weight in supernet.named_parameters() if weight.grad is not None}
