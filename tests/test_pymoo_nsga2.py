"""NSGA-II satisfies the contract, selects as pymoo does, mutates at the rate asked for, and beats random search."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2  # noqa: N811
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from strategy_contract import StrategyContract, play, proposed
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation
from evonas.goals import Constraint, Goals
from evonas.journal import Finished
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.strategies.base import Strategy
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.random_search import RandomSearch

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())


def nsga2(early_exit: EarlyExit = PLAIN, goals: Goals | None = None, seed: int = 0, **options: object) -> NSGA2:
    return NSGA2(early_exit.space, goals or toy_goals(), early_exit.admit, seed, **options)  # type: ignore[arg-type]


def evaluations_of(strategy: Strategy, budget: int) -> list[Evaluation]:
    outcomes = [event.outcome for event in play(strategy, budget) if isinstance(event, Finished)]
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


class TestNSGA2(StrategyContract):
    component = Component("evonas.strategies.pymoo_nsga2:NSGA2", {"population": 10})


class TestNSGA2WithFewOffspring(StrategyContract):
    component = Component(
        "evonas.strategies.pymoo_nsga2:NSGA2", {"population": 12, "offspring": 5, "crossover": "one_point"}
    )


def test_a_gene_a_genome_mutates_by_default() -> None:
    assert nsga2().mutation == 1 / 8
    assert nsga2(mutation=0.0).mutation == 0.0


def test_survivors_are_those_of_pymoo() -> None:
    strategy, problem = nsga2(population=12, offspring=20), Problem(n_var=8, n_obj=2)
    theirs, survivors = PymooNSGA2(pop_size=12).survival, Population()
    for generation in range(6):
        evaluated = [toy_evaluation(candidate) for candidate in strategy.ask(1)]
        for evaluation in reversed(evaluated):
            strategy.tell(evaluation)
        offspring = Population.new("F", np.array([strategy.goals.losses(e.metrics) for e in evaluated]))
        offspring.set("id", np.array([e.candidate.id for e in evaluated]))
        survivors = theirs.do(
            problem,
            Population.merge(survivors, offspring),
            n_survive=12,
            random_state=generator(0, "survive", generation),
        )
        assert strategy._population.ids.tolist() == survivors.get("id").tolist()
        assert len(survivors) == 12


def test_the_front_survives_and_the_dominated_perish_first() -> None:
    strategy = nsga2(population=10)
    events = play(strategy, 60)
    everything = {e.outcome.candidate.id: e.outcome for e in events if isinstance(e, Finished)}
    goals, survivors = toy_goals(), set(strategy._population.ids.tolist())
    front = ParetoFront.of([e for e in everything.values() if isinstance(e, Evaluation)], goals)
    assert len(front.members) > 10, "the front fills the population"
    assert survivors <= {member.candidate.id for member in front.members}
    extremes = front.losses.argmin(axis=0)
    assert {front.members[i].candidate.id for i in extremes} <= survivors, "the ends of the front have most room"


@pytest.mark.parametrize(("crossover", "points"), [("uniform", 7), ("one_point", 1), ("two_point", 2)])
def test_children_take_their_genes_from_their_parents(crossover: str, points: int) -> None:
    candidates = proposed(play(nsga2(population=20, crossover=crossover, crossover_probability=1.0, mutation=0.0), 120))
    children = [candidate for candidate in candidates if candidate.parents]
    assert len(children) > 50
    switches = [_switches(c, [candidates[p] for p in c.parents]) for c in children]
    assert max(switches) <= points
    assert min(switches) >= 1, "both parents give"
    assert Counter(switches)[points if points < 7 else 3] > 5, "and the points are used"


def _switches(child: Candidate, parents: list[Candidate]) -> int:
    """Return how often at least the genes of a child change from one parent to the other."""
    possible, count = {0, 1}, 0
    for position, gene in enumerate(child.genome):
        givers = {number for number, parent in enumerate(parents) if parent.genome[position] == gene}
        assert givers, f"gene {position} of {child} comes from nobody"
        if not possible & givers:
            possible, count = givers, count + 1
        else:
            possible &= givers
    return count


@pytest.mark.parametrize("options", [{}, {"crossover_probability": 0.0, "mutation": 0.0}])
def test_initial_gates_bound_the_initial_population_only(options: dict[str, float]) -> None:
    gate = Gate("params", at_most=30, applies_to="initial")
    candidates = proposed(play(nsga2(EarlyExit(PLAIN.space, [gate]), population=20, **options), 100))
    passing = Counter((c.generation > 0, gate.passes(PLAIN.space.costs(c.genome)["params"])) for c in candidates)
    assert passing[False, True] == 20
    assert passing[False, False] == 0
    assert passing[True, False] > 0, "offspring and immigrants may be larger"


def test_constraints_steer() -> None:
    """Few networks are feasible, and their errors are among the worst."""
    constraint = Constraint("params", at_most=15.0)
    every = [PLAIN.space.costs(genome)["params"] for genome in itertools.product(range(3), repeat=8)]
    assert np.mean(np.array(every) <= 15) < 0.04
    steered, free = (
        [c for c in proposed(play(nsga2(goals=goals, population=20), 200)) if c.generation >= 5]
        for goals in (toy_goals(constraint), toy_goals())
    )
    feasible = [np.mean([PLAIN.space.costs(c.genome)["params"] <= 15 for c in group]) for group in (steered, free)]
    assert feasible[0] > 0.3 > feasible[1]


def test_more_hypervolume_than_random_search() -> None:
    space, goals = PLAIN.space, toy_goals()
    every = [toy_evaluation(Candidate(i, g, 0)) for i, g in enumerate(itertools.product(range(3), repeat=8))]
    true = ParetoFront.of(every, goals)
    missed: dict[str, list[float]] = {"nsga2": [], "random": []}
    for seed in range(5):
        strategies = {
            "nsga2": nsga2(seed=seed, population=20),
            "random": RandomSearch(space, goals, PLAIN.admit, seed),
        }
        for name, strategy in strategies.items():
            found = ParetoFront.of(evaluations_of(strategy, 300), goals)
            missed[name].append(true.hypervolume - found.hypervolume)
    assert max(missed["nsga2"]) < min(missed["random"])
    assert np.mean(missed["nsga2"]) < 0.25 * np.mean(missed["random"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"offspring": 0}, "'offspring' must be at least 1, and is 0"),
        ({"mutation": 1.5}, "'mutation' must be a probability, between 0 and 1, and is 1.5"),
        (
            {"crossover_probability": -0.1},
            "'crossover_probability' must be a probability, between 0 and 1, and is -0.1",
        ),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        nsga2(**options)


def test_point_crossover_needs_enough_genes() -> None:
    two_genes = EarlyExit(ToySpace(length=2, redundant=False), ())
    assert nsga2(two_genes, crossover="one_point")
    with pytest.raises(ConfigError, match="two_point needs more than 2 genes, and the space has 2"):
        nsga2(two_genes, crossover="two_point")
