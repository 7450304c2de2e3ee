"""NSGA-II (Deb et al. 2002) on pymoo's survival, tournament and crossover operators."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Literal

import numpy as np
from pymoo.algorithms.moo.nsga2 import binary_tournament
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.pntx import PointCrossover
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from evonas.errors import ConfigError, require
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit, Strategy

Crossover = Literal["uniform", "one_point", "two_point"]
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
        self.mutation = 1 / len(space.genes) if mutation is None else mutation
        _check_options(self.population_size, self.offspring_size, crossover_probability, self.mutation)
        self._crossover = _crossover(crossover, crossover_probability, len(space.genes))
        self._options = np.array([len(gene.options) for gene in space.genes])
        self._problem = Problem(
            n_var=len(space.genes),
            n_obj=len(goals.objectives),
            n_ieq_constr=1 if goals.constraints else 0,
            xl=0,
            xu=self._options - 1,
            vtype=int,
        )
        self._survival = RankAndCrowding()
        self._tournament = TournamentSelection(func_comp=binary_tournament)
        self._generation = -1
        self._open: set[int] = set()
        self._evaluated: list[Evaluation] = []
        self._population = Population()

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
        offspring = Population.new(
            "X", np.array([e.candidate.genome for e in evaluated]),
            "F", np.array([self.goals.losses(e.metrics) for e in evaluated]),
            "G", np.array([[self.goals.violation(e.metrics)] for e in evaluated]),
            "id", np.array([e.candidate.id for e in evaluated]),
        )  # fmt: skip
        self._population = self._survival.do(
            self._problem,
            Population.merge(self._population, offspring),
            n_survive=self.population_size,
            random_state=generator(self.seed, "survive", self._generation),
        )

    def _breed(self, rng: np.random.Generator) -> Offspring:
        """Return up to `offspring` fresh genomes with the ids of their parents."""
        bred: dict[Genome, tuple[int, ...]] = {}
        algorithm = SimpleNamespace(tournament_type="comp_by_dom_and_crowding", random_state=rng)
        for _ in range(ATTEMPTS):
            missing = self.offspring_size - len(bred)
            if missing == 0:
                break
            matings = self._tournament.do(
                self._problem, self._population, n_select=-(-missing // 2), n_parents=2, to_pop=False,
                algorithm=algorithm, random_state=rng,
            )  # fmt: skip
            crossed = self._crossover.do(self._problem, self._population, matings, random_state=rng).get("X")
            children = redraw(crossed.astype(int), self._options, self.mutation, rng)
            ids = self._population.get("id")[matings]
            for number, child in enumerate(children):  # pymoo returns the first child of every mating, then the second
                genome = self.fresh(tuple(child.tolist()), set(bred))
                if genome is not None and len(bred) < self.offspring_size:
                    bred[genome] = tuple(dict.fromkeys(ids[number % len(matings)].tolist()))
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


def redraw(genomes: np.ndarray, options: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Redraw each gene with `probability` as another of its options; genomes (count, genes), options (genes,)."""
    shift = 1 + np.floor(rng.random(genomes.shape) * np.maximum(options - 1, 0)).astype(int)
    mutated = (rng.random(genomes.shape) < probability) & (options > 1)
    return np.where(mutated, (genomes + shift) % options, genomes)


def _crossover(kind: Crossover, probability: float, genes: int) -> UniformCrossover | PointCrossover:
    if kind == "uniform":
        return UniformCrossover(prob=probability)
    points = {"one_point": 1, "two_point": 2}[kind]
    if genes <= points:
        raise ConfigError(f"crossover: {kind} needs more than {points} genes, and the space has {genes}")
    return PointCrossover(n_points=points, prob=probability)


def _check_options(population: int, offspring: int, crossover_probability: float, mutation: float) -> None:
    require("population", population, population >= 2, "at least 2")
    require("offspring", offspring, offspring >= 1, "at least 1")
    for name, value in (("crossover_probability", crossover_probability), ("mutation", mutation)):
        require(name, value, 0 <= value <= 1, "a probability, between 0 and 1")
