"""NSGA-III (Deb and Jain 2014): survival by rank and by reference directions, with pymoo's."""

from __future__ import annotations

import warnings

import numpy as np
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.util.ref_dirs import get_reference_directions
from pymoo.util.reference_direction import get_partition_closest_to_points

from evonas.errors import require
from evonas.strategies.pymoo_genetic import GeneticAlgorithm
from evonas.strategies.pymoo_mating import less_violating
from evonas.strategies.pymoo_survival import Population


class NSGA3(GeneticAlgorithm):
    """Generational (mu + lambda) NSGA-III over integer genes, for three objectives and more.

    Options as of NSGA2. The reference directions are Das and Dennis's, as many as `population` allows: all of it with
    two objectives, 36 of 40 with three, 35 of 40 with four.

    Constraints as in the paper's second part (Jain and Deb 2014): the least violating are preferred as parents and
    survive; feasible parents are drawn at random. Deviations, besides those of NSGA2: the population need not be as
    large as the number of directions; where the hyperplane through the extremes makes no sense, and for its bounds,
    pymoo's rules.
    """

    compare = staticmethod(less_violating)

    def prepare(self) -> None:
        """Make the reference directions."""
        objectives, population = len(self.goals.objectives), self.population_size
        require("objectives", objectives, objectives >= 2, "2 or more for NSGA3 (take NSGA2 for one)")
        require("population", population, population >= objectives, f"at least the number of objectives, {objectives}")
        partitions = get_partition_closest_to_points(population, objectives)
        self.directions: np.ndarray = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
        self._survival = ReferenceDirectionSurvival(self.directions)

    def survivors(self, parents: Population, offspring: Population, rng: np.random.Generator) -> Population:
        """Return the best by rank, the last front cut so that the directions are evenly taken."""
        with warnings.catch_warnings():  # pymoo changes the filters of the whole process
            return parents.merged(offspring).survivors_by(self._survival, self.population_size, rng)
