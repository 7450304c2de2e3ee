"""A search problem whose evaluations cost nothing, so that a benchmark sees the orchestrator alone."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import Any

from evonas.evaluation import Evaluator, Metric, Source
from evonas.space import Gene, Genome, Metrics, SearchSpace

GENES, OPTIONS = 20, 10


class Digits(SearchSpace):
    """Twenty genes of ten options; `params` is their sum."""

    genes = tuple(Gene(f"gene{number}", tuple(range(OPTIONS))) for number in range(GENES))

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("a row of digits is no network")

    def costs(self, genome: Genome) -> Metrics:
        return {"params": float(sum(genome))}


class Formula(Evaluator):
    """The error falls as digits grow, and as neighbours agree: in conflict with `params`."""

    source = Source.TABULAR
    metrics = (Metric("valid_error", worst=1.0),)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {"valid_error": formula(genome)}


def formula(genome: Genome) -> float:
    """Return the error of a genome, between 0 and 1."""
    strife = sum(abs(a - b) for a, b in pairwise(genome)) / (len(genome) * OPTIONS)
    return 0.7 * math.exp(-3.0 * sum(genome) / (len(genome) * OPTIONS)) + 0.3 * strife


class Sleep(Evaluator):
    """The formula, after a sleep of `seconds`."""

    source = Source.TABULAR
    metrics = (Metric("valid_error", worst=1.0),)

    def __init__(self, space: SearchSpace, seed: int, *, seconds: float = 0.1) -> None:
        super().__init__(space, seed)
        self.seconds = seconds

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        time.sleep(self.seconds)
        return {"valid_error": formula(genome)}
