"""The inside of a worker: an evaluator built from its recipe there, with the worker's threads and device."""

from __future__ import annotations

import pickle
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evonas.errors import ComponentError, EvonasError
from evonas.evaluation import Candidate, Evaluator, Outcome, Worker, evaluate
from evonas.pool import EvaluatorRecipe
from evonas.workers.devices import DEVICE_VARIABLE
from evonas.workers.environment import environment
from evonas.workers.provenance import this_worker

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class EvonasWorker:
    """Evaluates candidates in a process of its own.

    An EvonasError, the user's to mend, is returned and not raised, so that it reaches the driver as it is.
    """

    def __init__(self, search_path: Sequence[str], threads: int, device: str, memory_bytes: int | None) -> None:
        sys.path.extend(entry for entry in search_path if entry not in sys.path)
        self._threads = threads
        self._device = device
        self._memory_bytes = memory_bytes
        self._evaluator: Evaluator | None = None

    def start(self, recipe: bytes, shared: object) -> Worker | EvonasError:
        """Build the evaluator from its pickled recipe; say where this is."""
        with worker_environment(self._threads, self._device):
            try:
                self._evaluator = build_evaluator(recipe, shared)
                here = this_worker(self._device, self._threads)
            except EvonasError as error:
                return _portable(error)
        if self._memory_bytes is not None:
            limit_memory(self._memory_bytes)
        return here

    def evaluate(self, candidates: Sequence[Candidate]) -> tuple[list[Outcome], float] | EvonasError:
        """Evaluate candidates, one after the other; return their outcomes and the seconds that all took."""
        assert self._evaluator is not None, "start comes first"
        started = time.perf_counter()
        with worker_environment(self._threads, self._device):
            try:
                outcomes = [evaluate(self._evaluator, candidate) for candidate in candidates]
            except EvonasError as error:
                return _portable(error)
        return outcomes, time.perf_counter() - started


def build_evaluator(recipe: EvaluatorRecipe | bytes, shared: object = None) -> Evaluator:
    """Build the evaluator of a recipe, which may be pickled; whatever goes wrong is raised as an EvonasError."""
    try:
        unpacked: EvaluatorRecipe = pickle.loads(recipe) if isinstance(recipe, bytes) else recipe
        return unpacked.build(shared)
    except EvonasError:
        raise
    except Exception as error:
        tail = "\n".join(traceback.format_exc().splitlines()[-12:])
        raise ComponentError(
            f"a worker cannot build the evaluator, {type(error).__name__}: {error}\n{tail}\n"
            f"mend the evaluator's constructor or options; a missing module must be installed where workers run"
        ) from error


def limit_memory(more_bytes: int) -> None:
    """Let this process take so much more memory than it has now; what asks for more gets a MemoryError.

    Linux only: elsewhere nothing is limited. Shared memory, such as Ray's object store, does not count.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return
    import resource

    data = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmData:"))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


@contextmanager
def worker_environment(threads: int, device: str) -> Iterator[None]:
    """Compute with so many threads and announce the device, and put both back afterwards.

    The number of threads changes what training returns in the last bits. torch is not imported for this: where it is
    first imported inside, it reads the variables and keeps their number of threads.
    """
    torch = sys.modules.get("torch")
    with environment({**dict.fromkeys(THREAD_VARIABLES, str(threads)), DEVICE_VARIABLE: device}):
        if torch is None:
            yield
            return
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _portable(error: EvonasError) -> EvonasError:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a subclass whose constructor does not take what it stored
        return EvonasError(f"{type(error).__name__}: {error}")
    return error
