"""Steady-state NSGA-II (Durillo et al. 2009): one candidate in and one out, with no generation to wait for."""

from __future__ import annotations

import numpy as np

from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.seeds import generator
from evonas.space import SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.pymoo_mating import Crossover, Mating
from evonas.strategies.pymoo_survival import SteadyPopulation
from evonas.strategies.steady_state import Offspring, SteadyState

ROUNDS = 6
"""Rounds of breeding before a uniform genome takes the place; each round has twice the matings of the last."""


class SteadyStateNSGA2(SteadyState):
    """(mu + 1) NSGA-II over integer genes, constraints by feasibility first, that keeps every worker busy.

    Options: `population` (mu); `crossover`, `crossover_probability` and `mutation` as of NSGA2; `deterministic` and
    `lag` (default: the population): with them a search is the same on any number of workers, and `lag` of them can be
    used.

    Deviations from the paper are those of NSGA2: mutation redraws a gene, a network is never proposed twice, children
    that repeat one or that a gate turns away are bred again, and failed candidates take no part. Of two children the
    first is taken, as pymoo does with one offspring, and the second where the first will not do.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        population: int = 40,
        crossover: Crossover = "uniform",
        crossover_probability: float = 0.9,
        mutation: float | None = None,
        deterministic: bool = True,
        lag: int | None = None,
    ) -> None:
        super().__init__(space, goals, admit, seed, population=population, deterministic=deterministic, lag=lag)
        self._mating = Mating(
            space, crossover=crossover, crossover_probability=crossover_probability, mutation=mutation
        )
        self._population = SteadyPopulation(population, len(space.genes), len(goals.objectives))

    def commit(self, evaluation: Evaluation) -> None:
        """Let the evaluation in, and the worst of all out if the population is full."""
        id_, metrics = evaluation.candidate.id, evaluation.metrics
        self._population.add(
            id_,
            evaluation.candidate.genome,
            self.goals.losses(metrics),
            self.goals.violation(metrics),
            lambda: generator(self.seed, "survive", id_),
        )

    def breed(self, rng: np.random.Generator) -> Offspring | None:
        """Return the first fresh child of couples chosen by tournament."""
        if len(self._population) < 2:
            return None
        for round_ in range(ROUNDS):
            children, couples = self._mating.children(self._population, 2**round_, rng)
            for number, child in enumerate(children):
                genome = self.fresh(tuple(child), ())
                if genome is not None:
                    parents = dict.fromkeys(self._population.ids[row] for row in couples[number % len(couples)])
                    return genome, tuple(parents)
        return None
