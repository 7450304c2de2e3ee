"""GPUs that are none: workers that say they have one and use its memory, for what the pool does with GPUs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pool_evaluators import ActionEvaluator

from evonas.evaluation import Evaluator
from evonas.space import Genome
from evonas.workers.devices import DeviceFacts, MemoryUse
from evonas.workers.worker_actor import EvonasWorker

GIB = 2**30
DEVICE_BYTES = 10 * GIB


def device() -> str:
    """Return the GPU that Ray gave to this worker."""
    return f"GPU-{os.environ['CUDA_VISIBLE_DEVICES']}"


class HoldingEvaluator(ActionEvaluator):
    """Holds as many GiB as the genome's number says for a moment, and notes it; action `train` first finds too few.

    The first candidate on either GPU waits for the first on the other, however late the workers of that one start.
    """

    gib = 0  # that the last candidate held

    def memory_bytes(self, genome: Genome) -> int | None:
        return genome[1] * GIB

    def compute(self, number: int, genome: Genome) -> float:
        return self._hold(number)

    def train(self, number: int, genome: Genome) -> float:
        notes = (self.folder / f"train-{number}.pids").read_text().split()
        return self._hold(number, fails=len(notes) == 1, retried=len(notes) > 1)

    def _hold(self, number: int, *, fails: bool = False, retried: bool = False) -> float:
        self.gib = number
        (self.folder / f"{device()}.used").touch()
        while len(list(self.folder.glob("*.used"))) < 2:
            time.sleep(0.05)
        began = time.time()
        time.sleep(0.3)
        note = {"device": device(), "gib": number, "began": began, "ended": time.time()}
        with (self.folder / "held.jsonl").open("a") as notes:
            notes.write(json.dumps({**note, "failed": fails, "retried": retried}) + "\n")
        if fails:
            raise MemoryError("CUDA out of memory")
        return float(number)


@dataclass(frozen=True)
class HoldingRecipe:
    folder: Path

    def build(self, shared: object = None) -> Evaluator:
        return HoldingEvaluator(self.folder)


class FakeGpuWorker(EvonasWorker):
    """A worker on a GPU of 10 GiB, of which an idle process keeps half a GiB."""

    def _gpu(self) -> DeviceFacts | None:
        return DeviceFacts("fake", device(), DEVICE_BYTES, DEVICE_BYTES, "0.0")

    @contextmanager
    def _meter(self) -> Iterator[Any]:  # type: ignore[override]
        meter = _Meter()
        yield meter
        meter.use = MemoryUse(self._batches.evaluator.gib * GIB, GIB // 2)  # type: ignore[union-attr]


class _Meter:
    use: MemoryUse | None = None
