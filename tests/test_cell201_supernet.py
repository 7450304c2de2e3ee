"""The supernet of the cells of NAS-Bench-201."""

from __future__ import annotations

import torch
from one_thread import one_thread  # noqa: F401
from supernet_contract import SupernetContract, loss
from torch import nn

from evonas.space import Genome
from evonas.spaces.cell201 import Cell201
from evonas.spaces.cell201_supernet import Cell201Supernet

SPACE = Cell201(stem_channels=4, cells_per_stage=2, stages=2, input_shape=(1, 8, 7), classes=5)
SKIP, CONV_1X1, CONV_3X3 = 1, 2, 3


class TestCell201Supernet(SupernetContract):
    space = SPACE
    weights = (
        (9 * 4 + 2 * 4)  # stem
        + 2 * 6 * (4 * 4 * (1 + 9) + 2 * 2 * 4)  # cells: both convolutions on six edges, each with its batch norm
        + (4 * 8 * 9 + 2 * 8) + (8 * 8 * 9 + 2 * 8) + 4 * 8  # residual block
        + 2 * 6 * (8 * 8 * (1 + 9) + 2 * 2 * 8)
        + (2 * 8) + (8 * 5 + 5)  # head
    )  # fmt: skip

    def supernet(self) -> nn.Module:
        return Cell201Supernet(SPACE)


def test_operations_of_an_edge_have_nothing_in_common_not_even_batch_norms() -> None:
    supernet = Cell201Supernet(SPACE)
    ones, threes, none = (_used(supernet, (operation,) * 6) for operation in (CONV_1X1, CONV_3X3, SKIP))
    assert ones & threes == none
    assert len(ones - none) == len(threes - none) == 2 * 2 * 6 * 3
    assert ones | threes == {name for name, _ in supernet.named_parameters()}


def test_an_operation_of_an_edge_is_the_same_in_whatever_company() -> None:
    supernet = Cell201Supernet(SPACE)
    first_edge = _used(supernet, (CONV_3X3, SKIP, SKIP, SKIP, SKIP, SKIP)) - _used(supernet, (SKIP,) * 6)
    assert len(first_edge) == 2 * 2 * 3
    assert first_edge <= _used(supernet, (CONV_3X3, CONV_1X1, CONV_1X1, SKIP, CONV_3X3, CONV_1X1))


def _used(supernet: nn.Module, genome: Genome) -> set[str]:
    supernet.zero_grad()
    loss(supernet.subnet(genome)(torch.randn(3, 1, 8, 7))).backward()  # type: ignore[operator]
    return {name for name, weight in supernet.named_parameters() if weight.grad is not None}
