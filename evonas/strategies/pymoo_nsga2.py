"""NSGA-II (Deb et al. 2002) on pymoo's survival, tournament and crossover operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.errors import require
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit, Strategy
from evonas.strategies.pymoo_mating import Crossover, Mating
from evonas.strategies.pymoo_survival import Population

Offspring = list[tuple[Genome, tuple[int, ...]]]

ATTEMPTS = 50
"""Rounds of breeding before uniform genomes fill a generation."""


class NSGA2(Strategy):
    """Generational (mu + lambda) NSGA-II over integer genes, constraints by feasibility first.

    Options: `population` (mu) and `offspring` (lambda, default mu) a generation; `crossover` and the probability that
    two parents are crossed at all; `mutation`, the probability that a gene is redrawn as another option (default: one
    gene a genome on average).

    Deviations from the paper: mutation redraws a gene, because polynomial mutation hardly ever changes a gene with few
    options; a network is never proposed twice, offspring that repeat one or that a gate turns away are bred again, and
    after `ATTEMPTS` rounds without a new network uniform genomes fill the generation; failed candidates take no part.
    A generation does not depend on the order in which outcomes arrive.
    """

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
        super().__init__(space, goals, admit, seed)
        self.population_size = population
        self.offspring_size = population if offspring is None else offspring
        require("population", population, population >= 2, "at least 2")
        require("offspring", self.offspring_size, self.offspring_size >= 1, "at least 1")
        self._mating = Mating(
            space, crossover=crossover, crossover_probability=crossover_probability, mutation=mutation
        )
        self.mutation = self._mating.mutation
        self._generation = -1
        self._open: set[int] = set()
        self._evaluated: list[Evaluation] = []
        self._population = Population.empty(len(space.genes), len(goals.objectives))

    def ask(self, limit: int) -> list[Candidate]:
        """Return the next generation when the last one is complete; `limit` does not cut it."""
        if self._open:
            return []
        generation = self._generation + 1
        rng = self.generator(generation)
        bred = self._breed(rng) if len(self._population) >= 2 else []
        wanted = self.offspring_size if generation else self.population_size
        bred += self._immigrants(rng, wanted - len(bred), {genome for genome, _ in bred}, initial=generation == 0)
        candidates = [
            Candidate(self._next_id + i, genome, generation, parents) for i, (genome, parents) in enumerate(bred)
        ]
        self.adopt(candidates)
        return candidates

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Open the generation that the candidates are."""
        super().adopt(candidates)
        self._open.update(candidate.id for candidate in candidates)
        self._generation = max([self._generation, *(candidate.generation for candidate in candidates)])

    def tell(self, outcome: Outcome) -> None:
        """Keep an evaluation; the last outcome of a generation decides who survives."""
        self._open.discard(outcome.candidate.id)
        if isinstance(outcome, Evaluation):
            self._evaluated.append(outcome)
        if not self._open:
            self._survive()

    def _survive(self) -> None:
        """Keep the best `population` of parents and offspring, by rank and crowding."""
        evaluated = sorted(self._evaluated, key=lambda e: e.candidate.id)
        self._evaluated = []
        if not evaluated:
            return
        offspring = Population(
            ids=np.array([e.candidate.id for e in evaluated]),
            genomes=np.array([e.candidate.genome for e in evaluated]),
            losses=np.array([self.goals.losses(e.metrics) for e in evaluated]),
            violations=np.array([self.goals.violation(e.metrics) for e in evaluated], dtype=float),
            crowding=np.full(len(evaluated), np.nan),
        )
        self._population = self._population.merged(offspring).survivors(
            self.population_size, generator(self.seed, "survive", self._generation)
        )

    def _breed(self, rng: np.random.Generator) -> Offspring:
        """Return up to `offspring` fresh genomes with the ids of their parents."""
        bred: dict[Genome, tuple[int, ...]] = {}
        for _ in range(ATTEMPTS):
            missing = self.offspring_size - len(bred)
            if missing == 0:
                break
            children, couples = self._mating.children(self._population, -(-missing // 2), rng)
            for number, child in enumerate(children):
                genome = self.fresh(tuple(child), bred)
                if genome is not None and len(bred) < self.offspring_size:
                    rows = couples[number % len(couples)]
                    bred[genome] = tuple(dict.fromkeys(self._population.ids[rows].tolist()))
        return list(bred.items())

    def _immigrants(self, rng: np.random.Generator, missing: int, taken: set[Genome], *, initial: bool) -> Offspring:
        """Return up to `missing` fresh uniform genomes."""
        drawn: list[Genome] = []
        while len(drawn) < missing:
            genome = self.draw(rng, taken.union(drawn), initial=initial)
            if genome is None:
                break
            drawn.append(genome)
        return [(genome, ()) for genome in drawn]
