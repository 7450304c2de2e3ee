"""Expected hypervolume satisfies the contract, and needs fewer evaluations than random search and NSGA-II."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from strategy_contract import StrategyContract, play
from surrogates import LINEAR, PLAIN, surrogate
from toy import toy_evaluation, toy_goals

from evonas.component import Component
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation
from evonas.journal import Finished
from evonas.pareto import ParetoFront
from evonas.strategies.base import Strategy
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.random_search import RandomSearch

USE = "evonas.strategies.expected_hypervolume:ExpectedHypervolume"


class TestExpectedHypervolume(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 200})


class TestExpectedHypervolumeOneByOne(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 1, "lag": 9, "design": "extremes"})
    evaluations = 30


def test_a_gaussian_process_finds_more_with_half_the_evaluations() -> None:
    goals, admit = toy_goals(), PLAIN.admit
    found = {"ours": list[float](), "random": list[float](), "nsga2": list[float]()}
    for seed in range(3):
        ours = surrogate(USE, seed=seed, predictor={"use": "evonas.predictors.gp:GP"}, initial=16, batch=5, lag=0)
        found["ours"].append(_hypervolume(ours, 60))
        found["random"].append(_hypervolume(RandomSearch(PLAIN.space, goals, admit, seed), 120))
        found["nsga2"].append(_hypervolume(NSGA2(PLAIN.space, goals, admit, seed, population=20), 120))
    missed = {name: _true_hypervolume() - np.array(values) for name, values in found.items()}
    assert missed["ours"].max() < missed["random"].min()
    assert missed["ours"].mean() < missed["nsga2"].mean()


def test_no_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match="'samples' must be at least 1, and is 0"):
        surrogate(USE, samples=0)


def _hypervolume(strategy: Strategy, evaluations: int) -> float:
    outcomes = [event.outcome for event in play(strategy, evaluations, capacity=20) if isinstance(event, Finished)]
    return ParetoFront.of([o for o in outcomes if isinstance(o, Evaluation)][:evaluations], toy_goals()).hypervolume


@cache
def _true_hypervolume() -> float:
    every = [toy_evaluation(Candidate(i, g, 0)) for i, g in enumerate(itertools.product(range(3), repeat=8))]
    return ParetoFront.of(every, toy_goals()).hypervolume
