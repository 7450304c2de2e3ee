"""A cheap signal of another name and direction than the truth, for searches that are audited."""

from __future__ import annotations

import numpy as np

from evonas.evaluation import Evaluator, Metric, Source
from evonas.seeds import generator
from evonas.space import Genome, Metrics


class Score(Evaluator):
    """A score that rises with the logarithm of the parameters, as the formula's error falls, and is noisy."""

    source = Source.ZERO_COST
    metrics = (Metric("score", maximize=True, worst=0.0),)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        noise = float(generator(0, "score", list(genome)).normal())
        return {"score": max(0.0, 5.0 + float(np.log(self.space.costs(genome)["params"])) + noise)}


class SeededScore(Score):
    """The score as one seed has it: another seed turns other networks away."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        noise = float(generator(self.seed_for(genome), "score").normal())
        return {"score": max(0.0, 5.0 + float(np.log(self.space.costs(genome)["params"])) + 3 * noise)}
