"""LINAS (Cummings et al. 2022, DyNAS-T): measure, fit, search on predictions, measure what that found, and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.component import Component
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.surrogate import Archive, Design, SurrogateStrategy
from evonas.strategies.surrogate_choice import by_spread, feasible_first


class LINAS(SurrogateStrategy):
    """Evaluates what NSGA-II on predictions finds, spread along the front, a population at a time.

    Options: those of SurrogateStrategy.

    Deviations from the paper: networks that were proposed before are left out; a batch is chosen for spread among the
    best ranks of all that the inner search met, where the paper takes its last population; the inner search starts from
    the archive's front, predicts whole generations, and keeps costs exact that the space counts.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component = Component("evonas.predictors.ridge:Ridge"),
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
        """Return networks of the best ranks, far from each other and from the front in their losses."""
        model = self.fitted(archive)
        genomes, predicted = self.candidates(archive, model, rng)
        front, count, axes = self.front(archive, model), self.batch_size, range(len(self.goals.objectives))
        rows = feasible_first(predicted, count, lambda some: by_spread(some.losses, front, count, axes))
        return [genomes[row] for row in rows.tolist()]
