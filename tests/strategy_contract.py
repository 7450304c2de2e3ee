"""What every strategy must satisfy: inherit StrategyContract as a test class and set `component`."""

from __future__ import annotations

import copy
import itertools
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.controller import replay
from evonas.early_exit import EarlyExit, Gate
from evonas.evaluation import Candidate, Failure, FailureKind, Fidelity, Metric, Outcome, Rejection
from evonas.goals import Goals
from evonas.journal import Asked, Event, Finished
from evonas.strategies.base import Strategy

GATE = Gate("params", at_most=20)


def play(
    strategy: Strategy,
    evaluations: int,
    *,
    capacity: int = 4,
    order: int = 0,
    outcome_of: Callable[[Candidate], Outcome] = toy_evaluation,
    watch: Callable[[list[Event]], None] = lambda events: None,
) -> list[Event]:
    """Ask and tell as a search does on `capacity` workers whose outcomes arrive in a random `order`.

    The last generation is not cut short, so there may be a few more candidates than `evaluations`.
    """
    events, queue, running, rng = list[Event](), deque[Candidate](), list[Candidate](), random.Random(order)
    asked = 0
    while True:
        while len(running) < capacity:
            if not queue and (left := evaluations - asked) > 0:
                candidates = strategy.ask(min(capacity - len(running), left))
                if candidates:
                    events.append(Asked(candidates))
                    watch(events)
                queue.extend(candidates)
                asked += len(candidates)
            if not queue:
                break
            running.append(queue.popleft())
        if not running:
            return events
        outcome = outcome_of(running.pop(rng.randrange(len(running))))
        strategy.tell(outcome)
        events.append(Finished(outcome, 0.0))
        watch(events)


def proposed(events: Sequence[Event]) -> list[Candidate]:
    """Return all candidates that were asked for."""
    return [candidate for event in events if isinstance(event, Asked) for candidate in event.candidates]


def troubled(candidate: Candidate) -> Outcome:
    """Let every third candidate fail and every fourth be rejected."""
    if candidate.id % 3 == 1:
        return Failure(candidate, "no layer", FailureKind.ERROR)
    return Rejection(candidate, "synflow", 1.0, 3.0) if candidate.id % 4 == 0 else toy_evaluation(candidate)


def hopeless(candidate: Candidate) -> Outcome:
    return Failure(candidate, "no layer", FailureKind.ERROR)


class StrategyContract:
    """Claims about any Strategy; a new one is tested by `class TestMine(StrategyContract): component = Component(...)`.

    Options should make a generation, if there is such a thing, of about ten candidates.
    """

    component: Component
    evaluations = 45
    fidelities: Mapping[Fidelity, Sequence[Metric]] | None = None
    """What the evaluator would have, for strategies that ask for it: each network is then proposed once at each."""
    order_matters = False
    """Whether the order of arrival is a part of the history."""

    def strategy(self, early_exit: EarlyExit | None = None, *, goals: Goals | None = None, seed: int = 0) -> Strategy:
        early_exit, goals = early_exit or EarlyExit(ToySpace(), ()), goals or toy_goals()
        supplies = {"space": early_exit.space, "goals": goals, "admit": early_exit.admit, "seed": seed}
        supplies |= {"fidelities": self.fidelities} if self.fidelities else {}
        strategy: Strategy = self.component.build(supplies)
        return strategy

    def test_proposals_are_a_function_of_seed_and_history(self) -> None:
        state = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
        first, second = self.strategy(), self.strategy()
        for number in range(6):
            asked = first.ask(9)
            assert second.ask(9) == asked
            assert asked
            for candidate in asked:
                first.tell(troubled(candidate))
            for candidate in asked if self.order_matters else random.Random(number).sample(asked, len(asked)):
                second.tell(troubled(candidate))
        assert np.random.get_state()[1].tolist() == state, "global generators are left alone"  # type: ignore[index, union-attr]
        assert proposed(play(self.strategy(seed=1), 20)) != proposed(play(self.strategy(seed=2), 20))

    def test_asking_while_waiting_changes_nothing(self) -> None:
        calm, pushed = EarlyExit(ToySpace(), [GATE]), EarlyExit(ToySpace(), [GATE])
        patient, pushing = self.strategy(calm), self.strategy(pushed)
        for _ in range(4):
            asked = patient.ask(9)
            assert pushing.ask(9) == asked
            if copy.deepcopy(patient).ask(9) == []:
                assert [pushing.ask(9) for _ in range(3)] == [[], [], []]
            assert pushed.take_counts() == calm.take_counts()
            for candidate in asked:
                patient.tell(toy_evaluation(candidate))
                pushing.tell(toy_evaluation(candidate))

    def test_no_network_is_proposed_twice_until_the_space_is_exhausted(self) -> None:
        space = ToySpace(length=4)
        strategy = self.strategy(EarlyExit(space, ()))
        asked = proposed(play(strategy, 1000))
        assert len(asked) == len({(candidate.genome, candidate.source, candidate.budget) for candidate in asked})
        genomes = [candidate.genome for candidate in asked if candidate.budget == asked[0].budget]
        assert len(genomes) == len(set(genomes))
        assert set(genomes) == {space.canonical(genome) for genome in itertools.product(range(3), repeat=4)}
        assert strategy.ask(5) == []

    def test_every_proposal_passes_the_gates_and_is_canonical(self) -> None:
        space = ToySpace()
        genomes = [c.genome for c in proposed(play(self.strategy(EarlyExit(space, [GATE])), self.evaluations))]
        assert len(genomes) >= self.evaluations
        assert all(GATE.passes(space.costs(genome)["params"]) for genome in genomes)
        assert all(space.validate(genome) == space.canonical(genome) == genome for genome in genomes)
        assert all(type(index) is int for genome in genomes for index in genome), "plain, for the journal"

    def test_ids_and_generations_count_up_and_parents_are_older(self) -> None:
        candidates = proposed(play(self.strategy(), self.evaluations))
        assert [candidate.id for candidate in candidates] == list(range(len(candidates)))
        generations = [candidate.generation for candidate in candidates]
        assert sorted(set(generations)) == list(range(max(generations) + 1))
        assert generations == sorted(generations)
        assert all(0 <= parent < candidate.id for candidate in candidates for parent in candidate.parents)
        assert all(type(number) is int for c in candidates for number in (c.id, c.generation, *c.parents))

    def test_replay_continues_as_the_live_strategy_at_every_event(self) -> None:
        live, next_asks = self.strategy(EarlyExit(ToySpace(), [GATE])), []
        events = play(
            live, self.evaluations, outcome_of=troubled, watch=lambda _: next_asks.append(copy.deepcopy(live).ask(3))
        )
        assert len(next_asks) == len(events) > self.evaluations
        for cut, expected in enumerate(next_asks, start=1):
            resumed = self.strategy(EarlyExit(ToySpace(), [GATE]))
            replay(resumed, events[:cut])
            assert resumed.ask(3) == expected, f"after {cut} events"

    def test_failures_and_rejections_are_survived(self) -> None:
        for outcome_of in (troubled, hopeless):
            events = play(self.strategy(), self.evaluations, outcome_of=outcome_of)
            assert len(proposed(events)) >= self.evaluations
