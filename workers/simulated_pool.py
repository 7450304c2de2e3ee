"""A pool on a virtual clock: thousands of workers, their failures and their stragglers, simulated in one process."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evonas.errors import require
from evonas.evaluation import (
    Candidate,
    Evaluation,
    Evaluator,
    FailureKind,
    Fidelity,
    Outcome,
    batches,
    evaluate_many,
    made_by,
)
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.seeds import generator
from evonas.workers.durations import Durations
from evonas.workers.provenance import this_worker
from evonas.workers.tasks import Stragglers, Task, TaskQueue
from evonas.workers.worker_actor import build_evaluator, worker_environment


@dataclass(frozen=True, slots=True)
class _Flight:
    """A worker at work on a task until the moment `ends`, in vain if there is `trouble`; or a new one that starts."""

    task: Task | None
    began: float
    ends: float
    trouble: tuple[FailureKind, str] | None = None


class SimulatedPool(WorkerPool):
    """Evaluates for real, in this process, and pretends that it took as long as `Durations` says, on `workers`.

    Where the evaluator has recorded seconds of a network, as a table's may, it takes those. At fidelities that `parts`
    names, such as `trained, 1 epoch`, an evaluation takes that part of the drawn seconds.
    A share `failure_rate` of attempts ends with the worker's death, somewhere on the way, and the new worker takes
    `restart_seconds`; a share `straggler_rate` takes `straggler_slowdown` times as long. Retries, pauses, timeouts and
    second runs of stragglers are those of RayPool. The evaluator should cost little: a formula, a table, a predictor;
    one that measures batches is asked for all at once that the workers are busy with.
    Everything is a function of the seed and of what the pool is given, and no time passes but on its clock.
    """

    def __init__(
        self,
        recipe: EvaluatorRecipe,
        shared: object = None,
        *,
        workers: int = 8,
        median_seconds: float = 60.0,
        sigma: float = 0.0,
        seconds_per_mac: float = 0.0,
        parts: Mapping[str, float] = {},
        table: Path | None = None,
        column: str | None = None,
        run: Path | None = None,
        failure_rate: float = 0.0,
        straggler_rate: float = 0.0,
        straggler_slowdown: float = 10.0,
        straggler_factor: float | None = None,
        timeout_seconds: float | None = None,
        retries: int = 1,
        backoff_seconds: float = 0.5,
        restart_seconds: float = 0.0,
        simulation_seed: int = 0,
    ) -> None:
        require("workers", workers, workers >= 1, "1 or more")
        for name, rate in (("failure_rate", failure_rate), ("straggler_rate", straggler_rate)):
            require(name, rate, 0 <= rate <= 1, "a share, between 0 and 1")
        require("straggler_slowdown", straggler_slowdown, straggler_slowdown >= 1, "1 or more")
        require("timeout_seconds", timeout_seconds, timeout_seconds is None or timeout_seconds > 0, "above 0, or null")
        for fidelity, part in parts.items():
            require(f"parts.{fidelity}", part, 0 <= part < math.inf, "0 or more")
        require("restart_seconds", restart_seconds, restart_seconds >= 0, "0 or more")
        self.capacity = workers
        self.busy_seconds = 0.0
        """Seconds that workers have spent on evaluations, of all that there are: `workers` times `clock()`."""
        self._durations = Durations(simulation_seed, median_seconds, sigma, table, column, run, seconds_per_mac)
        self._by_size = seconds_per_mac > 0
        self._parts = parts
        self._failure_rate, self._straggler_rate = failure_rate, straggler_rate
        self._slowdown, self._restart_seconds = straggler_slowdown, restart_seconds
        self._timeout_seconds = math.inf if timeout_seconds is None else timeout_seconds
        self._stragglers = Stragglers(straggler_factor)
        self._queue = TaskQueue(retries, backoff_seconds)
        self._seed = simulation_seed
        self._now = 0.0
        self._flights: dict[int, _Flight] = {}
        self._ends: list[tuple[float, int]] = []
        self._flown = 0
        self._begun: Counter[int] = Counter()
        self._recipe, self._shared = recipe, shared
        self._evaluator: Evaluator | None = None
        self._evaluated: dict[int, Outcome] = {}
        self._here = this_worker("cpu", 1)

    def clock(self) -> float:
        """Return the virtual seconds since the pool was made."""
        return self._now

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Queue candidates."""
        self._queue.add(candidates)

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Let time pass until there is an outcome, at most `timeout` virtual seconds."""
        until = math.inf if timeout is None else self._now + timeout
        while self._flights or self._queue:
            self._hand_out()
            moment = min(self._ends[0][0] if self._ends else math.inf, self._next_due(), self._next_late())
            if moment > until:
                self._now = until
                return []
            self._now = max(self._now, moment)
            if outcomes := self._land():
                return outcomes
        return []

    def close(self) -> None:
        """Forget what is held."""
        self._queue.clear()
        self._flights.clear()
        self._ends.clear()
        self._evaluated.clear()

    def _hand_out(self) -> None:
        while len(self._flights) < self.capacity and (tasks := self._queue.take(1, self._now)):
            self._fly(tasks[0])
        while len(self._flights) < self.capacity and self._next_late() <= self._now:
            self._fly(self._late()[0][1].task)

    def _fly(self, task: Task | None) -> None:
        """Decide how this attempt will end, and when."""
        assert task is not None
        attempt = len(task.troubles)
        seconds = self._own_evaluator().at(task.candidate.source).recorded_seconds(task.candidate.genome)
        if seconds is None:
            macs = self._own_evaluator().space.costs(task.candidate.genome).get("macs", 0.0) if self._by_size else 0.0
            seconds = self._durations.seconds(task.candidate, attempt, macs) * self._part(task.candidate)
        trouble = None
        if self._failure_rate or self._straggler_rate:
            fate = generator(self._seed, "fate", task.candidate.id, self._begun[task.candidate.id]).random(3)
            self._begun[task.candidate.id] += 1
            if fate[0] < self._straggler_rate:
                seconds *= self._slowdown
            if fate[1] < self._failure_rate:
                seconds *= float(fate[2])
                trouble = (FailureKind.CRASH, "the simulated worker died")
        if seconds > self._timeout_seconds:
            seconds = self._timeout_seconds
            trouble = (FailureKind.TIMEOUT, f"no result within {seconds:g} s, so the worker was killed")
        self._take_off(_Flight(task, self._now, self._now + seconds, trouble))

    def _part(self, candidate: Candidate) -> float:
        """Return what part of a whole evaluation's seconds the candidate takes."""
        if not self._parts:
            return 1.0
        source = self._own_evaluator().at(candidate.source).source
        return self._parts.get(str(Fidelity(source, candidate.budget)), 1.0)

    def _take_off(self, flight: _Flight) -> None:
        self._flights[self._flown] = flight
        heapq.heappush(self._ends, (flight.ends, self._flown))
        self._flown += 1

    def _land(self) -> list[Outcome]:
        """End the flights whose time has come, and return the outcomes that came of them."""
        outcomes: list[Outcome] = []
        while self._ends and self._ends[0][0] <= self._now:
            flight = self._flights.pop(heapq.heappop(self._ends)[1], None)
            if flight is None or flight.task is None:
                continue
            self.busy_seconds += flight.ends - flight.began
            twins = self._twins(flight)
            if flight.trouble is None:
                for number in twins:
                    self.busy_seconds += self._now - self._flights.pop(number).began
                outcomes.append(self._outcome(flight.task.candidate, flight.ends - flight.began))
                continue
            if self._restart_seconds:
                self._take_off(_Flight(None, self._now, self._now + self._restart_seconds))
            for number in twins:  # its second flight goes on, and knows of the first
                self._flights[number] = replace(self._flights[number], task=flight.task.after(flight.trouble[1]))
            failure = None if twins else self._queue.retry(flight.task, *flight.trouble, self._now)
            outcomes += [failure] if failure else []
        return outcomes

    def _outcome(self, candidate: Candidate, seconds: float) -> Outcome:
        if candidate.id not in self._evaluated:
            self._evaluate(candidate)
        outcome = self._evaluated.pop(candidate.id)
        self._stragglers.observe(candidate, seconds)
        timed = replace(outcome, seconds=seconds) if isinstance(outcome, Evaluation) else outcome
        return made_by(self._here, candidate, timed)

    def _evaluate(self, candidate: Candidate) -> None:
        """Evaluate a candidate, and with it, if that is cheaper, those that are under way."""
        evaluator, wanted = self._own_evaluator(), {candidate.id: candidate}
        if batches(evaluator):
            under_way = (flight.task.candidate for flight in self._flights.values() if flight.task is not None)
            wanted.update((other.id, other) for other in under_way if other.id not in self._evaluated)
        with worker_environment(1, "cpu"):
            outcomes = evaluate_many(evaluator, list(wanted.values()))
        self._evaluated.update(zip(wanted, outcomes, strict=True))

    def _twins(self, flight: _Flight) -> list[int]:
        """Return the other flights of a task that is flown twice; without stragglers nobody looks through them all."""
        if not self._stragglers.active:
            return []
        assert flight.task is not None
        id_ = flight.task.candidate.id
        return [n for n, other in self._flights.items() if other.task is not None and other.task.candidate.id == id_]

    def _own_evaluator(self) -> Evaluator:
        if self._evaluator is None:
            with worker_environment(1, "cpu"):
                self._evaluator = build_evaluator(self._recipe, self._shared)
        return self._evaluator

    def _next_due(self) -> float:
        """Return when a free worker can take a task whose pause is over, infinity if there is none."""
        return self._queue.next_due() if len(self._flights) < self.capacity else math.inf

    def _late(self) -> list[tuple[float, _Flight]]:
        """Return the flights that may be flown a second time and when they are late, the first to be so first."""
        if self._queue or not self._stragglers.active:
            return []
        flights = [(flight, flight.task) for flight in self._flights.values() if flight.task is not None]
        count = Counter(task.candidate.id for _, task in flights)
        first = [
            (flight.began + self._stragglers.late_after(task.candidate), flight)
            for flight, task in flights
            if count[task.candidate.id] == 1 and not task.troubles
        ]
        return sorted(first, key=lambda late: (late[0], late[1].began))

    def _next_late(self) -> float:
        """Return when a free worker has a straggler to run again, infinity if it never has."""
        if len(self._flights) >= self.capacity or not (late := self._late()):
            return math.inf
        return late[0][0]
