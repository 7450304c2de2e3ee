"""NSGA-III satisfies the contract, selects as pymoo does, and spreads over its directions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from beside_pymoo import FREE, assert_survivors_are_those_of, evaluated, goals_of
from pymoo.algorithms.moo.nsga3 import NSGA3 as PymooNSGA3  # noqa: N811
from strategy_contract import StrategyContract, play, proposed
from toy import toy_goals

from evonas.component import Component
from evonas.errors import ConfigError
from evonas.goals import Goals
from evonas.strategies.pymoo_nsga3 import NSGA3


def nsga3(goals: Goals, **options: object) -> NSGA3:
    return NSGA3(FREE.space, goals, FREE.admit, 0, **options)  # type: ignore[arg-type]


class TestNSGA3(StrategyContract):
    component = Component("evonas.strategies.pymoo_nsga3:NSGA3", {"population": 10})


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_survivors_are_those_of_pymoo(objectives: int, constrained: bool) -> None:
    strategy = nsga3(goals_of(objectives, constrained=constrained), population=20, offspring=25)
    assert_survivors_are_those_of(PymooNSGA3(strategy.directions, pop_size=20, n_offsprings=25), strategy)


@pytest.mark.parametrize(("objectives", "population", "count"), [(2, 40, 40), (3, 40, 36), (3, 10, 10), (4, 40, 35)])
def test_there_are_as_many_directions_as_the_population_allows(objectives: int, population: int, count: int) -> None:
    directions = nsga3(goals_of(objectives, constrained=False), population=population).directions
    assert directions.shape == (count, objectives)
    assert directions.sum(axis=1) == pytest.approx(1.0)
    assert len(np.unique(directions, axis=0)) == count


def test_feasible_parents_are_drawn_at_random_and_others_by_their_violation() -> None:
    strategy = nsga3(goals_of(3, constrained=True), population=20, crossover_probability=0.0)
    candidates = proposed(play(strategy, 20, outcome_of=evaluated))
    violations = {c.id: strategy.goals.violation(evaluated(c).metrics) for c in candidates}
    children = [candidate for candidate in strategy.ask(1) if candidate.parents]
    expected = np.mean([max(a, b) for a in violations.values() for b in violations.values()])
    chosen = np.mean([violations[parent] for child in children for parent in child.parents])
    assert chosen < 0.7 * np.mean(list(violations.values())) < expected
    assert any(violation == 0 for violation in violations.values())


def test_filters_of_warnings_are_left_alone() -> None:
    before = list(warnings.filters)
    play(nsga3(toy_goals(), population=10), 40)
    assert warnings.filters == before


def test_what_it_cannot_serve_is_refused() -> None:
    single = Goals(toy_goals().objectives[:1])
    with pytest.raises(ConfigError, match=r"'objectives' must be 2 or more for NSGA3 \(take NSGA2 for one\), and is 1"):
        nsga3(single)
    with pytest.raises(ConfigError, match="'population' must be at least the number of objectives, 4, and is 3"):
        nsga3(goals_of(4, constrained=False), population=3)
