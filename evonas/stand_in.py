"""A stand-in for an evaluator that costs too much to ask: exact static costs, and invented numbers for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evonas.compose import Search
from evonas.evaluation import Evaluator, Fidelity, Metric, Source
from evonas.seeds import generator
from evonas.space import Genome, Metrics

GAIN, NOISE, ROUGHNESS = 0.6, 0.1, 0.15
"""Of the way from a metric's worst value to its best: what the largest network gains on the smallest, the noise, and
the noise of looking below the top fidelity."""


@dataclass(frozen=True)
class StandInRecipe:
    """Builds the stand-in of a search's evaluator."""

    search: Search

    def build(self, shared: object = None) -> Evaluator:
        """Return a new stand-in."""
        return StandIn(self.search)


class StandIn(Evaluator):
    """Declares what the evaluator of a search declares, and invents it: larger networks are better, with noise.

    A metric runs from its worst value to 0 or, where more is better, to 1 above it; where a constraint bounds it, the
    bound lies in the middle. The numbers are a function of the run's seed, the network and the fidelity.
    """

    def __init__(self, search: Search, source: Source | None = None) -> None:
        super().__init__(search.space, search.experiment.seed)
        self._search = search
        self.source = search.evaluator.at(source).source
        self.metrics = search.evaluator.at(source).metrics
        self._sizes = np.sort([costs.get("params", 0.0) for costs in search.sampled])
        self._ranges = {
            metric.name: _worst_to_best(metric, search)
            for metric in self.metrics
            if metric.name not in search.sampled[0]
        }

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """Those of the search."""
        return self._search.evaluator.fidelities

    def at(self, source: Source | None) -> Evaluator:
        """Return the stand-in of a source."""
        return self if source in (None, self.source) else StandIn(self._search, source)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return invented values of what only an evaluation can tell."""
        costs = self.space.costs(genome)
        rank = np.searchsorted(self._sizes, costs.get("params", 0.0)) / len(self._sizes)
        noise = generator(self.seed, "stand-in", list(genome)).normal(size=len(self._ranges))
        fidelity = Fidelity(self.source, budget)
        if fidelity != self.fidelities[-1]:
            rough = generator(self.seed, "rough", str(fidelity), list(genome)).normal(size=len(self._ranges))
            noise += ROUGHNESS / NOISE * rough
        quality = np.clip(0.5 + GAIN * (rank - 0.5) + NOISE * noise, 0.0, 1.0)
        invented = {
            name: worst + float(q) * (best - worst)
            for q, (name, (worst, best)) in zip(quality, self._ranges.items(), strict=True)
        }
        return {**costs, **invented}


def _worst_to_best(metric: Metric, search: Search) -> tuple[float, float]:
    """Return the range that a metric is invented in."""
    objective = next((o for o in search.goals.objectives if o.metric == metric.name), None)
    maximize = objective.maximize if objective else metric.maximize
    bounds: Sequence[float | None] = [
        bound for c in search.goals.constraints if c.metric == metric.name for bound in (c.at_most, c.at_least)
    ]
    middle = next((bound for bound in bounds if bound is not None), None)
    if middle is not None:
        half = abs(middle) / 2 or 0.5
        return (middle - half, middle + half) if maximize else (middle + half, middle - half)
    worst = objective.worst if objective else metric.worst
    worst = worst if worst is not None and math.isfinite(worst) else 0.0 if maximize else 1.0
    if maximize:
        return worst, worst + 1.0
    return worst, 0.0 if worst > 0 else worst - 1.0
