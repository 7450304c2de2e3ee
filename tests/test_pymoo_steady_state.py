"""Steady-state NSGA-II satisfies the contract, respects constraints, and finds more than random search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from strategy_contract import StrategyContract, hopeless, play, proposed
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Constraint, Goals
from evonas.journal import Finished
from evonas.pareto import ParetoFront
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.random_search import RandomSearch

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())


def steady(
    early_exit: EarlyExit = PLAIN, goals: Goals | None = None, seed: int = 0, **options: object
) -> SteadyStateNSGA2:
    return SteadyStateNSGA2(early_exit.space, goals or toy_goals(), early_exit.admit, seed, **options)  # type: ignore[arg-type]


class TestSteadyStateNSGA2(StrategyContract):
    component = Component("evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", {"population": 10, "lag": 9})


class TestSteadyStateNSGA2InOrderOfArrival(StrategyContract):
    component = Component(
        "evonas.strategies.pymoo_steady_state:SteadyStateNSGA2",
        {"population": 10, "deterministic": False, "crossover": "two_point"},
    )
    order_matters = True


def test_the_front_survives() -> None:
    strategy = steady(population=10)
    evaluated = [e.outcome for e in play(strategy, 120) if isinstance(e, Finished)]
    committed = [o for o in evaluated if isinstance(o, Evaluation) and o.candidate.id <= 119 - strategy.lag]
    assert len(committed) == 110
    front = ParetoFront.of(committed, strategy.goals)
    assert len(front.members) > 10, "the front fills the population"
    survivors = set(strategy._population.ids)
    assert survivors <= {member.candidate.id for member in front.members}
    extremes = front.losses.argmin(axis=0)
    assert {front.members[i].candidate.id for i in extremes} <= survivors, "the ends of the front have most room"


def test_children_take_their_genes_from_their_parents() -> None:
    candidates = proposed(play(steady(population=20, crossover_probability=1.0, mutation=0.0), 150))
    children = [candidate for candidate in candidates if candidate.parents]
    assert len(children) > 60
    for child in children:
        givers = [candidates[parent].genome for parent in child.parents]
        assert all(gene in genes for gene, genes in zip(child.genome, zip(*givers, strict=True), strict=True))


def test_without_crossover_and_mutation_nothing_is_bred() -> None:
    candidates = proposed(play(steady(population=10, crossover_probability=0.0, mutation=0.0), 40))
    assert len(candidates) == 40
    assert not any(candidate.parents for candidate in candidates), "uniform genomes take the places"


def test_constraints_steer() -> None:
    """Few networks are feasible, and their errors are among the worst."""
    steered, free = (
        proposed(play(steady(goals=goals, population=20), 200))[100:]
        for goals in (toy_goals(Constraint("params", at_most=15.0)), toy_goals())
    )
    feasible = [np.mean([PLAIN.space.costs(c.genome)["params"] <= 15 for c in group]) for group in (steered, free)]
    assert feasible[0] > 0.3 > feasible[1]


def test_one_survivor_is_no_couple() -> None:
    def lucky(candidate: Candidate) -> Outcome:
        return toy_evaluation(candidate) if candidate.id == 3 else hopeless(candidate)

    candidates = proposed(play(steady(population=10), 40, outcome_of=lucky))
    assert len(candidates) == 40
    assert not any(candidate.parents for candidate in candidates)


@pytest.mark.parametrize("deterministic", [True, False])
def test_more_hypervolume_than_random_search(deterministic: bool) -> None:
    space, goals = PLAIN.space, toy_goals()
    every = [toy_evaluation(Candidate(i, g, 0)) for i, g in enumerate(itertools.product(range(3), repeat=8))]
    true = ParetoFront.of(every, goals)
    missed: dict[str, list[float]] = {"steady": [], "random": []}
    for seed in range(6):
        strategies = {
            "steady": steady(seed=seed, population=20, deterministic=deterministic),
            "random": RandomSearch(space, goals, PLAIN.admit, seed),
        }
        for name, strategy in strategies.items():
            outcomes = archive_of(strategy, 300)
            missed[name].append(true.hypervolume - ParetoFront.of(outcomes, goals).hypervolume)
    assert max(missed["steady"]) < min(missed["random"])
    assert np.mean(missed["steady"]) < 0.4 * np.mean(missed["random"])


def archive_of(strategy: SteadyStateNSGA2 | RandomSearch, budget: int) -> list[Evaluation]:
    outcomes = [event.outcome for event in play(strategy, budget, capacity=8) if isinstance(event, Finished)]
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mutation": 1.5}, "'mutation' must be a probability, between 0 and 1, and is 1.5"),
        (
            {"crossover_probability": -0.1},
            "'crossover_probability' must be a probability, between 0 and 1, and is -0.1",
        ),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        steady(**options)
