"""A pool of one worker inside the driver's own process, to debug evaluators with breakpoints and full tracebacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Literal

from evonas.errors import require
from evonas.evaluation import Candidate, Outcome, Worker, made_by
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers.batches import Batches
from evonas.workers.provenance import this_worker
from evonas.workers.worker_actor import build_evaluator, worker_environment


class LocalPool(WorkerPool):
    """Evaluates one candidate at a time, or a batch where the evaluator measures batches, inside `next_outcomes`.

    With the same threads and device its numbers equal those of RayPool to the last bit. It cannot survive what kills a
    process, nor end what hangs: there is no timeout and no retry, and the `timeout` of `next_outcomes` only says
    whether to begin. Raises ConfigError for a number of threads below 1.
    """

    def __init__(
        self,
        recipe: EvaluatorRecipe,
        shared: object = None,
        *,
        threads: int = 1,
        device: Literal["cpu", "cuda:0"] = "cpu",
    ) -> None:
        require("threads", threads, threads >= 1, "1 or more")
        self._recipe, self._shared = recipe, shared
        self._threads = threads
        self._device = device
        self._queue: deque[Candidate] = deque()
        self._batches: Batches | None = None
        self._here: Worker | None = None

    @property
    def capacity(self) -> int:  # type: ignore[override]
        """One, or as many as the next batch takes."""
        return self._batches.size if self._batches else 1

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Queue candidates."""
        self._queue.extend(candidates)

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Evaluate the next candidate, or batch, here and now; [] if there is none."""
        if not self._queue:
            return []
        with worker_environment(self._threads, self._device):
            if self._batches is None:
                self._batches = Batches(build_evaluator(self._recipe, self._shared))
                self._here = this_worker(self._device, self._threads)
            outcomes = self._batches.evaluate(list(islice(self._queue, self._batches.size)))
            return [made_by(self._here, self._queue.popleft(), outcome) for outcome in outcomes]

    def close(self) -> None:
        """Forget what is queued, and the evaluator."""
        self._queue.clear()
        self._batches = None
