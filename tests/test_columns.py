"""Standardised columns: every gene and every number has the same say, and what is constant has none."""

from __future__ import annotations

import numpy as np
import pytest

from evonas.predictor import Encoding, Features
from evonas.predictors.columns import Columns
from evonas.space import Gene, Genome, Metrics, SearchSpace


class Mixed(SearchSpace):
    """An unordered gene, one whose options are numbers, and one without a choice."""

    genes = (Gene("operation", ("skip", "conv", "pool")), Gene("width", (16, 32, 64)), Gene("only", (1,)))

    def build(self, genome: Genome) -> None:  # type: ignore[override]
        raise NotImplementedError

    def costs(self, genome: Genome) -> Metrics:
        return {"params": 10.0 * genome[0] + float(genome[1]) ** 2}


GENOMES = [(operation, width, 0) for operation in range(3) for width in range(3)] * 3 + [(0, 0, 0)] * 4
FEATURES = Encoding(Mixed())(GENOMES)


def test_every_group_has_mean_0_and_variance_1() -> None:
    columns = Columns.of(FEATURES)
    rows = columns(FEATURES)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
    variances = [rows[:, columns.group == group].var(axis=0).sum() for group in range(4)]
    np.testing.assert_allclose(variances, [1, 1, 0, 1], atol=1e-12)
    assert columns.genes == 3
    assert columns.numeric.tolist() == [False] * 8 + [True]


def test_options_near_in_value_are_nearer_than_others() -> None:
    columns = Columns.of(FEATURES)
    choices, numbers = np.array([[0, 0, 0], [0, 1, 0], [0, 2, 0]]), np.array([[16.0, 1], [32, 1], [64, 1]])
    rows = columns(Features(choices, FEATURES.sizes, numbers, FEATURES.names, FEATURES.ordinals))
    near, far = (float(np.sum((rows[0] - rows[number]) ** 2)) for number in (1, 2))
    assert 0 < near < far


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e15])
def test_constant_numbers_say_nothing_however_large(offset: float) -> None:
    numbers = np.full((30, 1), offset + 0.1)
    features = Features(np.arange(30)[:, None] % 2, (2,), numbers, ("params",))
    assert not Columns.of(features)(features)[:, -1].any()


def test_arrays_hold_all_of_them() -> None:
    columns = Columns.of(FEATURES)
    again = Columns.from_arrays(columns.arrays())
    assert np.array_equal(again(FEATURES), columns(FEATURES))
    assert again.group.tolist() == columns.group.tolist()
