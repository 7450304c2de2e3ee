"""Neural Predictor (Wen et al., ECCV 2020): train a few, predict many, train the best of these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.component import Component
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.surrogate import Archive, Design, SurrogateStrategy
from evonas.strategies.surrogate_choice import by_rank, feasible_first


class NeuralPredictor(SurrogateStrategy):
    """Evaluates `initial` uniform networks, then the best `batch` of as many uniform ones as `predictions` says.

    Options: those of SurrogateStrategy.

    Deviations from the paper: with several objectives the best are those of the best non-domination ranks, and of a
    front those with most room; the predictor is any (by default an ensemble of perceptrons, where the paper has a graph
    network); after a batch the predictor is fitted to it too, and another batch follows as long as the search lasts.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component = Component("evonas.predictors.ensemble:Ensemble"),
        initial: int = 50,
        design: Design = "uniform",
        batch: int = 50,
        lag: int = 2,
        predictions: int = 10_000,
    ) -> None:
        super().__init__(
            space, goals, admit, seed,
            predictor=predictor, initial=initial, design=design, batch=batch, lag=lag, predictions=predictions,
        )  # fmt: skip

    def choose(self, archive: Archive, rng: np.random.Generator) -> Sequence[Genome]:
        """Return the best of uniform networks."""
        model = self.fitted(archive)
        drawn = (self.fresh(self.space.sample(rng), archive.taken, counted=False) for _ in range(self.predictions))
        genomes = list(dict.fromkeys(genome for genome in drawn if genome is not None))
        predicted = model.predict(model.networks(genomes))
        rows = feasible_first(predicted, self.batch_size, lambda some: by_rank(some.losses, self.batch_size))
        return [genomes[row] for row in rows.tolist()]
