"""BANANAS (White et al., AAAI 2021): an ensemble, independent Thompson sampling, and mutants of the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.component import Component
from evonas.goals import Goals
from evonas.pareto import ParetoFront
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.pymoo_mating import redraw
from evonas.strategies.surrogate import Archive, Design, SurrogateStrategy
from evonas.strategies.surrogate_choice import by_sampled_gain, feasible_first

ROUNDS = 20
"""A round makes so large a share of the mutants; repeated ones are not made up for."""


class BANANAS(SurrogateStrategy):
    """Evaluates mutants of the front whose losses, sampled as the ensemble predicts them, enlarge the hypervolume most.

    Options: those of SurrogateStrategy; `predictions` is how many mutants are predicted for a batch.

    Deviations from the paper: with several objectives, mutants are of the Pareto front, and a sample's worth is the
    hypervolume that it adds; a mutant has each gene redrawn with probability 1/n, once or, every other one, twice;
    genes are encoded as the predictor does, not as paths; the default ensemble is pretrained on costs and features.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component = Component("evonas.predictors.ensemble:Ensemble"),
        initial: int = 20,
        design: Design = "uniform",
        batch: int = 10,
        lag: int = 2,
        predictions: int = 1000,
    ) -> None:
        super().__init__(
            space, goals, admit, seed,
            predictor=predictor, initial=initial, design=design, batch=batch, lag=lag, predictions=predictions,
        )  # fmt: skip
        self._options = np.array([len(gene.options) for gene in space.genes])

    def choose(self, archive: Archive, rng: np.random.Generator) -> Sequence[Genome]:
        """Return the mutants whose sampled losses gain most."""
        genomes = self._mutants(archive, rng)
        if not genomes:
            return []
        model = self.fitted(archive)
        predicted = model.predict(model.networks(genomes))
        front, reference, count = self.front(archive, model), self.goals.reference, self.batch_size
        rows = feasible_first(predicted, count, lambda some: by_sampled_gain(some, front, reference, count, rng))
        return [genomes[row] for row in rows.tolist()]

    def _mutants(self, archive: Archive, rng: np.random.Generator) -> list[Genome]:
        members = ParetoFront.of(archive.evaluations, self.goals).members or archive.evaluations
        parents = np.array([member.candidate.genome for member in members])
        probability = 1 / len(self._options)
        mutants: dict[Genome, None] = {}
        for number in range(ROUNDS):
            drawn = parents[rng.integers(len(parents), size=-(-self.predictions // ROUNDS))]
            for _ in range(1 + number % 2):
                drawn = redraw(drawn, self._options, probability, rng)
            found = (self.fresh(tuple(genome), archive.taken, counted=False) for genome in drawn.tolist())
            mutants.update((genome, None) for genome in found if genome is not None)
        return list(mutants)
