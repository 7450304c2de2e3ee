"""A pool of Ray actors that survives the loss of its workers."""

from __future__ import annotations

import logging
import math
import re
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evonas.errors import EvonasError, ResourceError, require
from evonas.evaluation import Candidate, Failure, FailureKind, Outcome
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers.ray_cluster import (
    WATCH_SECONDS,
    Vigil,
    answers,
    workers_to_start,
)
from evonas.workers.ray_session import connect, living_nodes
from evonas.workers.worker_actor import EvonasWorker

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """A candidate, and what became of its attempts so far."""

    candidate: Candidate
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Flight:
    """What an actor is doing: evaluating the candidate of a task, or starting (None)."""

    actor: Any
    task: _Task | None = None
    deadline: float = math.inf


class RayPool(WorkerPool):
    """Evaluates each candidate in one of `workers` Ray actors of `cpus` CPUs (as many torch threads) and `gpus` GPUs.

    A worker that dies, or that keeps a candidate longer than `timeout_seconds`, is killed and replaced, and its
    candidate tried again up to `retries` times; then it is a Failure that tells of every attempt. Ray's own restarts
    are off: they hide the cause, and run a candidate that kills its worker again and again.

    Without `address` and RAY_ADDRESS a private Ray is started on this machine: on loopback, with a secret of its own,
    no dashboard. There, `workers` times `cpus` may exceed the machine's CPUs, which the workers then share. With an
    address, workers that do not fit now start when nodes join. Without `workers` there are as many as fit. A Ray that
    this process has already initialised is used as it is, and outlives the pool.

    Raises ConfigError for options out of range, and ResourceError where no worker fits or no cluster answers.
    """

    def __init__(
        self,
        recipe: EvaluatorRecipe,
        *,
        workers: int | None = None,
        cpus: float = 1,
        gpus: float = 0,
        timeout_seconds: float | None = None,
        retries: int = 1,
        address: str | None = None,
    ) -> None:
        require("workers", workers, workers is None or workers >= 1, "1 or more, or null for as many as fit")
        require("cpus", cpus, 0 < cpus < math.inf, "above 0")
        require(
            "gpus", gpus, 0 <= gpus < 1 or (gpus > 0 and float(gpus).is_integer()), "0, a part of one, or whole GPUs"
        )
        require("timeout_seconds", timeout_seconds, timeout_seconds is None or timeout_seconds > 0, "above 0, or null")
        require("retries", retries, retries >= 0, "0 or more")
        self._timeout_seconds = math.inf if timeout_seconds is None else timeout_seconds
        self._retries = retries
        self._idle: deque[Any] = deque()
        self._flights: dict[Any, _Flight] = {}
        self._queue: deque[_Task] = deque()
        self._refusal: EvonasError | None = None
        self._failed_starts = 0
        self._closed = False
        self._connection = connect(address, cpus_each=cpus, workers=workers)
        try:
            import ray

            self._vigil = Vigil(ray.get_runtime_context().gcs_address)
            self.capacity = workers_to_start(living_nodes(), workers, cpus, gpus, grows=not self._connection.private)
            self._recipe: bytes = ray.cloudpickle.dumps(recipe)
            self._threads, self._device = max(1, int(cpus)), "cuda:0" if gpus else "cpu"
            self._actor_class = ray.remote(EvonasWorker).options(
                num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0
            )
            self._start_missing()
        except BaseException:
            self.close()
            raise

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates and hand them to the workers that are free."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        self._queue.extend(_Task(candidate) for candidate in candidates)
        self._hand_out()

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Wait for at least one outcome and return all that are there; [] after `timeout` seconds or if none is held.

        Raises an EvonasError of a worker as it was raised there, and ResourceError when the cluster is lost.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            if self._refusal is not None:
                raise self._refusal
            if not self._queue and not self._evaluating():
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
        import ray

        actors = [*self._idle, *(flight.actor for flight in self._flights.values())]
        if actors and ray.is_initialized() and answers(ray.get_runtime_context().gcs_address):
            for actor in actors:
                _kill(actor)
        self._idle.clear()
        self._flights.clear()
        self._queue.clear()
        if self._connection.opened:
            ray.shutdown()

    def _evaluating(self) -> bool:
        return any(flight.task is not None for flight in self._flights.values())

    def _start_missing(self) -> None:
        search_path = [entry or str(Path.cwd()) for entry in sys.path]
        while len(self._idle) + len(self._flights) < self.capacity:
            actor = self._actor_class.remote(search_path, self._threads, self._device)
            self._flights[actor.start.remote(self._recipe)] = _Flight(actor)

    def _hand_out(self) -> None:
        while self._queue and self._idle:
            actor, task = self._idle.popleft(), self._queue.popleft()
            reference = actor.evaluate.remote(task.candidate)
            self._flights[reference] = _Flight(actor, task, time.monotonic() + self._timeout_seconds)

    def _collect(self, until: float) -> list[Outcome]:
        """Wait for something to happen, no longer than until `until`, and return the outcomes that came of it."""
        import ray

        references = list(self._flights)
        wake = min(until, time.monotonic() + WATCH_SECONDS, *(flight.deadline for flight in self._flights.values()))
        ready, _ = ray.wait(references, num_returns=1, timeout=max(0.0, wake - time.monotonic()))
        if ready:
            ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        ended = [self._land(reference) for reference in ready]
        now = time.monotonic()
        for reference in [reference for reference, flight in self._flights.items() if flight.deadline <= now]:
            trouble = f"no result within {self._timeout_seconds:g} s, so the worker was killed"
            ended.append(self._lose(self._flights.pop(reference), FailureKind.TIMEOUT, trouble))
        working = bool(self._idle) or self._evaluating()
        self._refusal = self._refusal or self._vigil.complaint(working, living_nodes)
        return [outcome for outcome in ended if outcome is not None]

    def _land(self, reference: Any) -> Outcome | None:
        import ray
        from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

        flight = self._flights.pop(reference)
        try:
            result: Outcome | EvonasError | None = ray.get(reference)
        except RayTaskError as error:
            self._idle.append(flight.actor)
            if flight.task is None:
                self._refusal = _cannot_be_set_up(error)
                return None
            return Failure(flight.task.candidate, f"the worker cannot return its outcome: {error}", FailureKind.ERROR)
        except OutOfMemoryError as error:
            return self._lose(
                flight, FailureKind.OUT_OF_MEMORY, f"Ray killed the worker for its memory: {_detail(error)}"
            )
        except RayError as error:
            if flight.task is None and "creation task" in str(error):
                self._refusal = _cannot_be_set_up(error)
                return None
            return self._lose(flight, FailureKind.CRASH, f"the worker died: {_detail(error)}")
        self._idle.append(flight.actor)
        if isinstance(result, EvonasError):
            self._refusal = result
            return None
        self._failed_starts = 0
        return result

    def _lose(self, flight: _Flight, kind: FailureKind, trouble: str) -> Failure | None:
        """Replace the worker of a flight, and queue its task again or, with its retries spent, return the Failure."""
        _kill(flight.actor)
        if flight.task is None:
            self._failed_starts += 1
            if self._failed_starts > self.capacity + 2:
                self._refusal = ResourceError(
                    f"{self._failed_starts} workers in a row died while they started, the last: {trouble}; look for "
                    f"what kills them (memory, limits, native libraries), or try fewer 'workers'"
                )
                return None
        self._start_missing()
        if flight.task is None:
            return None
        task = replace(flight.task, troubles=(*flight.task.troubles, trouble))
        attempts, allowed = len(task.troubles), self._retries + 1
        _log.info("candidate %d, attempt %d of %d: %s", task.candidate.id, attempts, allowed, trouble)
        if attempts < allowed:
            self._queue.appendleft(task)
            return None
        told = "; ".join(f"attempt {number} of {allowed}: {text}" for number, text in enumerate(task.troubles, start=1))
        return Failure(task.candidate, told, kind)


def _kill(actor: Any) -> None:
    import ray

    try:
        ray.kill(actor)
    except (ray.exceptions.RayError, ValueError, RuntimeError) as error:  # the actor, or Ray, is gone already
        _log.debug("ray.kill: %s", error)


def _detail(error: Exception) -> str:
    """Return what Ray knows of a death: process, address and exit, without its general advice."""
    text = str(error)
    process, address = re.search(r"pid: (\d+)", text), re.search(r"ip: (\S+)", text)
    where = f"process {process[1]}{f' on {address[1]}' if address else ''}: " if process else ""
    exit_ = text.rpartition("Worker exit detail: ")[2]
    told = re.split("If the process was killed by the kernel|Object store memory usage", exit_)[0]
    return where + " ".join(told.split())[:600]


def _cannot_be_set_up(error: Exception) -> ResourceError:
    tail = "\n".join(line for line in str(error).splitlines()[-4:] if line.strip())
    return ResourceError(
        f"no worker can be set up; evonas, in this version, must be installed wherever workers run:\n{tail}"
    )
