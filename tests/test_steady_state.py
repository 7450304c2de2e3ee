"""Asynchronous strategies commit in ticket order within a lag, or in order of arrival, and never wait without need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from strategy_contract import hopeless, play, proposed, troubled
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.controller import replay
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Outcome
from evonas.journal import Event, Finished
from evonas.space import Genome
from evonas.strategies.aging_evolution import AgingEvolution
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.steady_state import SteadyState

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())
GATED = EarlyExit(ToySpace(length=8), [Gate("params", at_most=40)])

kinds = pytest.mark.parametrize("kind", [SteadyStateNSGA2, AgingEvolution])


def new(kind: type[SteadyState], early_exit: EarlyExit = PLAIN, seed: int = 0, **options: object) -> SteadyState:
    defaults = {"population": 10, "lag": 8}
    return kind(early_exit.space, toy_goals(), early_exit.admit, seed, **{**defaults, **options})  # type: ignore[arg-type]


def archive(events: list[Event]) -> dict[int, Outcome]:
    """Return all outcomes by id."""
    outcomes = [event.outcome for event in events if isinstance(event, Finished)]
    return {outcome.candidate.id: outcome for outcome in sorted(outcomes, key=lambda outcome: outcome.candidate.id)}


@kinds
@pytest.mark.parametrize("outcome_of", [toy_evaluation, troubled])
def test_archive_is_the_same_on_any_number_of_workers(
    kind: type[SteadyState], outcome_of: Callable[[Candidate], Outcome]
) -> None:
    alone = archive(play(new(kind, GATED), 90, capacity=1, outcome_of=outcome_of))
    assert len(alone) == 90
    assert any(outcome.candidate.parents for outcome in alone.values())
    for capacity in (2, 8, 64):
        for order in range(3):
            events = play(new(kind, GATED), 90, capacity=capacity, order=order, outcome_of=outcome_of)
            assert archive(events) == alone


@kinds
def test_arrival_decides_where_determinism_is_not_asked_for(kind: type[SteadyState]) -> None:
    one, other = (proposed(play(new(kind, deterministic=False), 60, capacity=8, order=order)) for order in (1, 2))
    assert one[:10] == other[:10], "the initial population is the same"
    assert one != other


@kinds
def test_prolonging_to_any_length_equals_a_longer_search(kind: type[SteadyState]) -> None:
    long = archive(play(new(kind), 60))
    for length in (1, 7, 10, 23, 41, 59):
        strategy, resumed = new(kind), new(kind)
        events = play(strategy, length, order=length)
        replay(resumed, events)
        assert archive(events + play(strategy, 60 - length, order=1)) == long
        assert archive(events + play(resumed, 60 - length, capacity=3)) == long


@kinds
def test_limits_of_ask_change_nothing(kind: type[SteadyState]) -> None:
    greedy, modest = new(kind), new(kind)
    for _ in range(12):
        asked = greedy.ask(1000)
        assert len(asked) == 8
        assert [candidate for _ in asked for candidate in modest.ask(1)] == asked
        for candidate in asked:
            greedy.tell(toy_evaluation(candidate))
            modest.tell(toy_evaluation(candidate))


@kinds
def test_a_straggler_stops_the_others_after_the_lag(kind: type[SteadyState]) -> None:
    strategy = new(kind)
    first, *others = strategy.ask(1000)
    assert len(others) == 7, "lag candidates at a time"
    for candidate in others:
        strategy.tell(toy_evaluation(candidate))
        assert strategy.ask(1000) == []
    strategy.tell(toy_evaluation(first))
    assert [candidate.id for candidate in strategy.ask(1000)] == list(range(8, 16)), "all that waited is committed"


@kinds
def test_a_straggler_stops_nobody_where_determinism_is_not_asked_for(kind: type[SteadyState]) -> None:
    strategy = new(kind, deterministic=False)
    strategy.ask(1)
    for number in range(1, 50):
        (candidate,) = strategy.ask(1)
        assert candidate.id == number
        strategy.tell(toy_evaluation(candidate))


@kinds
@pytest.mark.parametrize("lag", [1, 5, 12])
def test_a_ticket_is_bred_from_outcomes_exactly_lag_back(kind: type[SteadyState], lag: int) -> None:
    def bettered(better: int) -> Callable[[Candidate], Outcome]:
        """Return the toy's evaluation, with one candidate that no other can beat."""

        def outcome_of(candidate: Candidate) -> Outcome:
            evaluation = toy_evaluation(candidate)
            return (
                replace(evaluation, metrics={"valid_error": 0.0, "params": 0.0})
                if candidate.id == better
                else evaluation
            )

        return outcome_of

    plain = proposed(play(new(kind, lag=lag), 80))
    felt = []
    for better in range(10, 40):
        changed = proposed(play(new(kind, lag=lag), 80, outcome_of=bettered(better)))
        differing = [a.id for a, b in zip(plain, changed, strict=True) if a != b]
        assert min(differing) >= better + lag, "not earlier"
        felt.append(min(differing) == better + lag)
    assert any(felt), "and not later"
    assert max(parent - candidate.id for candidate in plain for parent in candidate.parents) == -lag


@kinds
def test_one_candidate_at_a_time_with_a_lag_of_one(kind: type[SteadyState]) -> None:
    strategy = new(kind, lag=1)
    (candidate,) = strategy.ask(10)
    assert strategy.ask(10) == []
    strategy.tell(toy_evaluation(candidate))
    assert [c.id for c in strategy.ask(10)] == [1]


@kinds
def test_lag_is_the_population_by_default(kind: type[SteadyState]) -> None:
    strategy = new(kind, population=13, lag=None)
    assert strategy.deterministic
    assert len(strategy.ask(1000)) == 13


@kinds
def test_initial_gates_bound_the_first_population_only(kind: type[SteadyState]) -> None:
    gate = Gate("params", at_most=30, applies_to="initial")
    candidates = proposed(play(new(kind, EarlyExit(PLAIN.space, [gate]), population=20), 100))
    passing = [gate.passes(PLAIN.space.costs(candidate.genome)["params"]) for candidate in candidates]
    assert all(passing[:20])
    assert not all(passing[20:])


@kinds
def test_a_population_of_tickets_is_reported_as_a_generation(kind: type[SteadyState]) -> None:
    assert [c.generation for c in proposed(play(new(kind), 25))] == [0] * 10 + [1] * 10 + [2] * 5


@kinds
@pytest.mark.parametrize("deterministic", [True, False])
def test_nobody_is_bred_where_everybody_fails(kind: type[SteadyState], deterministic: bool) -> None:
    candidates = proposed(play(new(kind, deterministic=deterministic), 40, outcome_of=hopeless))
    assert len(candidates) == 40
    assert not any(candidate.parents for candidate in candidates)


@kinds
def test_an_exhausted_space_is_searched_through_once(kind: type[SteadyState]) -> None:
    class Counting(ToySpace):
        samples = 0

        def sample(self, rng: np.random.Generator) -> Genome:
            self.samples += 1
            return super().sample(rng)

    space = Counting(length=4, redundant=False)
    strategy = new(kind, EarlyExit(space, ()))
    assert len(proposed(play(strategy, 1000))) == 81
    samples = space.samples
    assert [strategy.ask(3) for _ in range(5)] == [[]] * 5
    assert space.samples == samples


@kinds
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"population": 1}, "'population' must be at least 2, and is 1"),
        ({"lag": 0}, "'lag' must be at least 1, and is 0"),
    ],
)
def test_options_out_of_range_are_refused(kind: type[SteadyState], options: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        new(kind, **options)
