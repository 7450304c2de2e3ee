"""Published cells are genomes of the space, and their final networks have the published parameters."""

from __future__ import annotations

import pytest

from evonas.spaces.nasnet_cell_published import PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cells_have_the_published_parameters(name: str) -> None:
    """EEEA-Net C is 2.4 % short; with the statistics of its batch norms, two numbers a channel, it is 0.8 %."""
    cells = PUBLISHED[name]
    params = cells.space().costs(cells.genome())["final_params"] / 1e6
    assert params == pytest.approx(cells.millions, rel=0.025 if name == "EEEA-Net C" else 0.02)


def test_darts_has_exactly_the_parameters_of_its_own_code() -> None:
    cells = PUBLISHED["DARTS (second order)"]
    assert cells.space().costs(cells.genome())["final_params"] == 3_349_342


@pytest.mark.parametrize(
    ("name", "concatenated"),
    [
        ("NSGA-Net", ([2, 4, 5, 6], [3, 4, 5, 6])),
        ("EEEA-Net B", ([5, 6], [4, 5, 6])),
        ("EEEA-Net C", ([3, 5, 6], [5, 6])),
    ],
)
def test_loose_ends_are_those_of_the_published_genotypes(name: str, concatenated: tuple[list[int], list[int]]) -> None:
    cells = PUBLISHED[name]
    normal, reduction = cells.space().cells(cells.genome())
    assert (normal.concatenated, reduction.concatenated) == concatenated
