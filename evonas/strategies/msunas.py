"""MSuNAS (Lu et al. 2020, NSGANetV2): the best predictor of several, and networks that fill the gaps of the front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.component import Component
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.surrogate import Archive, Design, SurrogateStrategy
from evonas.strategies.surrogate_choice import by_spread, feasible_first


class MSuNAS(SurrogateStrategy):
    """Evaluates the networks of the predicted front whose costs fill the gaps of the archive's front.

    Options: those of SurrogateStrategy. The default `predictor` is chosen anew for each batch by cross-validation.

    Deviations from the paper: gaps are those of the last objective (the paper's cost), filled greedily, each network
    the farthest from the front and those before it, where the paper solves a subset selection by a genetic algorithm;
    the predictors to choose from are those of `auto`; costs that the space counts are exact; of a small space all
    networks are predicted.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component = Component("evonas.predictors.auto:Auto"),
        initial: int = 100,
        design: Design = "extremes",
        batch: int = 8,
        lag: int = 2,
        predictions: int = 5000,
    ) -> None:
        super().__init__(
            space, goals, admit, seed,
            predictor=predictor, initial=initial, design=design, batch=batch, lag=lag, predictions=predictions,
        )  # fmt: skip

    def choose(self, archive: Archive, rng: np.random.Generator) -> Sequence[Genome]:
        """Return networks of the best ranks whose costs are far from each other's and from the front's."""
        model = self.fitted(archive)
        genomes, predicted = self.candidates(archive, model, rng)
        front, count, cost = self.front(archive, model), self.batch_size, len(self.goals.objectives) - 1
        rows = feasible_first(predicted, count, lambda some: by_spread(some.losses, front, count, [cost]))
        return [genomes[row] for row in rows.tolist()]
