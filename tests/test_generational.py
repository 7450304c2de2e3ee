"""Generational strategies hand out whole generations, the same on any number of workers, and are never without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strategy_contract import hopeless, play, proposed, troubled
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Outcome
from evonas.journal import Asked, Finished
from evonas.space import Genome
from evonas.strategies.deap_mu_plus_lambda import MuPlusLambda
from evonas.strategies.generational import ATTEMPTS, Generational
from evonas.strategies.local_search import LocalSearch
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.pymoo_nsga3 import NSGA3
from evonas.strategies.pymoo_sms_emoa import SMSEMOA

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())
GATED = EarlyExit(ToySpace(length=8), [Gate("params", at_most=40)])
EVOLVING = [NSGA2, NSGA3, SMSEMOA, MuPlusLambda]

kinds = pytest.mark.parametrize("kind", [*EVOLVING, LocalSearch])
evolving = pytest.mark.parametrize("kind", EVOLVING)


def new(kind: type[Generational], early_exit: EarlyExit = PLAIN, seed: int = 0, **options: Any) -> Generational:
    return kind(early_exit.space, toy_goals(), early_exit.admit, seed, **{"population": 10, **options})


@kinds
@pytest.mark.parametrize("outcome_of", [toy_evaluation, troubled])
def test_archive_is_the_same_on_any_number_of_workers(
    kind: type[Generational], outcome_of: Callable[[Candidate], Outcome]
) -> None:
    def archive(capacity: int, order: int) -> dict[int, Outcome]:
        events = play(new(kind, GATED), 90, capacity=capacity, order=order, outcome_of=outcome_of)
        return {event.outcome.candidate.id: event.outcome for event in events if isinstance(event, Finished)}

    alone = archive(1, 0)
    assert len(alone) >= 90
    assert any(outcome.candidate.parents for outcome in alone.values())
    for capacity in (2, 64):
        for order in range(2):
            assert archive(capacity, order) == alone


@kinds
def test_the_next_generation_waits_for_the_last_outcome(kind: type[Generational]) -> None:
    strategy = new(kind)
    first, *others = strategy.ask(1)
    assert len(others) == 9, "the limit cuts no generation"
    for candidate in others:
        strategy.tell(toy_evaluation(candidate))
        assert strategy.ask(1000) == []
    strategy.tell(hopeless(first))
    second = strategy.ask(1)
    assert {candidate.generation for candidate in second} == {1}
    assert [candidate.id for candidate in second] == list(range(10, 10 + len(second)))


@evolving
@pytest.mark.parametrize(("offspring", "sizes"), [(None, [8, 8, 8]), (3, [8, 3, 3, 3]), (20, [8, 20, 20])])
def test_population_and_offspring_are_the_sizes_of_generations(
    kind: type[Generational], offspring: int | None, sizes: list[int]
) -> None:
    events = play(new(kind, population=8, offspring=offspring), sum(sizes))
    assert [len(event.candidates) for event in events if isinstance(event, Asked)] == sizes


@kinds
def test_initial_gates_bound_the_first_generation_only(kind: type[Generational]) -> None:
    gate = Gate("params", at_most=30, applies_to="initial")
    candidates = proposed(play(new(kind, EarlyExit(PLAIN.space, [gate]), population=20), 100))
    passing = [gate.passes(PLAIN.space.costs(candidate.genome)["params"]) for candidate in candidates]
    assert all(passing[:20])
    assert not all(passing[20:])


@kinds
def test_nobody_is_bred_where_everybody_fails(kind: type[Generational]) -> None:
    candidates = proposed(play(new(kind), 40, outcome_of=hopeless))
    assert len(candidates) == 40
    assert not any(candidate.parents for candidate in candidates)


@evolving
def test_one_survivor_is_no_couple(kind: type[Generational]) -> None:
    def lucky(candidate: Candidate) -> Outcome:
        return toy_evaluation(candidate) if candidate.id == 3 else hopeless(candidate)

    assert not any(candidate.parents for candidate in proposed(play(new(kind), 40, outcome_of=lucky)))


@evolving
def test_uniform_genomes_fill_what_cannot_be_bred(kind: type[Generational]) -> None:
    still = {"mutation_probability": 0.0} if kind is MuPlusLambda else {"mutation": 0.0}
    candidates = proposed(play(new(kind, crossover_probability=0.0, **still), 40))
    assert len(candidates) == 40
    assert not any(candidate.parents for candidate in candidates)


def test_children_are_asked_for_as_often_as_some_lack() -> None:
    strategy, asked = new(NSGA2), list[int]()
    genomes = [tuple(map(int, genome)) for genome in np.random.default_rng(0).integers(3, size=(6, 8))]

    def children(count: int) -> list[tuple[Genome, tuple[int, ...]]]:
        asked.append(count)
        return [(genomes[min(len(asked) - 1, 5)], (4, 4, 2))]

    assert strategy.fresh_children(3, children) == [(genome, (4, 2)) for genome in genomes[:3]]
    assert asked == [3, 2, 1]
    asked.clear()
    assert len(strategy.fresh_children(7, children)) == 6
    assert len(asked) == ATTEMPTS


@kinds
def test_a_population_of_one_is_refused(kind: type[Generational]) -> None:
    with pytest.raises(ConfigError, match="'population' must be at least 2, and is 1"):
        new(kind, population=1)
