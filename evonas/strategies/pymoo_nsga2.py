"""NSGA-II (Deb et al. 2002): survival by rank and crowding."""

from __future__ import annotations

import numpy as np

from evonas.strategies.pymoo_genetic import GeneticAlgorithm
from evonas.strategies.pymoo_survival import Population


class NSGA2(GeneticAlgorithm):
    """Generational (mu + lambda) NSGA-II over integer genes, constraints by feasibility first.

    Options: `population` (mu) and `offspring` (lambda, default mu) a generation; `crossover` and the probability that
    two parents are crossed at all; `mutation`, the probability that a gene is redrawn as another option (default: one
    gene a genome on average).

    Deviations from the paper: mutation redraws a gene, because polynomial mutation hardly ever changes a gene with few
    options; a network is never proposed twice, offspring that repeat one or that a gate turns away are bred again, and
    after `ATTEMPTS` rounds without a new network uniform genomes fill the generation; failed candidates take no part.
    A generation does not depend on the order in which outcomes arrive.
    """

    def survivors(self, parents: Population, offspring: Population, rng: np.random.Generator) -> Population:
        """Return the best by rank and crowding."""
        return parents.merged(offspring).survivors(self.population_size, rng)
