"""What a pool has still to do: candidates, and what became of the attempts at them."""

from __future__ import annotations

import heapq
import math
import statistics
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from evonas.errors import require
from evonas.evaluation import Candidate, Failure, FailureKind, Source

LONGEST_BACKOFF_SECONDS = 60.0
_KNOWN, _REMEMBERED = 5, 255  # durations needed to know a median, and kept for it


@dataclass(frozen=True, slots=True)
class Task:
    """A candidate, what became of the attempts so far, and whether it must have a worker's call to itself.

    `alone` also asks for a device to itself: the last attempt ran out of memory.
    """

    candidate: Candidate
    troubles: tuple[str, ...] = ()
    single: bool = False
    alone: bool = False

    @property
    def fidelity(self) -> tuple[Source | None, int | None]:
        """Source and budget: tasks that agree in them cost about the same."""
        return self.candidate.source, self.candidate.budget

    def after(self, trouble: str) -> Task:
        """Return the task with one more attempt that failed."""
        return replace(self, troubles=(*self.troubles, trouble))


class TaskQueue:
    """Tasks in the order in which they come; one whose attempt failed comes again, first, after a pause.

    The pause is `backoff_seconds`, doubled with each further attempt: what killed a worker, memory that others held
    or a node on its way out, has time to pass. Times are seconds of any clock.
    """

    def __init__(self, retries: int, backoff_seconds: float) -> None:
        require("retries", retries, retries >= 0, "0 or more")
        require("backoff_seconds", backoff_seconds, 0 <= backoff_seconds < math.inf, "0 or more")
        self._attempts = retries + 1
        self._backoff_seconds = backoff_seconds
        self._tasks: deque[Task] = deque()
        self._pausing: list[tuple[float, int, Task]] = []

    def __len__(self) -> int:
        return len(self._tasks) + len(self._pausing)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Append new candidates."""
        self._tasks.extend(Task(candidate) for candidate in candidates)

    def take(self, count: int, now: float) -> list[Task]:
        """Return the next tasks that are due, at most `count` of one fidelity that may share a call; [] if none is."""
        if self._pausing and self._pausing[0][0] <= now:
            return [heapq.heappop(self._pausing)[2]]
        taken: list[Task] = []
        while self._tasks and len(taken) < count:
            if taken and (self._tasks[0].single or self._tasks[0].fidelity != taken[0].fidelity):
                break
            taken.append(self._tasks.popleft())
            if taken[-1].single:
                break
        return taken

    @property
    def next_fidelity(self) -> tuple[Source | None, int | None]:
        """Source and budget of the task that comes next, of the top if there is none."""
        return self._tasks[0].fidelity if self._tasks else (None, None)

    def take_first(self, fits: Callable[[Task], bool], now: float) -> Task | None:
        """Return the first task that is due and of which `fits` says yes; None if there is none."""
        while self._pausing and self._pausing[0][0] <= now:
            self._tasks.appendleft(heapq.heappop(self._pausing)[2])
        for position, task in enumerate(self._tasks):
            if fits(task):
                del self._tasks[position]
                return task
        return None

    def next_due(self) -> float:
        """Return when a pause ends, infinity if none does."""
        return self._pausing[0][0] if self._pausing else math.inf

    def put_back(self, tasks: Sequence[Task], *, single: bool = False, alone: bool = False) -> None:
        """Take tasks again, first and without blame; `single`: each gets its own call, `alone`: also its own device."""
        again = [replace(t, single=single or alone or t.single, alone=alone or t.alone) for t in tasks]
        self._tasks.extendleft(reversed(again))

    def retry(self, task: Task, kind: FailureKind, trouble: str, now: float) -> Failure | None:
        """Take a task again whose attempt failed or, with its attempts spent, return the Failure that tells of all."""
        task = replace(task.after(trouble), single=True, alone=task.alone or kind is FailureKind.OUT_OF_MEMORY)
        made = len(task.troubles)
        if made < self._attempts:
            pause = min(self._backoff_seconds * 2 ** (made - 1), LONGEST_BACKOFF_SECONDS)
            heapq.heappush(self._pausing, (now + pause, task.candidate.id, task))
            return None
        told = (f"attempt {n} of {self._attempts}: {text}" for n, text in enumerate(task.troubles, start=1))
        return Failure(task.candidate, "; ".join(told), kind)

    def clear(self) -> None:
        """Forget everything."""
        self._tasks.clear()
        self._pausing.clear()


class CallSize:
    """How many candidates a call to a worker carries: one, or more where evaluations cost less than the call.

    It grows, at most doubling, until a call takes `SECONDS`; a worker begins nothing more when twice that has passed,
    so that evaluations which suddenly take long do not wait for each other. What is left of a queue is shared out among
    the workers, but not in calls that take less than `LEAST_SECONDS`, which is what a call itself costs.
    """

    SECONDS, LEAST_SECONDS = 0.05, 0.001
    LARGEST = 256

    def __init__(self) -> None:
        self.size = 1
        self._each = 0.0

    def observe(self, count: int, seconds: float) -> None:
        """Learn that a worker took so long for so many candidates."""
        each = seconds / count
        self._each = each if each > self._each else 0.8 * self._each + 0.2 * each  # slow ones count at once
        wanted = int(min(self.SECONDS / max(self._each, 1e-9), self.LARGEST))
        self.size = max(1, min(wanted, 2 * self.size))

    def share(self, queued: int, workers: int) -> int:
        """Return how many of the queued candidates the next call carries, so that every worker gets some."""
        least = max(1, int(min(self.LEAST_SECONDS / self._each, self.size))) if self._each else 1
        calls = max(1, min(workers, queued // least))
        return min(self.size, -(-queued // calls))


class Stragglers:
    """Knows from the durations so far when an evaluation is late: after `factor` times their median; None = never.

    Each source and budget has a median of its own. A task is run a second time only on its first attempt: one that has
    failed may fail again, and must come to an end.
    """

    def __init__(self, factor: float | None) -> None:
        require("straggler_factor", factor, factor is None or factor > 1, "above 1, or null")
        self._factor = factor
        self._durations: defaultdict[object, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._late_after: dict[object, float] = {}

    @property
    def active(self) -> bool:
        """Whether any evaluation is ever late."""
        return self._factor is not None

    def observe(self, candidate: Candidate, seconds: float) -> None:
        """Learn the duration of an evaluation."""
        fidelity = candidate.source, candidate.budget
        self._durations[fidelity].append(seconds)
        self._late_after.pop(fidelity, None)

    def late_after(self, candidate: Candidate) -> float:
        """Return the seconds after which the evaluation of a candidate is late, infinity while too little is known."""
        fidelity = candidate.source, candidate.budget
        if self._factor is None or len(self._durations[fidelity]) < _KNOWN:
            return math.inf
        if fidelity not in self._late_after:
            self._late_after[fidelity] = self._factor * statistics.median(self._durations[fidelity])
        return self._late_after[fidelity]
