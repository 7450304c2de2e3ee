"""What generational strategies on pymoo's operators share: mating, and one survival that each brings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from evonas.errors import require
from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.generational import Generational, Offspring
from evonas.strategies.pymoo_mating import Compare, Crossover, Mating, crowded
from evonas.strategies.pymoo_survival import Population


class GeneticAlgorithm(Generational):
    """A (mu + lambda) genetic algorithm over integer genes, constraints by feasibility first.

    Its options, and its deviations from the papers, are those that NSGA2 names.
    """

    compare: Compare = staticmethod(crowded)
    """Who of two wins the tournament that chooses parents."""

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        population: int = 40,
        offspring: int | None = None,
        crossover: Crossover = "uniform",
        crossover_probability: float = 0.9,
        mutation: float | None = None,
    ) -> None:
        super().__init__(space, goals, admit, seed, population=population)
        self.offspring_size = population if offspring is None else offspring
        require("offspring", self.offspring_size, self.offspring_size >= 1, "at least 1")
        self._mating = Mating(
            space,
            crossover=crossover,
            crossover_probability=crossover_probability,
            mutation=mutation,
            compare=self.compare,
        )
        self.mutation = self._mating.mutation
        self._population = Population.empty(len(space.genes), len(goals.objectives))
        self.prepare()

    def prepare(self) -> None:
        """Make what survival needs; raise ConfigError for goals or options that it cannot serve."""
        return

    @abstractmethod
    def survivors(self, parents: Population, offspring: Population, rng: np.random.Generator) -> Population:
        """Return the best `population_size` of both."""

    def survive(self, evaluated: Sequence[Evaluation], rng: np.random.Generator) -> None:
        """Keep the best of parents and offspring."""
        self._population = self.survivors(self._population, Population.of(evaluated, self.goals), rng)

    def breed(self, rng: np.random.Generator) -> Offspring:
        """Return children of couples that win tournaments; uniform genomes take the place of missing ones."""

        def children(count: int) -> Iterator[tuple[Genome, list[int]]]:
            genomes, couples = self._mating.children(self._population, -(-count // 2), rng)
            for number, child in enumerate(genomes):
                yield tuple(child), self._population.ids[couples[number % len(couples)]].tolist()

        bred = self.fresh_children(self.offspring_size, children) if len(self._population) >= 2 else []
        return self.filled(rng, self.offspring_size, bred)
