"""What happens to a candidate: it is evaluated, it fails, or it is turned away."""

from __future__ import annotations

import math
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from evonas.errors import ConfigError, EvonasError
from evonas.seeds import derive_seed
from evonas.space import Genome, Metrics, SearchSpace

if TYPE_CHECKING:
    import numpy as np


class Source(StrEnum):
    """Where the numbers of an evaluation come from."""

    TRAINED = "trained"
    INHERITED = "inherited"
    PREDICTED = "predicted"
    ZERO_COST = "zero_cost"
    TABULAR = "tabular"


class FailureKind(StrEnum):
    """Why a candidate has no numbers."""

    ERROR = "error"
    NOT_FINITE = "not finite"
    CRASH = "crash"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out of memory"


FIRST_AUDIT = 10**9
"""The id of a search's first audit: those of the strategy's candidates are below."""

Reduced = tuple[type, tuple[object, ...]]
"""How records travel that travel in great numbers: pickled so, they cost half of what dataclasses do by themselves."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How closely a network is looked at: where numbers come from and, if they are trained, after how many epochs.

    Without a `budget` it is all that there is of the source.
    """

    source: Source
    budget: int | None = None

    def __str__(self) -> str:
        epochs = "epoch" if self.budget == 1 else "epochs"
        return str(self.source) if self.budget is None else f"{self.source}, {self.budget} {epochs}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture that the strategy wants evaluated; `genome` is canonical, `budget` is in epochs.

    Without `source` and `budget` it is measured at the evaluator's top fidelity; without `source` alone, at the top's.
    One that has climbed from a lower fidelity names the candidate that it was there as its parent.

    `parent_genomes` are for evaluators that inherit, see `ParentPool`: elsewhere there are none, nor in a journal.
    """

    id: int
    genome: Genome
    generation: int
    parents: tuple[int, ...] = ()
    budget: int | None = None
    source: Source | None = None
    parent_genomes: tuple[Genome, ...] = ()

    @property
    def at_top(self) -> bool:
        """Whether it is measured at the top fidelity: only then it may come onto a front."""
        return self.budget is None and self.source is None

    @property
    def is_audit(self) -> bool:
        """Whether it measures its parent's network once more, to audit the search; strategies never hear of it."""
        return self.id >= FIRST_AUDIT

    def __reduce__(self) -> Reduced:
        fidelity = self.budget, self.source
        return Candidate, (self.id, self.genome, self.generation, self.parents, *fidelity, self.parent_genomes)


@dataclass(frozen=True, slots=True)
class Worker:
    """Where an evaluation was made: its host and device, and the versions of the libraries that computed it."""

    host: str
    device: str
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The numbers of a candidate, how they were obtained, and how long that took.

    `reused_from` names the run and candidate whose evaluation of the same network was found in a cache.
    """

    candidate: Candidate
    metrics: Metrics
    source: Source
    seconds: float
    seed: int
    worker: Worker | None = None
    reused_from: str | None = None

    @property
    def fidelity(self) -> Fidelity:
        """How closely the network was looked at."""
        return Fidelity(self.source, self.candidate.budget)

    def __reduce__(self) -> Reduced:
        numbers = (self.metrics, self.source, self.seconds, self.seed)
        return Evaluation, (self.candidate, *numbers, self.worker, self.reused_from)


@dataclass(frozen=True, slots=True)
class Failure:
    """A candidate without numbers, and why."""

    candidate: Candidate
    reason: str
    kind: FailureKind


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that a gate on a worker turned away before it cost anything more."""

    candidate: Candidate
    gate: str
    value: float
    bound: float


Outcome = Evaluation | Failure | Rejection


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that an evaluator measures: which direction is better, and the worst value that it can take if known."""

    name: str
    maximize: bool = False
    worst: float | None = None


class NotFinite(Exception):
    """Raised by an evaluator that meets a NaN or infinite loss: the candidate fails at once."""


class Rejected(Exception):
    """Raised by an evaluator whose gate turns a candidate away."""

    def __init__(self, gate: str, value: float, bound: float) -> None:
        super().__init__(f"{gate}: {value} against {bound}")
        self.gate, self.value, self.bound = gate, float(value), float(bound)


class GateOnWorker(Protocol):
    """Measures a candidate with an `evaluator` of its own before it is evaluated."""

    @property
    def evaluator(self) -> Evaluator:
        """Return what measures."""
        ...

    def asks(self, candidate: Candidate) -> bool:
        """Say whether the gate applies to the candidate."""
        ...

    def __call__(self, candidate: Candidate) -> Metrics:
        """Return what was measured, which is kept with the evaluation, or raise Rejected."""
        ...


class Evaluator(ABC):
    """Measures architectures of one space.

    A worker builds its own evaluator once. The constructor is cheap and loads nothing heavy (the driver builds one
    as well, to learn what it measures); heavy work starts with the first `measure`.
    """

    source: Source
    metrics: Sequence[Metric]
    """What `measure` returns, besides the space's static costs."""
    recipe_options: Collection[str] = ()
    """The options that an experiment may search as recipe genes: `measure` follows `space.recipe(genome)` in them."""
    inherits: bool = False
    """Whether what is measured of a candidate depends on its parents too: `measure_child` is asked for it then."""
    gates: Sequence[GateOnWorker] = ()
    """What a candidate must pass before it is measured, at any fidelity, the cheapest first; `compose` sets them."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self.seed = seed

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """How closely it can look at a network, cheapest first; the last, the top, has no budget."""
        return (Fidelity(self.source),)

    def at(self, source: Source | None) -> Evaluator:
        """Return the evaluator of a source, None for the top's: itself, unless it joins several."""
        return self

    @abstractmethod
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the declared metrics of a genome; raise to fail.

        `budget` is that of one of the fidelities; an evaluator without budgets may leave it unread.
        """

    def measure_child(self, genome: Genome, budget: int | None, parents: Sequence[Genome]) -> Metrics:
        """Return the metrics of a genome that was bred from `parents`, one or more, each measured at the top before.

        Asked where the evaluator `inherits`. Its numbers depend on what it measured of the parents, in the same run.
        """
        return self.measure(genome, budget)

    def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
        """Return the metrics of several genomes, each as `measure` returns them: override where a batch is cheaper.

        If it raises, the genomes are measured one by one, so that only those fail that must.
        """
        return [self.measure(genome, budget) for genome in genomes]

    def fingerprint(self) -> str | None:
        """Return a hash of what it reads besides code, options and data: tables, weights; None if it reads nothing.

        Asked on the driver. Evaluations are reused from a cache, and runs resumed, under an equal fingerprint only.
        """
        return None

    def known_metrics(self) -> Mapping[str, np.ndarray] | None:
        """Return the metrics and static costs of all networks, a column each, where they are known beforehand.

        So it is known how far a search has come: networks that equal others, or would fail, are left out.
        """
        return None

    def known_genomes(self) -> Sequence[Genome] | None:
        """Return the canonical genomes that can be measured for nothing; None where measuring costs something."""
        return None

    def recorded_seconds(self, genome: Genome) -> float | None:
        """Return the seconds that an evaluation is recorded to take, for simulations; None where that is not known."""
        return None

    def part_of_seconds(self, budget: int | None) -> float:
        """Return what part of a whole measurement's seconds one of this budget takes, after those of lower budgets."""
        return 1.0

    def share(self) -> object | None:
        """Load and return what all workers need of what it reads, large and read-only: numpy's arrays; None if nothing.

        Asked on the driver, once, before anything else is: raise an EvonasError for what is wrong with it. Each node of
        a cluster gets it once, and the evaluators of its workers see the same memory.
        """
        return None

    def adopt(self, shared: object) -> None:
        """Take what `share` returned on the driver, in place of reading it here; it must not be written to."""
        raise NotImplementedError(f"{type(self).__name__} shares something, and does not say how workers take it")

    def seed_for(self, genome: Genome) -> int:
        """Return the seed of an evaluation: it depends on the run's seed and the network only."""
        return derive_seed(self.seed, "evaluation", list(self.space.canonical(genome)))

    def prepare(self) -> None:
        """Load what every measurement needs (frameworks, data on the device): a worker does it once, before the first.

        It counts in no candidate's time, time limit or memory.
        """
        return

    def memory_bytes(self, genome: Genome) -> int | None:
        """Return the GPU memory that measuring a genome takes by arithmetic; None if unknown: it first runs alone.

        Asked on the driver, so it loads no framework. Resident data and the process's CUDA context are not in it.
        """
        return None

    def rehearse(self, genome: Genome) -> float:
        """Try the evaluator on one genome and return the seconds that a full evaluation is estimated to take."""
        started = time.perf_counter()
        self.measure(genome, None)
        return time.perf_counter() - started


def evaluate(evaluator: Evaluator, candidate: Candidate) -> Outcome:
    """Ask the gates, then measure; what goes wrong is a Failure, but an EvonasError, the user's to mend, escapes."""
    return _outcome(_rung(evaluator, candidate.source), candidate, evaluator.gates)


def evaluate_many(evaluator: Evaluator, candidates: Sequence[Candidate]) -> list[Outcome]:
    """Evaluate candidates, neighbours of one fidelity in a batch where their evaluator measures batches (`batches`).

    A batch that raises is evaluated one by one, so that only those fail that must; an EvonasError escapes. The seconds
    of a batch are divided among its candidates. Where there are gates, which cost more than a share of a batch, there
    are no batches.
    """
    outcomes: list[Outcome] = []
    for (source, budget), group in groupby(candidates, key=lambda candidate: (candidate.source, candidate.budget)):
        rung = _rung(evaluator, source)
        if batches(rung) and not evaluator.gates:
            outcomes += _batch(rung, list(group), budget)
        else:
            outcomes += [_outcome(rung, candidate, evaluator.gates) for candidate in group]
    return outcomes


def batches(evaluator: Evaluator) -> bool:
    """Return whether the evaluator measures several genomes at once in a way of its own, at one fidelity or more."""
    rungs = (evaluator.at(fidelity.source) for fidelity in evaluator.fidelities)
    return any(type(rung).measure_many is not Evaluator.measure_many for rung in rungs)


def made_by(worker: Worker | None, candidate: Candidate, outcome: Outcome) -> Outcome:
    """Return the outcome with its worker noted if it is an evaluation, and with `candidate`, whose copy came back."""
    if isinstance(outcome, Evaluation):
        numbers = (outcome.metrics, outcome.source, outcome.seconds, outcome.seed)
        return Evaluation(candidate, *numbers, worker, outcome.reused_from)
    return replace(outcome, candidate=candidate)


def _rung(evaluator: Evaluator, source: Source | None) -> Evaluator:
    """Return the evaluator of a candidate's source; raise ConfigError if it names the top's, which has no name."""
    if source is evaluator.source:
        raise ConfigError(
            f"a candidate asks for the source {source}, which is the top's: leave 'source' out there, or what is "
            f"measured never comes onto the front"
        )
    return evaluator.at(source)


def _batch(evaluator: Evaluator, candidates: Sequence[Candidate], budget: int | None) -> list[Outcome]:
    if len(candidates) == 1:
        return [_outcome(evaluator, candidates[0])]
    started = time.perf_counter()
    try:
        measured = evaluator.measure_many([candidate.genome for candidate in candidates], budget)
        each = (time.perf_counter() - started) / len(candidates)
        return [_outcome(evaluator, c, (), metrics, each) for c, metrics in zip(candidates, measured, strict=True)]
    except EvonasError:
        raise
    except Exception:
        return [_outcome(evaluator, candidate) for candidate in candidates]


def _outcome(
    evaluator: Evaluator,
    candidate: Candidate,
    gates: Sequence[GateOnWorker] = (),
    measured: Metrics | None = None,
    seconds: float = 0.0,
) -> Outcome:
    """Return what becomes of a candidate, whose metrics may have been `measured` already, in so many seconds."""
    started = time.perf_counter()
    try:
        passed = {name: value for gate in gates for name, value in gate(candidate).items()}
        metrics = {**passed, **_complete(evaluator, candidate, measured)}
        seed = evaluator.seed_for(candidate.genome)
    except Rejected as exit_:
        if not math.isfinite(exit_.value) or not math.isfinite(exit_.bound):
            return Failure(candidate, str(exit_), FailureKind.NOT_FINITE)
        return Rejection(candidate, exit_.gate, exit_.value, exit_.bound)
    except NotFinite as error:
        return Failure(candidate, str(error), FailureKind.NOT_FINITE)
    except EvonasError:
        raise
    except Exception as error:
        out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's own
        return Failure(
            candidate, traceback.format_exc(), FailureKind.OUT_OF_MEMORY if out_of_memory else FailureKind.ERROR
        )
    return Evaluation(candidate, metrics, evaluator.source, seconds + time.perf_counter() - started, seed)


def _complete(evaluator: Evaluator, candidate: Candidate, measured: Metrics | None) -> dict[str, float]:
    """Return static costs and measured metrics as plain finite numbers, or raise."""
    if measured is None:
        if candidate.parent_genomes:
            measured = evaluator.measure_child(candidate.genome, candidate.budget, candidate.parent_genomes)
        else:
            measured = evaluator.measure(candidate.genome, candidate.budget)
    if missing := [metric.name for metric in evaluator.metrics if metric.name not in measured]:
        raise KeyError(f"{type(evaluator).__name__}.measure declares {', '.join(missing)} and did not return it")
    metrics = {n: float(value) for n, value in {**evaluator.space.costs(candidate.genome), **measured}.items()}
    if broken := {name: value for name, value in metrics.items() if not math.isfinite(value)}:
        raise NotFinite(f"metrics that are not finite: {broken}")
    return metrics
