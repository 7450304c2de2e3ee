"""DEAP's (mu + lambda) satisfies the contract, varies and selects as DEAP does, and touches no global generator."""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any

import numpy as np
import pytest
from deap import algorithms, base, creator, tools
from strategy_contract import StrategyContract, play, proposed
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation
from evonas.goals import Constraint, Goals
from evonas.journal import Finished
from evonas.pareto import ParetoFront, crowding_distances, ranks
from evonas.strategies.base import Strategy
from evonas.strategies.deap_mu_plus_lambda import MuPlusLambda
from evonas.strategies.random_search import RandomSearch

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())


def evolution(early_exit: EarlyExit = PLAIN, goals: Goals | None = None, seed: int = 0, **options: Any) -> MuPlusLambda:
    return MuPlusLambda(early_exit.space, goals or toy_goals(), early_exit.admit, seed, **options)


class TestMuPlusLambda(StrategyContract):
    component = Component("evonas.strategies.deap_mu_plus_lambda:MuPlusLambda", {"population": 10})


class TestMuPlusLambdaWithFewOffspring(StrategyContract):
    component = Component(
        "evonas.strategies.deap_mu_plus_lambda:MuPlusLambda",
        {"population": 12, "offspring": 5, "crossover": "two_point", "mutation_probability": 0.3},
    )


@pytest.mark.parametrize("crossover", ["uniform", "one_point", "two_point"])
def test_children_are_those_of_deap(crossover: str) -> None:
    strategy = evolution(population=15, crossover=crossover)
    play(strategy, 15)
    toolbox = base.Toolbox()
    toolbox.register("clone", lambda genome: _Plain(genome))
    operators = {"uniform": tools.cxUniform, "one_point": tools.cxOnePoint, "two_point": tools.cxTwoPoint}
    toolbox.register("mate", operators[crossover], **({"indpb": 0.5} if crossover == "uniform" else {}))
    toolbox.register("mutate", tools.mutUniformInt, low=0, up=2, indpb=1 / 8)
    state = random.getstate()
    try:
        random.seed(int(strategy.generator(1).integers(2**63)))
        theirs = algorithms.varOr([_Plain(i) for i in strategy._population], toolbox, 15, cxpb=0.7, mutpb=0.2)
    finally:
        random.setstate(state)
    known = {tuple(individual) for individual in strategy._population}
    fresh = list(dict.fromkeys(tuple(child) for child in theirs if tuple(child) not in known))
    assert len(fresh) > 5
    assert [candidate.genome for candidate in strategy.ask(1)[: len(fresh)]] == fresh


class _Plain(list[int]):
    """An individual as a tutorial makes it."""

    def __init__(self, genome: list[int]) -> None:
        super().__init__(genome)
        self.fitness = base.Fitness.__new__(base.Fitness)


@pytest.mark.parametrize("bound", [None, 40.0, 20.0, 1.0])
def test_survivors_are_the_least_violating_then_the_best_by_rank_and_crowding(bound: float | None) -> None:
    goals = toy_goals(*([] if bound is None else [Constraint("params", at_most=bound)]))
    strategy = evolution(goals=goals, population=15, offspring=20)
    rivals: list[Evaluation] = []
    for _ in range(6):
        evaluated = [toy_evaluation(candidate) for candidate in strategy.ask(1)]
        for evaluation in reversed(evaluated):
            strategy.tell(evaluation)
        rivals += evaluated
        violations = np.array([goals.violation(e.metrics) for e in rivals])
        losses = np.array([goals.losses(e.metrics) for e in rivals])
        losses[violations > 0] = 1e3 * (1 + violations[violations > 0, None])
        ranked, room = ranks(losses), np.zeros(len(rivals))
        for rank in set(ranked.tolist()):
            room[ranked == rank] = crowding_distances(losses[ranked == rank])
        kept = {individual.id for individual in strategy._population}
        stay = np.array([e.candidate.id in kept for e in rivals])
        assert stay.sum() == min(15, len(rivals))
        last = ranked[stay].max()
        assert stay[ranked < last].all()
        assert not stay[ranked > last].any()
        cut = ranked == last
        assert room[cut & stay].min() >= room[cut & ~stay].max(initial=-np.inf) - 1e-12
        rivals = [evaluation for evaluation, stays in zip(rivals, stay, strict=True) if stays]


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_front_survives(objectives: int) -> None:
    goals = Goals(toy_goals().objectives[:objectives])
    strategy = evolution(goals=goals, population=10)
    found = archive_of(strategy, 100)
    front = {member.candidate.id for member in ParetoFront.of(found, goals).members}
    survivors = {individual.id for individual in strategy._population}
    assert survivors <= front or front <= survivors


def test_a_violation_that_is_small_beside_the_losses_still_counts() -> None:
    goals = toy_goals(Constraint("macs", at_most=1e9))
    strategy = evolution(goals=goals, population=2)
    first, second = strategy.ask(1)
    for candidate, macs in ((first, 1e9 * (1 + 1e-12)), (second, 1e9)):
        metrics = {"valid_error": 0.1 if candidate is first else 0.9, "params": 1e6, "macs": macs}
        strategy.tell(Evaluation(candidate, metrics, toy_evaluation(candidate).source, 0.0, 0))
    assert [individual.id for individual in strategy._population] == [second.id, first.id]


def test_mutants_differ_in_as_many_genes_as_asked_for() -> None:
    space = ToySpace(length=30, redundant=False)
    options = {"crossover_probability": 0.0, "mutation_probability": 1.0, "gene_probability": 0.2}
    candidates = proposed(play(evolution(EarlyExit(space, ()), population=100, offspring=400, **options), 500))
    mutants = [candidate for candidate in candidates if candidate.parents]
    assert len(mutants) == 400
    changed = [sum(map(int.__ne__, c.genome, candidates[c.parents[0]].genome)) for c in mutants]
    assert all(len(mutant.parents) == 1 for mutant in mutants)
    assert np.mean(changed) == pytest.approx(30 * 0.2 * 2 / 3, abs=0.4), (
        "a third of the redrawn genes stay as they were"
    )


def test_crossed_children_take_their_genes_from_both_parents() -> None:
    options = {"crossover_probability": 1.0, "mutation_probability": 0.0}
    candidates = proposed(play(evolution(population=20, **options), 80))
    children = [candidate for candidate in candidates if candidate.parents]
    assert len(children) > 30
    for child in children:
        first, second = (candidates[parent].genome for parent in child.parents)
        assert all(gene in pair for gene, *pair in zip(child.genome, first, second, strict=True))
        assert child.genome not in (first, second)


def test_python_s_generator_is_left_alone() -> None:
    before = random.getstate()
    play(evolution(), 120)
    assert random.getstate() == before
    assert algorithms.random is tools.crossover.random is tools.mutation.random is random


def test_other_threads_that_draw_random_numbers_change_nothing() -> None:
    alone = proposed(play(evolution(), 200))
    stop = threading.Event()

    def draw() -> None:
        while not stop.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        assert proposed(play(evolution(), 200)) == alone
    finally:
        stop.set()
        thread.join()


def test_nothing_is_left_in_deap_s_creator() -> None:
    before = set(vars(creator))
    play(evolution(), 80)
    assert set(vars(creator)) == before


def archive_of(strategy: Strategy, budget: int) -> list[Evaluation]:
    outcomes = [event.outcome for event in play(strategy, budget) if isinstance(event, Finished)]
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


def test_more_hypervolume_than_random_search() -> None:
    goals = toy_goals()
    every = [toy_evaluation(Candidate(i, g, 0)) for i, g in enumerate(itertools.product(range(3), repeat=8))]
    true = ParetoFront.of(every, goals).hypervolume
    missed = [
        [true - ParetoFront.of(archive_of(strategy, 300), goals).hypervolume for strategy in strategies]
        for seed in range(5)
        for strategies in [(evolution(seed=seed, population=20), RandomSearch(PLAIN.space, goals, PLAIN.admit, seed))]
    ]
    ours, others = np.array(missed).T
    assert ours.max() < others.min()
    assert ours.mean() < 0.4 * others.mean()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"offspring": 0}, "'offspring' must be at least 1, and is 0"),
        ({"gene_probability": 1.5}, "'gene_probability' must be a probability, between 0 and 1, and is 1.5"),
        ({"crossover_probability": 0.9}, r"crossover_probability \+ mutation_probability' must be at most 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        evolution(**options)


def test_point_crossover_needs_enough_genes() -> None:
    one_gene = EarlyExit(ToySpace(length=1, redundant=False), ())
    assert evolution(one_gene)
    with pytest.raises(ConfigError, match="one_point needs 2 genes or more, and the space has 1"):
        evolution(one_gene, crossover="one_point")
