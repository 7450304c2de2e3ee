"""The search loop: exact budgets, journal first, and the same end however often it is cut and whoever evaluates."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from toy import ToyEvaluator, ToySpace, header, toy_goals

from evonas.controller import Controller, replay
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import EvonasError, SearchStopped
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Fidelity, Outcome, Source, evaluate
from evonas.history import JOURNAL, Generation, History
from evonas.journal import Asked, Closed, Finished, Journal, read
from evonas.pareto import digest
from evonas.pool import WorkerPool
from evonas.strategies.base import Strategy
from evonas.strategies.mo_asha import MOASHA
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.random_search import RandomSearch
from evonas.tracking.base import Tracker

BUDGET = 44  # three generations of 12, and a part of the fourth
GATES = [Gate("params", at_most=28), Gate("macs", at_least=60, applies_to="initial")]
Facts = tuple[str, str, dict[str, int], list[Candidate]]


def toy_outcome(candidate: Candidate) -> Outcome:
    """Evaluate; every ninth network fails, whenever it is its turn."""
    if sum(candidate.genome) % 9 == 0:
        return Failure(candidate, "no layer", FailureKind.ERROR)
    return evaluate(ToyEvaluator(ToySpace(), seed=0), candidate)


class ShufflingPool(WorkerPool):
    """Evaluates in this process, and returns some of what it holds, in any order."""

    def __init__(
        self, capacity: int = 3, order: int = 0, outcome_of: Callable[[Candidate], Outcome] = toy_outcome
    ) -> None:
        self.capacity = capacity
        self.evaluated: list[int] = []
        self._rng = random.Random(order)
        self._outcome_of = outcome_of
        self._held: list[Candidate] = []

    def submit(self, candidates: Sequence[Candidate]) -> None:
        self._held.extend(candidates)
        assert len(self._held) <= self.capacity

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        self._rng.shuffle(self._held)
        count = self._rng.randint(1, len(self._held))
        ready, self._held = self._held[:count], self._held[count:]
        self.evaluated += [candidate.id for candidate in ready]
        return [self._outcome_of(candidate) for candidate in ready]

    def close(self) -> None:
        self._held.clear()


class InterruptedPool(ShufflingPool):
    """Is interrupted when it has given `calls` times."""

    calls = 5

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls -= 1
        return super().next_outcomes(timeout)


def nsga2(early_exit: EarlyExit) -> Strategy:
    return NSGA2(early_exit.space, toy_goals(), early_exit.admit, 5, population=12)


def random_search(early_exit: EarlyExit) -> Strategy:
    return RandomSearch(early_exit.space, toy_goals(), early_exit.admit, 5, block=12)


def steady_state(early_exit: EarlyExit) -> Strategy:
    return SteadyStateNSGA2(early_exit.space, toy_goals(), early_exit.admit, 5, population=12, lag=7)


def climbing(early_exit: EarlyExit) -> Strategy:
    """Climb from one epoch to all; the toy measures both alike."""
    fidelities = {Fidelity(Source.TABULAR, 1): ToyEvaluator.metrics, Fidelity(Source.TABULAR): ToyEvaluator.metrics}
    return MOASHA(early_exit.space, toy_goals(), early_exit.admit, 5, fidelities, population=12, lag=7)


def search(
    folder: Path,
    pool: WorkerPool | None = None,
    *,
    strategy: Callable[[EarlyExit], Strategy] = nsga2,
    space: ToySpace | None = None,
    evaluations: int = BUDGET,
    max_consecutive_failures: int = 10,
    trackers: Sequence[Tracker] = (),
) -> History:
    """Search in a folder with fresh parts, or continue what is there: as evonas.search does."""
    path = folder / JOURNAL
    if path.exists():
        journal, events = Journal.reopen(path)
    else:
        journal, events = Journal.create(path, header(gates=[asdict(gate) for gate in GATES])), list(read(path))
    early_exit = EarlyExit(space or ToySpace(), GATES)
    asking = strategy(early_exit)
    replay(asking, events)
    try:
        return Controller(
            strategy=asking,
            early_exit=early_exit,
            pool=pool or ShufflingPool(),
            journal=journal,
            history=History.replay(events),
            trackers=trackers,
            evaluations=evaluations,
            max_consecutive_failures=max_consecutive_failures,
        ).run()
    finally:
        journal.close()


def facts(folder: Path) -> Facts:
    """What must not depend on cuts, workers and order, from the disk."""
    history = History.read(folder)
    failures = [failure.candidate for failure in history.failures]
    assert history.pending == []
    return digest(history.evaluations), history.front.digest(), dict(history.turned_away), failures


@pytest.fixture(scope="module", params=[nsga2, random_search, steady_state, climbing])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, bytes, Facts]:
    """A strategy, the journal of its uninterrupted search, and the facts of that."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    history = search(folder, strategy=request.param)
    assert min(history.turned_away[gate.name] for gate in GATES) > 0, "the gates have had work"
    return request.param, (folder / JOURNAL).read_bytes(), facts(folder)


def cut_and_resumed(folder: Path, strategy: Any, journal: bytes, pool: ShufflingPool) -> Facts:
    folder.mkdir()
    (folder / JOURNAL).write_bytes(journal)
    outcomes = set(History.read(folder).outcomes)
    search(folder, pool, strategy=strategy)
    assert sorted([*outcomes, *pool.evaluated]) == list(range(BUDGET)), "each once, and nothing finished again"
    return facts(folder)


def test_a_search_cut_at_any_event_ends_as_the_uninterrupted(
    finished: tuple[Any, bytes, Facts], tmp_path: Path
) -> None:
    strategy, journal, expected = finished
    lines = journal.splitlines(keepends=True)
    assert len(lines) >= BUDGET + 3
    for count in range(1, len(lines) + 1):
        pool = ShufflingPool(capacity=1 + count % 5, order=count)
        assert cut_and_resumed(tmp_path / str(count), strategy, b"".join(lines[:count]), pool) == expected, count


def test_a_search_cut_at_any_byte_ends_as_the_uninterrupted(finished: tuple[Any, bytes, Facts], tmp_path: Path) -> None:
    strategy, journal, expected = finished
    first = journal.index(b"\n") + 1
    for cut in random.Random(0).sample(range(first, len(journal)), 20):
        pool = ShufflingPool(capacity=4, order=cut)
        assert cut_and_resumed(tmp_path / str(cut), strategy, journal[:cut], pool) == expected, cut


@pytest.mark.parametrize("capacity", [1, 2, 3, 7, 64])
def test_any_number_of_workers_and_any_order_find_the_same(
    capacity: int, finished: tuple[Any, bytes, Facts], tmp_path: Path
) -> None:
    strategy, _, expected = finished
    for order in range(3):
        folder = tmp_path / str(order)
        folder.mkdir()
        search(folder, ShufflingPool(capacity, order), strategy=strategy)
        assert facts(folder) == expected


@pytest.mark.parametrize("evaluations", [1, 11, 12, 13, 44])
@pytest.mark.parametrize("strategy", [nsga2, random_search, steady_state])
def test_the_budget_is_exact(evaluations: int, strategy: Any, tmp_path: Path) -> None:
    history = search(tmp_path, ShufflingPool(capacity=5), strategy=strategy, evaluations=evaluations)
    assert len(history.outcomes) == len(history.candidates) == evaluations
    assert history.closed == "budget"
    assert list(read(tmp_path / JOURNAL))[-1] == Closed("budget", history.elapsed)


def test_a_finished_search_is_prolonged_to_its_new_budget(tmp_path: Path) -> None:
    first = digest(search(tmp_path, evaluations=30).evaluations)
    before = (tmp_path / JOURNAL).read_bytes()
    search(tmp_path, evaluations=30)
    assert (tmp_path / JOURNAL).read_bytes() == before, "there is nothing to do"
    history = search(tmp_path, evaluations=70)
    assert len(history.outcomes) == len({candidate.genome for candidate in history.candidates.values()}) == 70
    assert digest(e for e in history.evaluations if e.candidate.id < 30) == first
    assert [generation.number for generation in history.generations] == list(range(len(history.generations)))


def test_the_journal_is_written_before_anything_acts_and_durable_before_others_hear_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, durable = tmp_path / JOURNAL, [0]
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        durable[0] = max(durable[0], path.stat().st_size if path.exists() else 0)

    monkeypatch.setattr(os, "fsync", fsync)

    class WatchingPool(ShufflingPool):
        def submit(self, candidates: Sequence[Candidate]) -> None:
            assert durable[0] == path.stat().st_size
            asked = [c for event in read(path) if isinstance(event, Asked) for c in event.candidates]
            assert all(candidate in asked for candidate in candidates)
            super().submit(candidates)

    class WatchingStrategy(NSGA2):
        def tell(self, outcome: Outcome) -> None:
            assert outcome in [event.outcome for event in read(path) if isinstance(event, Finished)]
            super().tell(outcome)

    class WatchingTracker(Tracker):
        def outcome(self, history: History, outcome: Outcome) -> None:
            assert durable[0] == path.stat().st_size
            assert outcome in [event.outcome for event in read(path) if isinstance(event, Finished)]

    def watching(early_exit: EarlyExit) -> Strategy:
        return WatchingStrategy(early_exit.space, toy_goals(), early_exit.admit, 5, population=12)

    search(tmp_path, WatchingPool(), strategy=watching, trackers=[WatchingTracker()])


def test_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    history = search(tmp_path, space=ToySpace(length=4), evaluations=1000)
    assert history.closed == "exhausted"
    assert 0 < len(history.outcomes) == len(history.candidates) < 81
    before = (tmp_path / JOURNAL).read_bytes()
    search(tmp_path, space=ToySpace(length=4), evaluations=1000)
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_failures_in_a_row_stop_the_search_with_the_last_traceback(tmp_path: Path) -> None:
    def failing(candidate: Candidate) -> Outcome:
        if candidate.id < 4:
            return toy_outcome(candidate)
        return Failure(candidate, f"Traceback of {candidate.id}", FailureKind.ERROR)

    pool = ShufflingPool(capacity=1, outcome_of=failing)
    with pytest.raises(SearchStopped) as stopped:
        search(tmp_path, pool, max_consecutive_failures=6)
    assert "6 candidates in a row failed" in str(stopped.value)
    assert f"Traceback of {pool.evaluated[-1]}" in str(stopped.value), "that of the row's end"
    history = History.read(tmp_path)
    assert (history.closed, len(history.failures)) == ("failures", 6)
    assert pool.evaluated == list(range(10))
    one_more = ShufflingPool(capacity=1, outcome_of=lambda c: failing(c) if c.id == 10 else toy_outcome(c))
    assert len(search(tmp_path, one_more, max_consecutive_failures=6).outcomes) == BUDGET, (
        "a first failure stops nothing"
    )


@pytest.mark.parametrize("capacity", [1, 4, 64])
@pytest.mark.parametrize("limit", [3, 4])
def test_whether_failures_stop_a_search_has_no_race_in_it(capacity: int, limit: int, tmp_path: Path) -> None:
    """Three of four fail, and are the first to arrive: never four in a row."""

    def failing(candidate: Candidate) -> Outcome:
        if candidate.id % 4 == 3:
            return toy_outcome(candidate)
        return Failure(candidate, f"Traceback of {candidate.id}", FailureKind.ERROR)

    pool = ShufflingPool(capacity=capacity, order=1, outcome_of=failing)
    if limit == 4:
        assert len(search(tmp_path, pool, max_consecutive_failures=limit).outcomes) == BUDGET
        return
    with pytest.raises(SearchStopped, match=r"3 candidates in a row failed.*candidate 2 ") as stopped:
        search(tmp_path, pool, max_consecutive_failures=limit)
    assert "Traceback of 2" in str(stopped.value)


def test_a_tracker_that_raises_is_dropped_and_the_search_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    class Broken(Tracker):
        def outcome(self, history: History, outcome: Outcome) -> None:
            told.append("outcome")
            raise OSError("the display is gone")

    assert len(search(tmp_path, trackers=[Broken()]).outcomes) == BUDGET
    assert told == ["outcome"]
    assert "Broken is broken" in caplog.text


def test_an_interrupted_search_resumes_to_the_same_end(finished: tuple[Any, bytes, Facts], tmp_path: Path) -> None:
    strategy, _, expected = finished
    pool = InterruptedPool(capacity=4)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, pool, strategy=strategy)
    assert 5 <= len(History.read(tmp_path).outcomes) < BUDGET
    resumed = ShufflingPool()
    search(tmp_path, resumed, strategy=strategy)
    assert sorted([*pool.evaluated, *resumed.evaluated]) == list(range(BUDGET))
    assert facts(tmp_path) == expected


class Repeating(RandomSearch):
    """Proposes as `again` says, from its second ask on."""

    def __init__(self, early_exit: EarlyExit, again: Callable[[Candidate], list[Candidate]]) -> None:
        super().__init__(early_exit.space, toy_goals(), early_exit.admit, 0)
        self.first: list[Candidate] = []
        self._again = again

    def ask(self, limit: int) -> list[Candidate]:
        if not self.first:
            self.first = super().ask(1)
            return self.first
        return self._again(self.first[0])


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (lambda c: [Candidate(1, c.genome, 0)], r"proposed candidate 1 \[.*\] again \(it was candidate 0\)"),
        (lambda c: [Candidate(0, (0, 0, 0, 0, 0, 0), 0)], "proposed candidate 0 .* ids must be new"),
        (
            lambda c: [Candidate(1, c.genome, 0, budget=2), Candidate(2, c.genome, 0, budget=2)],
            "proposed candidate 2 .*",
        ),
        (
            lambda c: [Candidate(n, c.genome, 0, source=Source.ZERO_COST) for n in (1, 2)],
            "proposed candidate 2 .* at the same source and budget",
        ),
        (lambda c: [Candidate(1, (0,) * 6, 0), Candidate(1, (1,) * 6, 0)], "proposed candidate 1 .* ids must be new"),
    ],
)
def test_a_strategy_that_repeats_itself_is_refused(
    again: Callable[[Candidate], list[Candidate]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(EvonasError, match=said):
        search(tmp_path, strategy=lambda early_exit: Repeating(early_exit, again))
    assert len(History.read(tmp_path).candidates) == 1, "and the journal stays sound"


def test_a_network_may_be_evaluated_again_with_another_budget_or_source(tmp_path: Path) -> None:
    def again(first: Candidate) -> list[Candidate]:
        few, more = Candidate(1, first.genome, 0, (0,), budget=2), Candidate(2, first.genome, 0, (0,), budget=4)
        return [few, more, Candidate(3, first.genome, 0, (0,), source=Source.ZERO_COST)]

    history = search(tmp_path, strategy=lambda e: Repeating(e, again), evaluations=4)
    assert len(history.outcomes) == 4
    assert {member.candidate.id for member in history.front.members} <= {0}, "whatever lower fidelities say"


def test_a_resumed_search_knows_what_was_proposed_before(tmp_path: Path) -> None:
    search(tmp_path, strategy=random_search, evaluations=1)
    first = History.read(tmp_path).candidates[0]

    class Forgetful(RandomSearch):
        def ask(self, limit: int) -> list[Candidate]:
            return [Candidate(1, first.genome, 0)]

    with pytest.raises(EvonasError, match=r"candidate 1 .* again"):
        search(tmp_path, strategy=lambda e: Forgetful(e.space, toy_goals(), e.admit, 0))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda outcomes: [], "the pool returned no outcome although it holds candidates"),
        (lambda outcomes: outcomes + outcomes, r"an outcome of candidate \d+, which it does not hold"),
    ],
)
def test_a_pool_that_breaks_its_word_is_refused(broken: Any, said: str, tmp_path: Path) -> None:
    class BrokenPool(ShufflingPool):
        def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
            outcomes: list[Outcome] = broken(super().next_outcomes(timeout))
            return outcomes

    with pytest.raises(EvonasError, match=said):
        search(tmp_path, BrokenPool())
    assert History.read(tmp_path).outcomes == {}, "and the journal stays sound"


def test_trackers_are_told_in_order_and_of_the_end_whatever_it_is(tmp_path: Path) -> None:
    class Diary(Tracker):
        def __init__(self) -> None:
            self.told: list[object] = []

        def started(self, history: History) -> None:
            self.told.append(("started", len(history.outcomes)))

        def outcome(self, history: History, outcome: Outcome) -> None:
            assert history.outcomes[outcome.candidate.id] == outcome
            self.told.append(outcome.candidate.id)

        def generation(self, history: History, generation: Generation) -> None:
            assert history.generations[-1] == generation
            self.told.append(("generation", generation.number))

        def closed(self, history: History) -> None:
            self.told.append(("closed", history.closed))

    diary, pool = Diary(), InterruptedPool(capacity=4)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, pool, trackers=[diary])
    assert diary.told == [("started", 0), *pool.evaluated, ("closed", None)]
    diary, done = Diary(), len(pool.evaluated)
    history = search(tmp_path, trackers=[diary])
    assert diary.told[0] == ("started", done)
    assert diary.told[-2:] == [("generation", 3), ("closed", "budget")]
    assert [told for told in diary.told if isinstance(told, tuple) and told[0] == "generation"] == [
        ("generation", number) for number in range(4)
    ]
    assert sum(isinstance(told, int) for told in diary.told) == BUDGET - done
    assert all(isinstance(history.outcomes[i], Evaluation | Failure) for i in range(BUDGET))
