"""Aging evolution satisfies the contract, is the paper's algorithm with one objective, and beats random search."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from strategy_contract import StrategyContract, play, proposed
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.goals import Constraint, Goals, Objective
from evonas.journal import Finished
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.space import Gene, Genome
from evonas.strategies.aging_evolution import AgingEvolution
from evonas.strategies.base import Strategy
from evonas.strategies.random_search import RandomSearch

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())


def aging(
    early_exit: EarlyExit = PLAIN, goals: Goals | None = None, seed: int = 0, **options: object
) -> AgingEvolution:
    return AgingEvolution(early_exit.space, goals or toy_goals(), early_exit.admit, seed, **options)  # type: ignore[arg-type]


class TestAgingEvolution(StrategyContract):
    component = Component("evonas.strategies.aging_evolution:AgingEvolution", {"population": 10, "sample": 4, "lag": 9})


class TestAgingEvolutionInOrderOfArrival(StrategyContract):
    component = Component(
        "evonas.strategies.aging_evolution:AgingEvolution", {"population": 10, "sample": 4, "deterministic": False}
    )
    order_matters = True


def paper(goal: Objective, cycles: int, population_size: int, sample_size: int) -> list[Genome]:
    """Algorithm 1 of Real et al., written down again for networks that are new: all models, in order."""
    space, best = PLAIN.space, max if goal.maximize else min
    population: list[tuple[float, Genome]] = []
    history: list[Genome] = []
    for cycle in range(cycles):
        rng = generator(0, "ask", cycle)
        while True:
            if len(population) < population_size:
                child = space.sample(rng)
            else:
                sample = [population[row] for row in rng.integers(population_size, size=sample_size)]
                genes = list(best(sample, key=lambda model: model[0])[1])
                gene = rng.integers(len(genes))
                genes[gene] = int(genes[gene] + 1 + rng.integers(2)) % 3
                child = tuple(genes)
            if child not in history:
                break
        history.append(child)
        model = toy_evaluation(Candidate(cycle, child, 0)).metrics[goal.metric], child
        oldest = cycle % population_size
        population[oldest : oldest + 1] = [model]
    return history


@pytest.mark.parametrize("goal", [Objective("valid_error", False, 1.0), Objective("params", True, 0.0)])
def test_with_one_objective_it_is_the_algorithm_of_the_paper(goal: Objective) -> None:
    strategy = aging(goals=Goals((goal,)), population=12, sample=5, lag=1)
    assert [candidate.genome for candidate in proposed(play(strategy, 300))] == paper(goal, 300, 12, 5)


def test_a_child_is_one_gene_away_from_a_parent_that_is_alive() -> None:
    candidates = proposed(play(aging(population=15, sample=4, lag=6), 300))
    children = [candidate for candidate in candidates if candidate.parents]
    assert len(children) > 200
    for child in children:
        (parent,) = child.parents
        assert sum(a != b for a, b in zip(child.genome, candidates[parent].genome, strict=True)) == 1
    ages = {child.id - child.parents[0] for child in children}
    assert (min(ages), max(ages)) == (6, 6 + 15 - 1), "the lag, and the oldest of the population"


def test_genes_and_options_are_redrawn_uniformly() -> None:
    class Uneven(ToySpace):
        def __init__(self) -> None:
            self.genes = [Gene("fixed", ("a",)), Gene("two", (0, 1)), Gene("four", (0, 1, 2, 3))]

    strategy, rng = aging(EarlyExit(Uneven(), ())), np.random.default_rng(0)
    counts = Counter(strategy._mutated((0, 1, 2), rng) for _ in range(12_000))
    assert counts.keys() == {(0, 0, 2), (0, 1, 0), (0, 1, 1), (0, 1, 3)}
    assert abs(counts[0, 0, 2] - 6_000) < 4 * 55
    assert max(abs(counts[0, 1, option] - 2_000) for option in (0, 1, 3)) < 4 * 41


def test_the_best_violates_least_then_is_on_the_front_then_has_most_room() -> None:
    points = {  # error, params; the last four are infeasible
        0: (0.9, 1.0), 1: (0.6, 2.0), 2: (0.5, 3.0), 3: (0.4, 4.0), 4: (0.1, 9.0), 5: (0.9, 9.0), 6: (0.95, 9.5),
        7: (0.0, 11.0), 8: (0.0, 12.0), 9: (0.1, 12.0), 10: (0.2, 12.0),
    }  # fmt: skip
    strategy = aging(goals=toy_goals(Constraint("params", at_most=10.0)), population=11)
    for id_, (error, params) in points.items():
        metrics = {"valid_error": error, "params": params}
        strategy.commit(Evaluation(Candidate(id_, (id_,) * 8, 0), metrics, Source.TABULAR, 1.0, 0))
    assert strategy._best(np.array([8, 7, 9])) == 7, "least violating"
    assert strategy._best(np.array([10, 8, 9])) == 8, "of equally violating, on the front"
    assert strategy._best(np.array([8, 7, 6, 7])) == 6, "feasible first"
    assert strategy._best(np.array([6, 5, 6, 6])) == 5, "on the front of the sample"
    assert strategy._best(np.array([1, 2, 3, 4, 5])) == 1, "an extreme; of both, the first drawn"
    assert strategy._best(np.array([3, 4, 2, 1, 1])) == 4
    assert strategy._best(np.array([3])) == 3


def evaluations_of(strategy: Strategy, budget: int) -> list[Evaluation]:
    outcomes = [event.outcome for event in play(strategy, budget, capacity=8) if isinstance(event, Finished)]
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


@pytest.mark.parametrize("deterministic", [True, False])
def test_more_hypervolume_than_random_search(deterministic: bool) -> None:
    space, goals = PLAIN.space, toy_goals()
    every = [toy_evaluation(Candidate(i, g, 0)) for i, g in enumerate(itertools.product(range(3), repeat=8))]
    true = ParetoFront.of(every, goals)
    missed: dict[str, list[float]] = {"aging": [], "random": []}
    for seed in range(6):
        strategies = {
            "aging": aging(seed=seed, population=20, sample=10, deterministic=deterministic),
            "random": RandomSearch(space, goals, PLAIN.admit, seed),
        }
        for name, strategy in strategies.items():
            found = ParetoFront.of(evaluations_of(strategy, 300), goals)
            missed[name].append(true.hypervolume - found.hypervolume)
    assert np.mean(missed["aging"]) < 0.6 * np.mean(missed["random"])
    assert sum(a < b for a, b in zip(missed["aging"], missed["random"], strict=True)) == 6


def test_sample_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="'sample' must be at least 1, and is 0"):
        aging(sample=0)
