"""Expected hypervolume improvement with a Gaussian process: what is chosen is expected to enlarge the front most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.component import Component
from evonas.goals import Goals
from evonas.pareto import ParetoFront
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.surrogate import Archive, Design, SurrogateStrategy
from evonas.strategies.surrogate_choice import expected_gain


class ExpectedHypervolume(SurrogateStrategy):
    """Evaluates what is expected to enlarge the hypervolume most (Emmerich et al. 2006), a batch at a time."""

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component = Component("evonas.predictors.gp:GP"),
        initial: int = 16,
        design: Design = "uniform",
        batch: int = 5,
        lag: int = 0,
        predictions: int = 5000,
        samples: int = 16,
    ) -> None:
        shared = {"predictor": predictor, "initial": initial, "design": design, "batch": batch, "lag": lag}
        super().__init__(space, goals, admit, seed, predictions=predictions, **shared)
        self.samples = samples

    def choose(self, archive: Archive, rng: np.random.Generator) -> Sequence[Genome]:
        """Return the networks whose losses, sampled as predicted, add most to the front."""
        model = self.model()
        model.fit(archive.evaluations)
        genomes, predicted = self.candidates(model, archive, rng, optimism=1.0)
        front = ParetoFront.of(archive.evaluations, self.goals).losses
        if archive.open:
            front = np.vstack([front, model.predict(model.networks(archive.open)).losses])
        rows = expected_gain(predicted, front, self.goals.reference, self.batch_size, self.samples, rng)
        return [genomes[row] for row in rows]
