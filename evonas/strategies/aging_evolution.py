"""Aging evolution: the regularized evolution of Real et al. (AAAI 2019), with several objectives where there are."""

from __future__ import annotations

import numpy as np

from evonas.errors import require
from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.pareto import crowding_distances, ranks
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.steady_state import Offspring, SteadyState

ATTEMPTS = 50
"""Children of one ticket before a uniform genome takes its place."""


class AgingEvolution(SteadyState):
    """The best of a random sample of the population has a child, one gene away, and the oldest dies when it enters.

    Options: `population`; `sample`, how many are drawn, with replacement as in the paper; `deterministic` and `lag`
    (default: the population): with them a search is the same on any number of workers, and `lag` of them can be used.

    Deviations from the paper: the best of a sample is the one that violates constraints least; of these, one of their
    own Pareto front; of the front, the one with the largest crowding distance in it; of equals, the first drawn. With
    one objective and no constraint that is the paper's. A child that repeats a network or that a gate turns away is
    bred again from a new sample, and after `ATTEMPTS` of them a uniform genome takes the place; failed candidates do
    not enter the population.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        population: int = 100,
        sample: int = 25,
        deterministic: bool = True,
        lag: int | None = None,
    ) -> None:
        super().__init__(space, goals, admit, seed, population=population, deterministic=deterministic, lag=lag)
        require("sample", sample, sample >= 1, "at least 1")
        self.sample_size = sample
        self._options = [len(gene.options) for gene in space.genes]
        self._mutable = [gene for gene, options in enumerate(self._options) if options > 1]
        self._living: list[tuple[int, Genome]] = []
        self._losses = np.zeros((population, len(goals.objectives)))
        self._violations = np.zeros(population)
        self._entered = 0

    def commit(self, evaluation: Evaluation) -> None:
        """Let the evaluation in; the oldest makes room for it."""
        row = self._entered % self.population_size
        self._living[row : row + 1] = [(evaluation.candidate.id, evaluation.candidate.genome)]
        self._losses[row] = self.goals.losses(evaluation.metrics)
        self._violations[row] = self.goals.violation(evaluation.metrics)
        self._entered += 1

    def breed(self, rng: np.random.Generator) -> Offspring | None:
        """Return a fresh child of the best of a sample."""
        if not self._living or not self._mutable:
            return None
        for _ in range(ATTEMPTS):
            parent, genome = self._living[self._best(rng.integers(len(self._living), size=self.sample_size))]
            child = self.fresh(self._mutated(genome, rng), ())
            if child is not None:
                return child, (parent,)
        return None

    def _best(self, sample: np.ndarray) -> int:
        """Return the row of the best of a sample of rows."""
        rows = np.array(list(dict.fromkeys(sample.tolist())))
        violations = self._violations[rows]
        rows = rows[violations == violations.min()]
        front = rows[ranks(self._losses[rows]) == 0]
        return int(front[crowding_distances(self._losses[front]).argmax()])

    def _mutated(self, genome: Genome, rng: np.random.Generator) -> Genome:
        """Return `genome` with one gene redrawn as another of its options."""
        gene = self._mutable[rng.integers(len(self._mutable))]
        options = self._options[gene]
        redrawn = (genome[gene] + 1 + int(rng.integers(options - 1))) % options
        return (*genome[:gene], redrawn, *genome[gene + 1 :])
