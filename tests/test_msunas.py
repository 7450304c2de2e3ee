"""MSuNAS satisfies the contract, begins with the extremes, and fills gaps of the front in the last objective."""

from __future__ import annotations

import numpy as np
from strategy_contract import StrategyContract
from surrogates import LINEAR, PLAIN, surrogate
from toy import toy_evaluation

from evonas.component import Component

USE = "evonas.strategies.msunas:MSuNAS"


class TestMSuNAS(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 8, "lag": 3, "predictions": 200})


def test_the_gaps_of_the_front_are_filled() -> None:
    strategy = surrogate(USE, initial=12, batch=6, lag=0)
    first = strategy.ask(12)
    assert [candidate.genome for candidate in first[:2]] == [PLAIN.space.smallest(), PLAIN.space.largest()]
    for candidate in first:
        strategy.tell(toy_evaluation(candidate))
    known = [PLAIN.space.costs(candidate.genome)["params"] for candidate in first]
    chosen = [PLAIN.space.costs(candidate.genome)["params"] for candidate in strategy.ask(6)]
    assert np.diff(np.sort([*known, *chosen])).max() < np.diff(np.sort(known)).max()
    assert len(set(chosen)) == 6
