"""What every tracker must satisfy: inherit TrackerContract as a test class and provide `tracker`."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import synthetic

from evonas.history import JOURNAL, History
from evonas.journal import Event, Finished, Header, Journal
from evonas.space import SearchSpace
from evonas.tracking.base import Tracker


class TrackerContract:
    """Claims about any Tracker; a test of a new one is `class TestMine(TrackerContract)` with `tracker` defined.

    `events` may be overridden with the journal of another search.
    """

    hook_seconds = 0.05
    """How long hooks of a kind may hold the driver up in the median; one may for twenty times that: machines stall."""

    close_seconds = 120.0
    """How long the end of a search may take."""

    def tracker(self, run_folder: Path, space: SearchSpace) -> Tracker:
        raise NotImplementedError

    def events(self) -> list[Event]:
        return synthetic.events(generations=3, size=8)

    def test_hooks_return_at_once_and_the_end_within_its_bound(self, tmp_path: Path) -> None:
        run = new_run(tmp_path)
        tracker = self.tracker(run, synthetic.IntegerSpace())
        hooks, history = play(tracker, run, self.events())
        assert all(statistics.median(hooks[kind]) < self.hook_seconds for kind in ("outcome", "generation"))
        spent = sorted(itertools.chain(*hooks.values()))
        assert spent[-2] < 20 * self.hook_seconds, "one stall of the machine aside"
        assert seconds(lambda: tracker.closed(history)) < self.close_seconds
        assert seconds(lambda: tracker.closed(history)) < self.close_seconds / 4, "closed for a second time"

    def test_resumed_and_interrupted_searches_are_welcome(self, tmp_path: Path) -> None:
        run, events = new_run(tmp_path), self.events()
        for stop in (len(events) // 2, len(events)):
            tracker = self.tracker(run, synthetic.IntegerSpace())
            _, history = play(tracker, run, events[:stop])
            tracker.closed(history)

    def test_search_that_never_started_can_be_closed(self, tmp_path: Path) -> None:
        tracker = self.tracker(new_run(tmp_path), synthetic.IntegerSpace())
        tracker.closed(History.replay(self.events()[:1]))


def new_run(root: Path, name: str = "run") -> Path:
    """Return a new run folder."""
    run = root / name
    run.mkdir(parents=True)
    return run


def play(
    tracker: Tracker, run: Path, events: list[Event], *, pause: float = 0.0
) -> tuple[dict[str, list[float]], History]:
    """Search as a driver does, without `closed`: begin or resume a journal with the `events` that it lacks.

    Returns the seconds of each hook, by kind, and the history.
    """
    journal, known = begin(run, events)
    history = History.replay(known)
    hooks = {"started": [seconds(lambda: tracker.started(history))], "outcome": [], "generation": []}
    for event in events[len(known) :]:
        journal.append([event])
        completed = history.apply(event)
        if isinstance(event, Finished):
            outcome = event.outcome
            hooks["outcome"].append(seconds(lambda: tracker.outcome(history, outcome)))  # noqa: B023
        hooks["generation"] += [seconds(lambda: tracker.generation(history, each)) for each in completed]  # noqa: B023
        time.sleep(pause)
    journal.close()
    return hooks, history


def begin(run: Path, events: list[Event]) -> tuple[Journal, list[Event]]:
    """Open the journal of a run folder or begin it, and return what it holds."""
    if (run / JOURNAL).exists():
        return Journal.reopen(run / JOURNAL)
    header = events[0]
    assert isinstance(header, Header)
    return Journal.create(run / JOURNAL, header), events[:1]


def seconds(call: Callable[[], None]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
