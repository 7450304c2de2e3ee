"""SMS-EMOA (Beume, Naujoks and Emmerich 2007): survival by rank and hypervolume contribution, with pymoo's."""

from __future__ import annotations

import numpy as np
from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

from evonas.errors import require
from evonas.strategies.pymoo_genetic import GeneticAlgorithm
from evonas.strategies.pymoo_mating import dominating
from evonas.strategies.pymoo_survival import Population


class SMSEMOA(GeneticAlgorithm):
    """Generational (mu + lambda) SMS-EMOA over integer genes, constraints by feasibility first.

    Options as of NSGA2. `offspring: 1` is the paper's algorithm, which is steady-state and busies one worker. With more
    of them, by default as many as the population, those that contribute least to the hypervolume of the last front are
    dropped one at a time, as pymoo does: so all workers have work, and NSGA2, NSGA3 and this differ in who survives.

    Deviations, besides those of NSGA2: parents win tournaments by dominance, as pymoo's; losses are scaled by the range
    of the parents, and the reference point lies ten times that range beyond it, so that extremes stay.
    """

    compare = staticmethod(dominating)

    def prepare(self) -> None:
        """Refuse a single objective, which has no contributions."""
        objectives = len(self.goals.objectives)
        require("objectives", objectives, objectives >= 2, "2 or more for SMSEMOA (take NSGA2 for one)")

    def survivors(self, parents: Population, offspring: Population, rng: np.random.Generator) -> Population:
        """Return the best by rank; who contributes least leaves the last front, one after the other."""
        scale = (parents if len(parents) else offspring).losses
        bounds = {"ideal": scale.min(axis=0), "nadir": scale.max(axis=0) + 1e-32}
        survival = LeastHypervolumeContributionSurvival()
        return parents.merged(offspring).survivors_by(survival, self.population_size, rng, **bounds)
