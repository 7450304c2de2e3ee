"""LINAS satisfies the contract, and spreads a batch along the predicted front."""

from __future__ import annotations

import numpy as np
from strategy_contract import StrategyContract, play, proposed
from surrogates import LINEAR, surrogate
from toy import ToySpace

from evonas.component import Component

USE = "evonas.strategies.linas:LINAS"


class TestLINAS(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 200})


def test_a_batch_covers_the_costs() -> None:
    candidates = proposed(play(surrogate(USE, initial=20, batch=10, lag=0), 40))
    params = np.array([ToySpace(8, redundant=False).costs(c.genome)["params"] for c in candidates])
    first_batch = np.sort(params[20:30])
    assert np.ptp(first_batch) > 50, "costs go from 1 to 73"
    assert np.diff(first_batch).max() < 20
