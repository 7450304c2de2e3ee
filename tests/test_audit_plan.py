"""The sample of an audit: stratified, without favour, and a larger one holds the smaller."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import synthetic

from evonas.audit_plan import Plan, by_fidelity, sample, spread
from evonas.evaluation import Fidelity, Source
from evonas.seeds import generator


@pytest.mark.parametrize("count", [4, 8, 16])
def test_one_row_lies_in_each_stratum(count: int) -> None:
    values = generator(0, "values").normal(size=512)
    chosen = spread(values, count, generator(0))
    ranks = values.argsort().argsort()[chosen]
    strata = ranks * count // 512
    assert len(set(chosen)) == count
    if count == 16:  # with the shift, strata begin anywhere: neighbours are a stratum apart
        assert set(np.diff(np.sort(ranks)).tolist()) <= {31, 32, 33}
    assert len(set(strata.tolist())) >= count - 1


def test_every_row_is_as_likely_as_any_other() -> None:
    values = generator(0, "values").normal(size=24)
    counts = Counter(row for seed in range(2400) for row in spread(values, 6, generator(seed)))
    assert max(abs(counts[row] - 600) for row in range(24)) < 100, "four deviations of 21, and more for the collisions"


def test_a_larger_sample_holds_the_smaller() -> None:
    values = generator(0, "values").normal(size=100)
    assert spread(values, 40, generator(1))[:15] == spread(values, 15, generator(1))
    assert sorted(spread(values, 100, generator(1))) == list(range(100))
    assert sorted(spread(values, 99, generator(1))) == sorted(set(spread(values, 99, generator(1))))


def test_sample_of_a_run_is_of_its_evaluations_and_grows() -> None:
    history = synthetic.history()
    rung = Fidelity(Source.TABULAR)
    small, large = (sample(history, {rung: "valid_error"}, budget, seed=3) for budget in (8, 30))
    assert list(by_fidelity(history)) == [rung]
    assert len(small[rung]) == 8
    assert large[rung][:8] == small[rung]
    assert set(large[rung]) <= {evaluation.candidate.genome for evaluation in history.evaluations}


def test_networks_that_are_wanted_twice_are_trained_once() -> None:
    rung = Fidelity(Source.TABULAR)
    plan = Plan(front=[(0,), (1,)], sample={rung: [(1,), (2,)]}, random=[(2,), (3,)])
    assert plan.of_the_run == [(0,), (1,), (2,)]
    assert plan.genomes == [(0,), (1,), (2,), (3,)]
