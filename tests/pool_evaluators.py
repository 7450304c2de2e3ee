"""Evaluators whose genomes say what happens to them: they compute, sleep, raise, die, hang, or take all memory."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evonas.errors import ConfigError, DataError, EvonasError
from evonas.evaluation import Candidate, Evaluator, Metric, NotFinite, Rejected, Source
from evonas.space import Gene, Genome, Metrics, SearchSpace

ACTIONS = (
    "compute",
    "train",
    "sleep",
    "fail",
    "not_a_number",
    "diverge",
    "reject",
    "take_all_memory",
    "refuse",
    "kill_itself",
    "kill_itself_once",
    "hang",
    "hang_once",
    "take_memory",
    "wait_for_release",
    "tell_threads",
    "tell_device",
)


class ActionSpace(SearchSpace):
    """What to do, and a number to do it with; there is no network."""

    genes = (Gene("action", ACTIONS), Gene("number", tuple(range(100))))

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("an action is no network")

    def costs(self, genome: Genome) -> Metrics:
        return {"params": 10.0 * genome[1] + genome[0], "macs": 100.0 * genome[1]}


def candidates(action: str, numbers: Sequence[int] = (0,)) -> list[Candidate]:
    """Candidates of one action; the id is made of action and number, so that mixtures keep theirs."""
    index = ACTIONS.index(action)
    return [Candidate(id=100 * index + number, genome=(index, number), generation=0) for number in numbers]


class ActionEvaluator(Evaluator):
    """Does what the genome says; `folder` is where processes note their ids and look for releases."""

    source = Source.TRAINED
    metrics = (Metric("value", worst=1e9),)

    def __init__(self, folder: Path, seed: int = 0) -> None:
        super().__init__(ActionSpace(), seed)
        self.folder = folder

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        action, number = ACTIONS[genome[0]], genome[1]
        with (self.folder / f"{action}-{number}.pids").open("a") as notes:
            notes.write(f"{os.getpid()}\n")
        return {"value": getattr(self, action)(number, genome)}

    def compute(self, number: int, genome: Genome) -> float:
        return float(np.random.default_rng(self.seed_for(genome)).normal() + number)

    def train(self, number: int, genome: Genome) -> float:
        """Compute with torch what depends, in its last bits, on the number of threads."""
        import torch

        values = torch.randn(1_000_001, generator=torch.Generator().manual_seed(number))
        return float(values @ values)

    def sleep(self, number: int, genome: Genome) -> float:
        time.sleep(number / 10)
        return float(number)

    def fail(self, number: int, genome: Genome) -> float:
        raise ValueError(f"no layer number {number}")

    def not_a_number(self, number: int, genome: Genome) -> float:
        return math.nan

    def diverge(self, number: int, genome: Genome) -> float:
        raise NotFinite("the loss is infinite in epoch 3")

    def reject(self, number: int, genome: Genome) -> float:
        raise Rejected("proxy", value=float(number), bound=-1.0)

    def take_all_memory(self, number: int, genome: Genome) -> float:
        return float(np.ones(1 << 55).sum())

    def refuse(self, number: int, genome: Genome) -> float:
        raise DataError(f"shard {number} of the data is empty: fetch it again")

    def kill_itself(self, number: int, genome: Genome) -> float:
        os.kill(os.getpid(), signal.SIGKILL)
        return math.nan

    def kill_itself_once(self, number: int, genome: Genome) -> float:
        if len(processes(self.folder, "kill_itself_once", number)) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(number)

    def hang(self, number: int, genome: Genome) -> float:
        while True:
            time.sleep(3600)

    def hang_once(self, number: int, genome: Genome) -> float:
        if len(processes(self.folder, "hang_once", number)) == 1:
            time.sleep(3600)
        return float(number)

    def take_memory(self, number: int, genome: Genome) -> float:
        return float(np.ones(number * 12_500_000)[0])  # a tenth of a gigabyte for each

    def wait_for_release(self, number: int, genome: Genome) -> float:
        while not (self.folder / "release").exists():
            time.sleep(0.01)
        return float(number)

    def tell_threads(self, number: int, genome: Genome) -> float:
        import torch

        return float(torch.get_num_threads())

    def tell_device(self, number: int, genome: Genome) -> float:
        return {"cpu": 0.0, "cuda:0": 1.0}[os.environ["EVONAS_DEVICE"]]


def processes(folder: Path, action: str, number: int = 0) -> list[int]:
    """Return the ids of the processes that began this action, in order."""
    notes = folder / f"{action}-{number}.pids"
    return [int(line) for line in notes.read_text().split()] if notes.exists() else []


class OddError(EvonasError):
    """An EvonasError that does not survive pickling."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} in {where}")


@dataclass(frozen=True)
class ActionRecipe:
    """An ActionEvaluator that notes in `folder`."""

    folder: Path

    def build(self, shared: object = None) -> Evaluator:
        return ActionEvaluator(self.folder)


@dataclass(frozen=True)
class RefusingRecipe:
    """A recipe whose evaluator cannot be built, for a reason that the user can mend."""

    def build(self, shared: object = None) -> Evaluator:
        raise ConfigError("'epochs' must be 1 or more, and is 0")


@dataclass(frozen=True)
class BrokenRecipe:
    """A recipe with a bug."""

    def build(self, shared: object = None) -> Evaluator:
        raise KeyError("learning_rate")


@dataclass(frozen=True)
class OddRecipe:
    """A recipe that refuses with an error that cannot travel as it is."""

    def build(self, shared: object = None) -> Evaluator:
        raise OddError("a hole", "the data")


@dataclass(frozen=True)
class DyingRecipe:
    """A recipe that kills every worker which follows it."""

    def build(self, shared: object = None) -> Evaluator:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class SlowToPrepareRecipe:
    """Evaluators that take longer to get ready than to measure."""

    folder: Path

    def build(self, shared: object = None) -> Evaluator:
        return SlowToPrepare(self.folder)


class SlowToPrepare(ActionEvaluator):
    """Needs three seconds before the first measurement."""

    def prepare(self) -> None:
        time.sleep(3)


@dataclass(frozen=True)
class SharedRecipe:
    """Evaluators that try to write into what they share."""

    def build(self, shared: object = None) -> Evaluator:
        assert isinstance(shared, np.ndarray)
        return SharingEvaluator(shared)


class SharingEvaluator(Evaluator):
    """Returns the sum of what is shared; a genome that says so tries to change it first."""

    source = Source.TABULAR
    metrics = (Metric("value"),)

    def __init__(self, shared: np.ndarray) -> None:
        super().__init__(ActionSpace(), seed=0)
        self.shared = shared

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        if ACTIONS[genome[0]] == "fail":
            self.shared += 1
        return {"value": float(self.shared.sum())}


@dataclass(frozen=True)
class BatchRecipe:
    """Evaluators that measure batches, and note their sizes in `folder`."""

    folder: Path

    def build(self, shared: object = None) -> Evaluator:
        return BatchEvaluator(self.folder)


class BatchEvaluator(ActionEvaluator):
    """Does what genomes say, many at once; a batch raises if one of them does."""

    def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
        with (self.folder / "batches").open("a") as notes:
            notes.write(f"{len(genomes)}\n")
        return [self.measure(genome, budget) for genome in genomes]
