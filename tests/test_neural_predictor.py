"""Neural Predictor satisfies the contract, and evaluates the best of many predicted networks."""

from __future__ import annotations

import numpy as np
from strategy_contract import StrategyContract, play, proposed
from surrogates import LINEAR, surrogate
from toy import ToySpace, toy_error

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.goals import Goals, Objective

USE = "evonas.strategies.neural_predictor:NeuralPredictor"


class TestNeuralPredictor(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 200})


def test_with_one_objective_the_top_k_are_evaluated() -> None:
    goals = Goals((Objective("valid_error", False, 1.0),))
    large = EarlyExit(ToySpace(14), ())
    candidates = proposed(play(surrogate(USE, large, goals, initial=60, batch=20, lag=0, predictions=2000), 80))
    errors = np.array([toy_error(candidate.genome) for candidate in candidates])
    uniform = [toy_error(large.space.canonical(large.space.sample(np.random.default_rng(n)))) for n in range(2000)]
    assert np.median(errors[60:]) < np.quantile(uniform, 0.05)
