"""SMS-EMOA satisfies the contract, selects as pymoo does, and keeps hypervolume."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from beside_pymoo import FREE, assert_survivors_are_those_of, goals_of
from pymoo.algorithms.moo.sms import SMSEMOA as PymooSMSEMOA  # noqa: N811
from strategy_contract import StrategyContract, play
from toy import toy_evaluation, toy_goals

from evonas.component import Component
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation
from evonas.goals import Goals
from evonas.journal import Finished
from evonas.pareto import ParetoFront
from evonas.strategies.base import Strategy
from evonas.strategies.pymoo_sms_emoa import SMSEMOA
from evonas.strategies.random_search import RandomSearch


def sms_emoa(goals: Goals, seed: int = 0, **options: object) -> SMSEMOA:
    return SMSEMOA(FREE.space, goals, FREE.admit, seed, **options)  # type: ignore[arg-type]


def front_of(strategy: Strategy, budget: int) -> ParetoFront:
    outcomes = [event.outcome for event in play(strategy, budget) if isinstance(event, Finished)]
    return ParetoFront.of([outcome for outcome in outcomes if isinstance(outcome, Evaluation)], strategy.goals)


class TestSMSEMOA(StrategyContract):
    component = Component("evonas.strategies.pymoo_sms_emoa:SMSEMOA", {"population": 10})


class TestSteadyStateSMSEMOA(StrategyContract):
    component = Component("evonas.strategies.pymoo_sms_emoa:SMSEMOA", {"population": 10, "offspring": 1})


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("offspring", [1, 15])
def test_survivors_are_those_of_pymoo(objectives: int, constrained: bool, offspring: int) -> None:
    strategy = sms_emoa(goals_of(objectives, constrained=constrained), population=12, offspring=offspring)
    theirs = PymooSMSEMOA(pop_size=12, n_offsprings=offspring)
    assert_survivors_are_those_of(theirs, strategy, generations=6 if offspring > 1 else 50)


def test_more_hypervolume_than_random_search() -> None:
    goals = toy_goals()
    every = [toy_evaluation(Candidate(i, g, 0)) for i, g in enumerate(itertools.product(range(3), repeat=8))]
    true = ParetoFront.of(every, goals).hypervolume
    missed = [
        [true - front_of(strategy, 300).hypervolume for strategy in strategies]
        for seed in range(5)
        for strategies in [(sms_emoa(goals, seed, population=20), RandomSearch(FREE.space, goals, FREE.admit, seed))]
    ]
    ours, random = np.array(missed).T
    assert ours.max() < random.min()
    assert ours.mean() < 0.25 * random.mean()


def test_one_objective_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'objectives' must be 2 or more for SMSEMOA \(take NSGA2 for one\)"):
        sms_emoa(Goals(toy_goals().objectives[:1]))
