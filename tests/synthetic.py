"""A tiny search space with a formula for its error, for tests that need a search's events but no networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evonas.evaluation import Candidate, Evaluation, Evaluator, Failure, FailureKind, Metric, Outcome, Rejection, Source
from evonas.evaluation import evaluate as evaluate_candidate
from evonas.history import History
from evonas.journal import Asked, Closed, Event, Finished, Header
from evonas.space import Gene, Genome, Metrics, SearchSpace

ERROR_AND_PARAMS: tuple[Mapping[str, Any], ...] = (
    {"metric": "valid_error", "maximize": False, "worst": 1.0},
    {"metric": "params", "maximize": False, "worst": 1_000_000.0},
)
FOUR_OBJECTIVES: tuple[Mapping[str, Any], ...] = (
    *ERROR_AND_PARAMS,
    {"metric": "macs", "maximize": False, "worst": 1e8},
    {"metric": "throughput", "maximize": True, "worst": 0.0},
)

REASON = "Traceback (most recent call last):\n  File ...\nValueError: \x1b[31mno [such] layer\x1b[0m\n"
"""A failure's reason with markup and colours in it, which must reach the reader as text."""


class IntegerSpace(SearchSpace):
    """A chain of `depth` layers of one width and kernel; its costs are a formula and it builds nothing."""

    genes = (
        Gene("depth", (1, 2, 3, 4, 6, 8)),
        Gene("width", (8, 16, 24, 32, 48, 64)),
        Gene("kernel", (1, 3, 5, 7)),
        Gene("act", ("relu", "[swish]", "gelu")),
    )

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("a synthetic network has no weights")

    def costs(self, genome: Genome) -> Metrics:
        depth, width, kernel = (int(str(self.genes[i].options[genome[i]])) for i in range(3))
        params = float(depth * (width * width * kernel * kernel + width))
        return {"params": params, "macs": params * 64}


class OtherIntegerSpace(IntegerSpace):
    """The same under another name."""


class FormulaEvaluator(Evaluator):
    """Error falls with the logarithm of size, plus noise that depends on the seed; some genomes fail on demand."""

    source = Source.TABULAR
    metrics = (Metric("valid_error", worst=1.0), Metric("throughput", maximize=True))

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        params = self.space.costs(genome)["params"]
        noise = np.random.default_rng(self.seed_for(genome)).normal()
        error = 0.9 - 0.07 * np.log(params) + 0.03 * (genome[3] == 0) + 0.02 * noise
        return {"valid_error": float(np.clip(error, 0.01, 1.0)), "throughput": 1e6 / (params**0.8 + 50.0)}


def header(
    objectives: Sequence[Mapping[str, Any]] = ERROR_AND_PARAMS,
    constraints: Sequence[Mapping[str, Any]] = (),
    gates: Sequence[Mapping[str, Any]] = ({"metric": "params", "at_most": 250_000.0},),
) -> Header:
    """Return the header of a synthetic search."""
    return Header(
        name="synthetic",
        config={"name": "synthetic", "seed": 7},
        config_hash="0123456789abcdef",
        objectives=objectives,
        constraints=constraints,
        gates=gates,
        data_fingerprint=None,
        versions={"evonas": "0.1.0", "numpy": np.__version__},
        created="2025-01-01T00:00:00+00:00",
    )


def outcome_of(candidate: Candidate, *, troubles: bool = True) -> Outcome:
    """Evaluate a candidate by the formula; with `troubles` every 17th fails and every 13th is rejected on a worker."""
    if troubles and candidate.id % 17 == 16:
        return Failure(candidate, REASON, FailureKind.ERROR)
    if troubles and candidate.id % 13 == 12:
        return Rejection(candidate, "synflow >= 3", 1.5, 3.0)
    outcome = evaluate_candidate(FormulaEvaluator(IntegerSpace(), seed=7), candidate)
    assert isinstance(outcome, Evaluation), outcome
    return Evaluation(candidate, outcome.metrics, outcome.source, seconds=2.0, seed=outcome.seed)


def events(
    head: Header | None = None, generations: int = 5, size: int = 16, *, troubles: bool = True, closed: bool = True
) -> list[Event]:
    """Return the journal of a random search whose candidates grow from generation to generation."""
    space, rng = IntegerSpace(), np.random.default_rng(7)
    assert generations * size < space.size(), "the space is too small for that"
    made: list[Event] = [head or header()]
    clock, seen = 0.0, list[Genome]()
    for number in range(generations):
        asked: list[Candidate] = []
        while len(asked) < size:
            genome = space.sample(rng)
            if genome not in seen:
                parents = (len(seen) - size,) if number else ()
                asked.append(Candidate(len(seen), genome, number, parents))
                seen.append(genome)
        made.append(Asked(asked, {"params <= 250000": 3} if number else {}))
        for candidate in asked:
            clock += 0.5
            made.append(Finished(outcome_of(candidate, troubles=troubles), clock))
    return [*made, Closed("budget", clock)] if closed else made


def history(
    objectives: Sequence[Mapping[str, Any]] = ERROR_AND_PARAMS,
    constraints: Sequence[Mapping[str, Any]] = (),
    generations: int = 5,
    size: int = 16,
) -> History:
    """Return the history of such a search, complete and closed."""
    return History.replay(events(header(objectives, constraints), generations, size))


class Noisy(FormulaEvaluator):
    """The formula, with what a recipe gene adds to the error."""

    recipe_options = ("noise",)

    def __init__(self, space: SearchSpace, seed: int, *, noise: float = 0.0) -> None:
        super().__init__(space, seed)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {**super().measure(genome[:4], budget), "valid_error": 0.1 + float(self.space.recipe(genome)["noise"])}
