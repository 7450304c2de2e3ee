"""A space of small integers with redundant genes, and formulas for its networks: cheap to search by the hundred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from evonas.evaluation import Candidate, Evaluation, Evaluator, Failure, FailureKind, Metric, Rejection, Source
from evonas.goals import Constraint, Goals, Objective
from evonas.journal import Header
from evonas.seeds import generator
from evonas.space import Gene, Genome, Metrics, SearchSpace

OBJECTIVES: Sequence[Mapping[str, Any]] = (
    {"metric": "valid_error", "maximize": False, "worst": 1.0},
    {"metric": "params", "maximize": False, "worst": 80.0},
)


class ToySpace(SearchSpace):
    """Genes of three options. If `redundant`, a first gene of 0 makes the second dead, and the last two commute."""

    def __init__(self, length: int = 6, *, redundant: bool = True) -> None:
        self.genes = [Gene(f"g{number}", (0, 1, 2)) for number in range(length)]
        self.redundant = redundant

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("a toy has no weights")

    def canonical(self, genome: Genome) -> Genome:
        if not self.redundant:
            return genome
        first, second, *middle = genome[:-2]
        return (first, second if first else 0, *middle, *sorted(genome[-2:]))

    def costs(self, genome: Genome) -> Metrics:
        params = 1.0 + sum(number * gene for number, gene in enumerate(self.canonical(genome), start=1))
        return {"params": params, "macs": params * 10}


class ToyEvaluator(Evaluator):
    """Error falls with every gene, rises where neighbours differ, and is never the same for two networks."""

    source = Source.TABULAR
    metrics = (Metric("valid_error", worst=1.0),)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {"valid_error": toy_error(self.space.canonical(genome))}


def toy_error(canonical: Genome) -> float:
    """Return the error of a network."""
    gain = sum(canonical) / (2 * len(canonical))
    strife = sum(a != b for a, b in pairwise(canonical)) / len(canonical)
    return 0.9 - 0.7 * gain + 0.15 * strife + 0.05 * float(generator(0, "toy", list(canonical)).random())


def toy_evaluation(candidate: Candidate) -> Evaluation:
    """Return the evaluation of a canonical candidate."""
    metrics = {"valid_error": toy_error(candidate.genome), **ToySpace(len(candidate.genome)).costs(candidate.genome)}
    return Evaluation(candidate, metrics, Source.TABULAR, seconds=0.5, seed=0)


def toy_goals(*constraints: Constraint) -> Goals:
    """Return the toy's objectives, with these constraints."""
    return Goals(tuple(Objective(**objective) for objective in OBJECTIVES), constraints)


def header(constraints: Sequence[Constraint] = (), gates: Sequence[Mapping[str, Any]] = ()) -> Header:
    """Return the header of a toy search."""
    return Header(
        name="toy",
        config={},
        config_hash="",
        objectives=OBJECTIVES,
        constraints=[{"metric": c.metric, "at_most": c.at_most, "at_least": c.at_least} for c in constraints],
        gates=list(gates),
        data_fingerprint=None,
        versions={},
        created="2025-01-01T00:00:00+00:00",
    )


def candidates(first: int, count: int, generation: int = 0) -> list[Candidate]:
    """Return candidates with ids from `first` on."""
    return [Candidate(number, (number,), generation) for number in range(first, first + count)]


def evaluated(candidate: Candidate, error: float = 0.5, params: float = 40.0) -> Evaluation:
    """Return an outcome with these metrics."""
    return Evaluation(candidate, {"valid_error": error, "params": params}, Source.TABULAR, seconds=2.0, seed=0)


def failed(candidate: Candidate) -> Failure:
    """Return an outcome without metrics."""
    return Failure(candidate, "no layer", FailureKind.ERROR)


def rejected(candidate: Candidate) -> Rejection:
    """Return an outcome of a gate on a worker."""
    return Rejection(candidate, "synflow >= 3", 1.0, 3.0)
