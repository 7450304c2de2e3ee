"""GBDT-NAS (Luo et al. 2021): boosted trees predict, and options that hurt are pruned from the space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.component import Component
from evonas.errors import require
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.surrogate import Archive, Design, SurrogateStrategy
from evonas.strategies.surrogate_choice import by_rank, feasible_first
from evonas.strategies.surrogate_model import LossModel


class GBDTNAS(SurrogateStrategy):
    """Evaluates the best predicted networks of the space that is left without the options that hurt.

    Options: those of SurrogateStrategy; `prune`, the share of all options that is pruned at most.

    Deviations from the paper: the effect of an option is the mean prediction of uniform networks that have it, which
    any predictor can be asked for, where the paper takes SHAP values of the trees; an option hurts if another one of
    its gene is better in every loss, and those that are farthest behind are pruned; a network with a pruned option gets
    that better one; effects are estimated anew for each batch; with several objectives the best networks are those of
    the best non-domination ranks.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        predictor: Component = Component("evonas.predictors.gbdt:GBDT"),
        initial: int = 50,
        design: Design = "uniform",
        batch: int = 20,
        lag: int = 2,
        predictions: int = 5000,
        prune: float = 0.2,
    ) -> None:
        super().__init__(
            space, goals, admit, seed,
            predictor=predictor, initial=initial, design=design, batch=batch, lag=lag, predictions=predictions,
        )  # fmt: skip
        require("prune", prune, 0 <= prune < 1, "a share, from 0 to less than 1")
        self.prune = prune

    def choose(self, archive: Archive, rng: np.random.Generator) -> Sequence[Genome]:
        """Return the best ranks of the pruned space."""
        model = self.fitted(archive)
        instead = self._pruned(model)

        def repair(genome: Genome) -> Genome:
            return tuple(instead.get(choice, choice[1]) for choice in enumerate(genome))

        genomes, predicted = self.candidates(archive, model, rng, repair=repair)
        rows = feasible_first(predicted, self.batch_size, lambda some: by_rank(some.losses, self.batch_size))
        return [genomes[row] for row in rows.tolist()]

    def _pruned(self, model: LossModel) -> dict[tuple[int, int], int]:
        """Return the options that hurt, as (gene, option), and the option that takes the place of each."""
        losses, choices = model.predict(model.uniform).losses, model.uniform.features.choices
        losses = losses / np.where(np.ptp(losses, axis=0) > 0, losses.std(axis=0), 1.0)
        behind: list[tuple[float, int, int, int]] = []
        for gene, column in enumerate(choices.T):
            options = np.unique(column).tolist()
            effects = np.array([losses[column == option].mean(axis=0) for option in options])
            leads = (effects[:, None] - effects[None]).min(axis=2)  # by how much the second is better in every loss
            best = leads.argmax(axis=1)
            behind += [(leads[n, best[n]], gene, option, options[best[n]]) for n, option in enumerate(options)]
        total = sum(len(gene.options) for gene in self.space.genes)
        worst = sorted(behind, reverse=True)[: int(self.prune * total)]
        return {(gene, option): better for lead, gene, option, better in worst if lead > 0}
