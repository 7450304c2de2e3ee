"""A pool of Ray actors that survives the loss of its workers, its nodes and its cluster."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evonas.errors import EvonasError, ResourceError, require
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Outcome, made_by
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers.flights import Flight, Flights, Member
from evonas.workers.gpu_sharing import GpuSharing
from evonas.workers.ray_cluster import WATCH_SECONDS, HeadSilent, refuses
from evonas.workers.ray_crew import Crew, Loss, Request, kill, result_of
from evonas.workers.ray_session import living_nodes
from evonas.workers.tasks import CallSize, Stragglers, Task, TaskQueue
from evonas.workers.worker_actor import Started, Work, build_evaluator

FRESH_SECONDS = 1.0
"""A worker that was heard of so recently is taken for alive."""
_log = logging.getLogger(__name__)


class RayPool(WorkerPool):
    """Evaluates candidates in `workers` Ray actors of `cpus` CPUs (as many torch threads) and `gpus` GPUs each.

    A worker that dies, or that keeps a candidate longer than `timeout_seconds`, is killed and replaced, and its
    candidate tried again up to `retries` times, after `backoff_seconds` and then twice as long each time; then it is a
    Failure that tells of every attempt. So is one that runs out of memory: out of `memory_gb`, if given, which is what
    a worker may take for its work. Ray's own restarts are off: they hide the cause, and run a candidate that kills its
    worker again and again. Evaluations that cost less than a call share one; what is lost together is tried singly,
    and no candidate is blamed for another.

    Where `gpus` is a part of one, workers share devices, and a candidate starts when the memory that it is expected to
    take is free: by the evaluator's arithmetic, corrected by what was observed. One that runs out of memory beside
    others is tried again with the device to itself.

    With a `straggler_factor` workers that have nothing to do run a candidate a second time which takes longer than
    that multiple of the median duration; the first result wins.

    Without `address` and RAY_ADDRESS a private Ray is started on this machine: on loopback, with a secret of its own,
    no dashboard. There, `workers` times `cpus` may exceed the machine's CPUs, which the workers then share. With an
    address, workers that do not fit now start when nodes join, and when the whole cluster is gone it is awaited for
    `patience_seconds`. Without `workers` there are as many as fit. `resources` are custom resources of the cluster,
    by name, that each worker asks for. A Ray that this process has already initialised is used as it is, and outlives
    the pool. What the driver has loaded (`shared`) reaches each node once, through Ray's object store.

    Raises ConfigError for options out of range, and ResourceError where no worker fits or no cluster answers.
    """

    start_seconds = 5.0  # a private Ray on two cores

    def __init__(
        self,
        recipe: EvaluatorRecipe,
        shared: object = None,
        *,
        workers: int | None = None,
        cpus: float = 1,
        gpus: float = 0,
        memory_gb: float | None = None,
        resources: Mapping[str, float] | None = None,
        timeout_seconds: float | None = None,
        retries: int = 1,
        backoff_seconds: float = 0.5,
        straggler_factor: float | None = None,
        patience_seconds: float = 600,
        address: str | None = None,
    ) -> None:
        require("workers", workers, workers is None or workers >= 1, "1 or more, or null for as many as fit")
        require("cpus", cpus, 0 < cpus < math.inf, "above 0")
        require(
            "gpus", gpus, 0 <= gpus < 1 or (gpus > 0 and float(gpus).is_integer()), "0, a part of one, or whole GPUs"
        )
        require("memory_gb", memory_gb, memory_gb is None or 0 < memory_gb < math.inf, "above 0, or null")
        require("resources", resources, all(amount > 0 for amount in (resources or {}).values()), "amounts above 0")
        require("timeout_seconds", timeout_seconds, timeout_seconds is None or timeout_seconds > 0, "above 0, or null")
        require("patience_seconds", patience_seconds, patience_seconds >= 0, "0 or more")
        require(
            "straggler_factor", straggler_factor, straggler_factor is None or not 0 < gpus < 1,
            "null where workers share a GPU: a second run takes memory from the others",
        )  # fmt: skip
        self._timeout_seconds = math.inf if timeout_seconds is None else timeout_seconds
        self._patience_seconds = patience_seconds
        self._queue = TaskQueue(retries, backoff_seconds)
        self._stragglers = Stragglers(straggler_factor)
        self._calls: defaultdict[object, CallSize] = defaultdict(CallSize)  # by fidelity
        self._idle: deque[Member] = deque()
        self._flights = Flights()
        self._refusal: EvonasError | None = None
        self._failed_starts = 0
        self._gone = False
        self._closed = False
        memory_bytes = None if memory_gb is None else int(memory_gb * 1e9)
        self._sharing: GpuSharing | None = None
        if 0 < gpus < 1:
            evaluator = build_evaluator(recipe, shared)
            self._sharing = GpuSharing(
                int(1 / gpus + 1e-9), lambda candidate: evaluator.at(candidate.source).memory_bytes(candidate.genome)
            )
        self._crew = Crew(recipe, shared, Request(cpus, gpus, memory_bytes, resources or {}), workers, address)
        try:
            self._start_missing()
        except BaseException:
            self.close()
            raise

    @property
    def capacity(self) -> int:  # type: ignore[override]
        """As many as there are workers or, where calls carry several, so many that the next call is there too."""
        size = max((calls.size for calls in self._calls.values()), default=1)
        return self._crew.size * (1 if size == 1 else 2 * size)

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates and hand them to the workers that are free."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        self._queue.add(candidates)
        self._hand_out()

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Wait for at least one outcome and return all that are there; [] after `timeout` seconds or if none is held.

        Raises an EvonasError of a worker as it was raised there, and ResourceError when the cluster is lost.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            if self._refusal is not None:
                raise self._refusal
            if not self._queue and not self._flights.evaluating:
                return []
            self._hand_out()
            outcomes = self._collect(until)
            if outcomes or (time.monotonic() >= until and self._refusal is None):
                return outcomes

    def close(self) -> None:
        """Kill the workers, and leave or stop the Ray that this pool has joined or started."""
        if self._closed:
            return
        self._closed = True
        actors = [member.actor for member in self._idle] + [flight.actor for flight in self._flights]
        self._idle.clear()
        self._flights.clear()
        self._queue.clear()
        self._crew.leave(actors)

    def _start_missing(self) -> None:
        while len(self._idle) + len(self._flights) < self._crew.size:
            actor, reference = self._crew.recruit()
            self._flights.begin(reference, Flight(actor))

    def _hand_out(self) -> None:
        """Give every idle worker something to do, and late candidates to those for whom nothing is left."""
        now = time.monotonic()
        if self._queue:
            self._greet(now)
        while self._idle and (work := self._next_work(now)):
            member, tasks = work
            self._idle.remove(member)
            reference = member.actor.evaluate.remote([task.candidate for task in tasks], 2 * CallSize.SECONDS)
            self._flights.begin(reference, Flight(member.actor, member, tasks, now, now + self._timeout_seconds))

    def _greet(self, now: float) -> None:
        """Ask those who were idle for long whether they are alive: no candidate shall be blamed for a death before."""
        for member in [member for member in self._idle if now - member.seen > FRESH_SECONDS]:
            self._idle.remove(member)
            self._flights.begin(member.actor.greet.remote(), Flight(member.actor, member, began=now))

    def _next_work(self, now: float) -> tuple[Member, tuple[Task, ...]] | None:
        """Return an idle worker and what it should do; None if there is nothing, or no room for it."""
        if self._sharing is not None:
            return self._packed(self._sharing, now)
        share = self._calls[self._queue.next_fidelity].share(len(self._queue), self._crew.size)
        tasks = tuple(self._queue.take(share, now)) or self._late(now)
        return (self._idle[0], tasks) if tasks else None

    def _packed(self, sharing: GpuSharing, now: float) -> tuple[Member, tuple[Task, ...]] | None:
        """Return the first task that finds room on a GPU, and an idle worker there."""
        idle = {member.gpu: member for member in self._idle}
        if None in idle:  # a device that cannot be asked for its memory: as many at once as there are workers
            tasks = tuple(self._queue.take(1, now))
            return (idle[None], tasks) if tasks else None
        found = sharing.next_task(self._queue, [name for name in idle if name is not None], now)
        return (idle[found[1]], (found[0],)) if found else None

    def _late(self, now: float) -> tuple[Task, ...]:
        """Return the task of a straggler that only one worker evaluates, if nothing else is left to do."""
        late = () if self._queue else self._flights.late(self._stragglers.late_after, now)
        if late:
            _log.info("candidate %d is late, and evaluated a second time", late[0].candidate.id)
        return late

    def _collect(self, until: float) -> list[Outcome]:
        """Wait for something to happen, no longer than until `until`, and return the outcomes that came of it."""
        import ray

        references, patience = self._flights.references, max(0.0, self._wake(until) - time.monotonic())
        if not references:
            time.sleep(patience)  # until a pause is over
            return []
        ready, _ = ray.wait(references, num_returns=1, timeout=patience)
        if ready:
            ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        outcomes: list[Outcome] = []
        for reference in ready:
            if reference in self._flights:  # the second flight of a straggler ends with the first
                outcomes += self._land(self._flights.end(reference), reference)
        for reference in self._flights.overdue(time.monotonic()):
            trouble = f"no result within {self._timeout_seconds:g} s, so the worker was killed"
            outcomes += self._lose(self._flights.end(reference), FailureKind.TIMEOUT, trouble)
        self._watch()
        return outcomes

    def _wake(self, until: float) -> float:
        """Return when to stop waiting: to watch the cluster, end a hang, end a pause or look for stragglers."""
        now = time.monotonic()
        wake = min(until, now + WATCH_SECONDS, self._flights.next_deadline())
        if self._idle:
            wake = min(wake, self._queue.next_due(), self._flights.next_late(self._stragglers.late_after, now))
        return wake

    def _watch(self) -> None:
        """Look after the cluster: one that is gone is awaited, other trouble ends the search."""
        working = bool(self._idle) or self._flights.evaluating
        complaint = None if self._gone else self._crew.vigil.complaint(working, living_nodes)
        if self._gone or (isinstance(complaint, HeadSilent) and self._crew.can_rejoin):
            self._start_over()
        else:
            self._refusal = self._refusal or complaint

    def _start_over(self) -> None:
        """Join the cluster again when it is back, with new workers for all that was in flight."""
        lost = self._flights.clear()
        self._idle.clear()
        if self._sharing is not None:
            self._sharing.clear()
        self._queue.put_back(lost)
        self._crew.rejoin(self._patience_seconds)
        self._gone, self._failed_starts = False, 0
        self._start_missing()

    def _land(self, flight: Flight, reference: Any) -> list[Outcome]:
        result = result_of(reference, starting=flight.member is None)
        if isinstance(result, Loss):
            return self._lose(flight, result.kind, result.trouble)
        self._failed_starts = 0
        if isinstance(result, EvonasError):
            self._refusal = result
            return []
        if isinstance(result, Started):
            self._welcome(flight.actor, result)
            return []
        if isinstance(result, Work):
            return self._settle(flight, result)
        self._rest(flight)
        if not flight.tasks:
            return []
        if len(flight.tasks) > 1:
            self._queue.put_back(flight.tasks, single=True)
            return []
        self._end_twins(flight.tasks[0])
        return [Failure(flight.tasks[0].candidate, result, FailureKind.ERROR)]

    def _welcome(self, actor: Any, started: Started) -> None:
        shared = started.gpu if self._sharing is not None else None
        if self._sharing is not None and shared is not None:
            self._sharing.joined(shared)
        self._idle.append(Member(actor, started.worker, shared.uuid if shared else None, time.monotonic()))

    def _rest(self, flight: Flight, work: Work | None = None) -> None:
        """Let the worker of a flight that has come back be idle, and free what its task had reserved."""
        assert flight.member is not None
        self._idle.append(replace(flight.member, seen=time.monotonic()))
        if self._sharing is not None and flight.member.gpu is not None and flight.tasks:
            evaluated = work is not None and isinstance(work.outcomes[0], Evaluation)
            used = work.memory if work else None
            self._sharing.ended(flight.tasks[0], flight.member.gpu, used, evaluated=evaluated)

    def _settle(self, flight: Flight, work: Work) -> list[Outcome]:
        """Take what a call has returned: outcomes are passed on, and what ran out of memory is tried again."""
        assert flight.member is not None
        self._rest(flight, work)
        if self._sharing is None:
            self._calls[flight.tasks[0].fidelity].observe(len(work.outcomes), work.seconds)
        done, undone = flight.tasks[: len(work.outcomes)], flight.tasks[len(work.outcomes) :]
        self._queue.put_back(undone)
        settled: list[Outcome] = []
        for task, outcome in zip(done, work.outcomes, strict=True):
            self._end_twins(task)
            if isinstance(outcome, Failure) and outcome.kind is FailureKind.OUT_OF_MEMORY:
                settled += self._try_with_more_memory(task, outcome)
                continue
            if isinstance(outcome, Evaluation):
                self._stragglers.observe(task.candidate, outcome.seconds)
            settled.append(made_by(flight.member.worker, task.candidate, outcome))
        return settled

    def _try_with_more_memory(self, task: Task, failure: Failure) -> list[Outcome]:
        """Queue a task again that ran out of memory; where that was beside others on a GPU, it is blamed on nobody."""
        if self._sharing is not None and not task.alone:
            self._sharing.ran_out_of_memory(task)
            self._queue.put_back([task], alone=True)
            return []
        final = self._queue.retry(task, failure.kind, failure.reason, time.monotonic())
        return [final] if final else []

    def _end_twins(self, task: Task) -> None:
        for reference in self._flights.of(task) if self._stragglers.active else ():
            self._dismiss(self._flights.end(reference))
            self._start_missing()

    def _dismiss(self, flight: Flight) -> None:
        """Kill the worker of a flight."""
        kill(flight.actor)
        if self._sharing is not None and flight.member is not None and flight.member.gpu is not None:
            for task in flight.tasks:
                self._sharing.lost(task)
            self._sharing.left(flight.member.gpu)

    def _lose(self, flight: Flight, kind: FailureKind, trouble: str) -> list[Outcome]:
        """Replace the worker of a flight, and queue its tasks again or, with its retries spent, return the Failure."""
        self._dismiss(flight)
        self._gone = self._gone or (self._crew.can_rejoin and refuses(self._crew.vigil.head))
        if self._gone:
            self._queue.put_back([task for task in flight.tasks if not self._flights.of(task)])  # nobody's fault
            return []
        if flight.member is None:
            self._failed_starts += 1
            if self._failed_starts > self._crew.size + 2:
                self._refusal = ResourceError(
                    f"{self._failed_starts} workers in a row died while they started, the last: {trouble}; look for "
                    f"what kills them (memory, limits, native libraries), or try fewer 'workers'"
                )
                return []
        self._start_missing()
        if len(flight.tasks) != 1:
            self._queue.put_back(flight.tasks, single=True)
            return []
        _log.warning("candidate %d: %s", flight.tasks[0].candidate.id, trouble)
        if self._flights.tell(flight.tasks[0], trouble):
            return []  # its second flight goes on
        failure = self._queue.retry(flight.tasks[0], kind, trouble, time.monotonic())
        return [failure] if failure else []
