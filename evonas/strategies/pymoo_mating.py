"""Mating over arrays of integer genomes: pymoo's binary tournament and crossovers, and redrawn genes as mutation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import numpy as np
from pymoo.operators.crossover.pntx import PointCrossover
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.selection.tournament import TournamentSelection

from evonas.errors import ConfigError, require
from evonas.space import SearchSpace

Crossover = Literal["uniform", "one_point", "two_point"]


class Parents(Protocol):
    """What mating wants to know of a population, by row."""

    @property
    def genomes(self) -> np.ndarray:
        """Genomes, a row each; there may be more rows than candidates."""
        ...

    def __len__(self) -> int: ...

    def fitness(self, row: int) -> tuple[float, list[float]]:
        """Return the constraint violation and the losses of a row."""
        ...

    def crowding_of(self, row: int) -> float:
        """Return the crowding distance of a feasible row in its front."""
        ...


Compare = Callable[[Parents, int, int], float]
"""Says by how much the first of two rows leads the second: below 0 the second wins, at 0 chance decides."""


def less_violating(parents: Parents, first: int, second: int) -> float:
    """Prefer who violates constraints less."""
    return parents.fitness(second)[0] - parents.fitness(first)[0]


def dominating(parents: Parents, first: int, second: int) -> float:
    """Prefer who violates less; of two feasible rows, who dominates."""
    (violation, losses), (rival_violation, rival_losses) = parents.fitness(first), parents.fitness(second)
    if violation > 0 or rival_violation > 0:
        return rival_violation - violation
    better = any(a < b for a, b in zip(losses, rival_losses, strict=True))
    worse = any(a > b for a, b in zip(losses, rival_losses, strict=True))
    return better - worse


def crowded(parents: Parents, first: int, second: int) -> float:
    """Prefer who violates less; of two feasible rows, who dominates; of these, who has more room."""
    lead = dominating(parents, first, second)
    if lead != 0 or parents.fitness(first)[0] > 0:
        return lead
    room, rival_room = parents.crowding_of(first), parents.crowding_of(second)
    return (room > rival_room) - (room < rival_room)


class Mating:
    """Chooses couples by binary tournament, crosses them with a probability, and mutates their children."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        crossover: Crossover,
        crossover_probability: float,
        mutation: float | None,
        compare: Compare = crowded,
    ) -> None:
        self.mutation = 1 / len(space.genes) if mutation is None else mutation
        for name, value in (("crossover_probability", crossover_probability), ("mutation", self.mutation)):
            require(name, value, 0 <= value <= 1, "a probability, between 0 and 1")
        self._crossover = _crossover(crossover, len(space.genes))
        self._probability = crossover_probability
        self._options = np.array([len(gene.options) for gene in space.genes])
        self._tournament = TournamentSelection(func_comp=partial(tournament, compare=compare))

    def children(
        self, parents: Parents, matings: int, rng: np.random.Generator
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return two genomes for each mating, all first children before all second, and the rows of the couples."""
        couples: np.ndarray = self._tournament.do(
            None, parents, n_select=matings, n_parents=2, to_pop=False, random_state=rng
        )
        genomes = parents.genomes[couples.T]
        crossed = rng.random(matings) < self._probability
        if crossed.any():  # pymoo crosses all, too, and leaves out afterwards
            genomes[:, crossed] = self._crossover._do(None, genomes, random_state=rng)[:, crossed]
        children = redraw(genomes.reshape(2 * matings, -1), self._options, self.mutation, rng)
        return children.tolist(), couples.tolist()


def tournament(
    parents: Parents,
    pairs: np.ndarray,
    *,
    random_state: np.random.Generator,
    compare: Compare = crowded,
    **_: object,
) -> np.ndarray:
    """Return the winner of every pair of rows, shape (pairs, 1): pymoo's `binary_tournament`, without its objects."""
    return np.array([[_winner(compare, parents, first, second, random_state)] for first, second in pairs.tolist()])


def redraw(genomes: np.ndarray, options: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Redraw each gene with `probability` as another of its options; genomes (count, genes), options (genes,)."""
    shift = 1 + np.floor(rng.random(genomes.shape) * np.maximum(options - 1, 0)).astype(int)
    mutated = (rng.random(genomes.shape) < probability) & (options > 1)
    return np.where(mutated, (genomes + shift) % options, genomes)


def _winner(compare: Compare, parents: Parents, first: int, second: int, rng: np.random.Generator) -> int:
    lead = compare(parents, first, second)
    if lead == 0:
        return (first, second)[rng.integers(2)]
    return first if lead > 0 else second


def _crossover(kind: Crossover, genes: int) -> UniformCrossover | PointCrossover:
    if kind == "uniform":
        return UniformCrossover()
    points = {"one_point": 1, "two_point": 2}[kind]
    if genes <= points:
        raise ConfigError(f"crossover: {kind} needs more than {points} genes, and the space has {genes}")
    return PointCrossover(n_points=points)
