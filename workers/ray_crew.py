"""The actors of a Ray pool: started to the wanted number, killed, replaced, started anew on a cluster that is back."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evonas.errors import EvonasError, ResourceError
from evonas.evaluation import FailureKind
from evonas.pool import EvaluatorRecipe
from evonas.workers.ray_cluster import Vigil, answers, workers_to_start
from evonas.workers.ray_session import Connection, connect, living_nodes
from evonas.workers.worker_actor import EvonasWorker, Started, Work

POLL_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What each worker asks of its node: CPUs, GPUs, bytes of memory and custom resources."""

    cpus: float
    gpus: float
    memory_bytes: int | None
    resources: Mapping[str, float]

    @property
    def others(self) -> dict[str, float]:
        """What is asked for besides CPUs and GPUs, as Ray names it."""
        return {**self.resources, **({"memory": float(self.memory_bytes)} if self.memory_bytes else {})}

    @property
    def threads(self) -> int:
        """The threads that a worker computes with."""
        return max(1, int(self.cpus))

    @property
    def device(self) -> str:
        """The device as a worker sees it: Ray shows it its own GPU only."""
        return "cuda:0" if self.gpus else "cpu"


class Crew:
    """`size` workers on a Ray that is joined, or started for them; who is dead or killed is replaced by `recruit`."""

    def __init__(
        self, recipe: EvaluatorRecipe, shared: object, request: Request, workers: int | None, address: str | None
    ) -> None:
        self._request, self._address = request, address
        self._shared, self._place_of_shared = shared, None
        self._connection: Connection = connect(address, cpus_each=request.cpus, workers=workers)
        try:
            import ray

            self.size = workers_to_start(
                living_nodes(), workers, request.cpus, request.gpus, request.others,
                grows=not self._connection.private,
            )  # fmt: skip
            self._recipe: bytes = ray.cloudpickle.dumps(recipe)
            self._settle_in()
        except BaseException:
            self.leave([])
            raise

    @property
    def can_rejoin(self) -> bool:
        """Whether the cluster may come back: it is not private to this process, which has joined it itself."""
        return self._connection.opened and not self._connection.private

    def recruit(self) -> tuple[Any, Any]:
        """Start an actor; return it and the reference of its start, which gives Started or an EvonasError."""
        search_path = [entry or str(Path.cwd()) for entry in sys.path]
        request = self._request
        actor = self._actor_class.remote(
            search_path, request.threads, request.device, min(1.0, request.gpus) or 1.0, request.memory_bytes
        )
        return actor, actor.start.remote(self._recipe, self._place_of_shared)

    def rejoin(self, patience_seconds: float) -> None:
        """Leave the cluster that is gone, wait for it and join it again; raise ResourceError if it does not come."""
        import ray

        head, until = self.vigil.head, time.monotonic() + patience_seconds
        _log.warning("the Ray cluster at %s is gone; waiting up to %.0f s for it", head, patience_seconds)
        self._place_of_shared = None
        ray.shutdown()
        while True:
            try:
                self._connection = connect(self._address or head, cpus_each=self._request.cpus)
                break
            except ResourceError as error:
                if time.monotonic() >= until:
                    raise ResourceError(
                        f"the Ray cluster at {head} has not come back within {patience_seconds:.0f} s ({error}); "
                        f"nothing that is finished is lost: bring the cluster back and resume"
                    ) from error
                time.sleep(POLL_SECONDS)
        self._settle_in()
        _log.warning("the Ray cluster at %s is back, and the search goes on", head)

    def leave(self, actors: list[Any]) -> None:
        """Kill actors, and leave or stop the Ray that was joined or started for them."""
        import ray

        if actors and ray.is_initialized() and answers(ray.get_runtime_context().gcs_address):
            for actor in actors:
                kill(actor)
        if self._connection.opened:
            ray.shutdown()

    def _settle_in(self) -> None:
        """Put what is shared where every node fetches it once, and describe the actors to Ray."""
        import ray

        self.vigil = Vigil(ray.get_runtime_context().gcs_address)
        if self._shared is not None:
            self._place_of_shared = ray.put(self._shared)
        request = self._request
        self._actor_class = ray.remote(EvonasWorker).options(
            num_cpus=request.cpus, num_gpus=request.gpus, memory=request.memory_bytes,
            resources=dict(request.resources), max_restarts=0, max_task_retries=0,
        )  # fmt: skip


def kill(actor: Any) -> None:
    """End an actor's process; one that is gone already, or whose Ray is, is no error."""
    import ray

    try:
        ray.kill(actor)
    except (ray.exceptions.RayError, ValueError, RuntimeError) as error:
        _log.debug("ray.kill: %s", error)


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that is no more, and why."""

    kind: FailureKind
    trouble: str


def result_of(reference: Any, *, starting: bool) -> Started | Work | EvonasError | Loss | str:
    """Return what a call to a worker has come to; a text says why its result cannot travel, and the worker lives."""
    import ray
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

    try:
        result: Started | Work | EvonasError = ray.get(reference)
    except RayTaskError as error:
        return _cannot_be_set_up(error) if starting else f"the worker cannot return its outcome: {error}"
    except OutOfMemoryError as error:
        return Loss(FailureKind.OUT_OF_MEMORY, f"Ray killed the worker for its memory: {_cause_of_death(error)}")
    except RayError as error:
        if starting and "creation task" in str(error):
            return _cannot_be_set_up(error)
        return Loss(FailureKind.CRASH, f"the worker died: {_cause_of_death(error)}")
    return result


def _cause_of_death(error: Exception) -> str:
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
