"""The inside of a worker: an evaluator built from its recipe there, with the worker's threads and device."""

from __future__ import annotations

import pickle
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evonas.errors import ComponentError, EvonasError
from evonas.evaluation import Candidate, Evaluator, Outcome, Worker
from evonas.pool import EvaluatorRecipe
from evonas.workers.batches import Batches
from evonas.workers.devices import (
    DEVICE_VARIABLE,
    SHARE_VARIABLE,
    DeviceFacts,
    MemoryMeter,
    MemoryUse,
    device_facts,
)
from evonas.workers.environment import environment
from evonas.workers.provenance import this_worker


@dataclass(frozen=True, slots=True)
class Started:
    """What a worker says of itself: where it is, and what GPU it has, if any."""

    worker: Worker
    gpu: DeviceFacts | None


@dataclass(frozen=True, slots=True)
class Work:
    """What a call has brought: outcomes of its first candidates, the seconds that they took, and GPU memory, if any."""

    outcomes: Sequence[Outcome]
    seconds: float
    memory: MemoryUse | None


THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class EvonasWorker:
    """Evaluates candidates in a process of its own.

    An EvonasError, the user's to mend, is returned and not raised, so that it reaches the driver as it is.
    """

    def __init__(
        self, search_path: Sequence[str], threads: int, device: str, device_share: float, memory_bytes: int | None
    ) -> None:
        sys.path.extend(entry for entry in search_path if entry not in sys.path)
        self._threads = threads
        self._device, self._device_share = device, device_share
        self._memory_bytes = memory_bytes
        self._batches: Batches | None = None

    def start(self, recipe: bytes, shared: object) -> Started | EvonasError:
        """Build the evaluator from its pickled recipe; say where this is."""
        with worker_environment(self._threads, self._device, self._device_share):
            try:
                self._batches = Batches(build_evaluator(recipe, shared))
                started = Started(this_worker(self._device, self._threads), self._gpu())
            except EvonasError as error:
                return _portable(error)
        if self._memory_bytes is not None:
            limit_memory(self._memory_bytes)
        return started

    def greet(self) -> str:
        """Say that this worker is alive."""
        return "alive"

    def evaluate(self, candidates: Sequence[Candidate], seconds: float) -> Work | EvonasError:
        """Evaluate candidates, a batch after the other, and begin none when `seconds` have passed."""
        assert self._batches is not None, "start comes first"
        began, outcomes = time.perf_counter(), list[Outcome]()
        with worker_environment(self._threads, self._device, self._device_share), self._meter() as meter:
            try:
                while len(outcomes) < len(candidates) and (not outcomes or time.perf_counter() - began <= seconds):
                    outcomes += self._batches.evaluate(candidates[len(outcomes) :])
            except EvonasError as error:
                return _portable(error)
        return Work(outcomes, time.perf_counter() - began, meter.use)

    def _gpu(self) -> DeviceFacts | None:
        """Return what is known of this worker's GPU; None without one, and where the driver cannot be asked."""
        if not self._device.startswith("cuda"):
            return None
        import torch

        return device_facts(self._device) if torch.cuda.is_available() else None

    def _meter(self) -> MemoryMeter:
        return MemoryMeter(self._device)


def build_evaluator(recipe: EvaluatorRecipe | bytes, shared: object = None) -> Evaluator:
    """Return the evaluator of a recipe, which may be pickled, ready to measure; what goes wrong is an EvonasError."""
    try:
        unpacked: EvaluatorRecipe = pickle.loads(recipe) if isinstance(recipe, bytes) else recipe
        evaluator = unpacked.build(shared)
        evaluator.prepare()
        for gate in evaluator.gates:
            gate.evaluator.prepare()
        return evaluator
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
def worker_environment(threads: int, device: str, device_share: float = 1.0) -> Iterator[None]:
    """Compute with so many threads, announce the device and the share of it, and put all back afterwards.

    The number of threads changes what training returns in the last bits. torch is not imported for this: where it is
    first imported inside, it reads the variables and keeps their number of threads.
    """
    torch = sys.modules.get("torch")
    told = {DEVICE_VARIABLE: device, SHARE_VARIABLE: str(device_share)}
    with environment({**dict.fromkeys(THREAD_VARIABLES, str(threads)), **told}):
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
