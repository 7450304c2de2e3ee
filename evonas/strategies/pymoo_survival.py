"""Rank-and-crowding survival (Deb et al. 2002) of populations held as arrays, decided as pymoo decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.util.randomized_argsort import randomized_argsort

from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.pareto import crowding_distances, ranks
from evonas.space import Genome


@dataclass(frozen=True)
class Population:
    """Evaluated candidates, a row each: ids, genomes, losses to minimise, constraint violations, crowding distances.

    Crowding is that of the last survival, nan for infeasible rows. pymoo's own populations hold an object for every
    row, which costs several times what the algorithm does.
    """

    ids: np.ndarray
    genomes: np.ndarray
    losses: np.ndarray
    violations: np.ndarray
    crowding: np.ndarray

    @classmethod
    def empty(cls, genes: int, objectives: int) -> Population:
        """Return a population of nobody."""
        nobody = np.empty(0)
        return cls(np.empty(0, int), np.empty((0, genes), int), np.empty((0, objectives)), nobody, nobody)

    @classmethod
    def of(cls, evaluations: Sequence[Evaluation], goals: Goals) -> Population:
        """Return evaluations, at least one, as a population."""
        return cls(
            ids=np.array([e.candidate.id for e in evaluations]),
            genomes=np.array([e.candidate.genome for e in evaluations]),
            losses=np.array([goals.losses(e.metrics) for e in evaluations]),
            violations=np.array([goals.violation(e.metrics) for e in evaluations], dtype=float),
            crowding=np.full(len(evaluations), np.nan),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def fitness(self, row: int) -> tuple[float, list[float]]:
        """Return the violation and the losses of a row."""
        return self._fitness[row]

    def crowding_of(self, row: int) -> float:
        """Return the crowding distance of a feasible row in its front."""
        return self._crowding[row]

    def merged(self, other: Population) -> Population:
        """Return the rows of both."""
        return Population(*(np.concatenate(columns) for columns in zip(self._columns, other._columns, strict=True)))

    def rows(self, chosen: np.ndarray) -> Population:
        """Return these rows, in this order."""
        return Population(*(column[chosen] for column in self._columns))

    def survivors(self, size: int, rng: np.random.Generator) -> Population:
        """Return the best `size` rows: feasible ones by rank and crowding, then the least violating."""
        feasible, infeasible = np.flatnonzero(self.violations <= 0), np.flatnonzero(self.violations > 0)
        order, crowding = _rank_and_crowding(self.losses[feasible], size, rng)
        others = infeasible[np.argsort(self.violations[infeasible])][: size - len(order)]
        kept = self.rows(np.concatenate([feasible[order], others]))
        kept.crowding[:] = np.concatenate([crowding, np.full(len(others), np.nan)])
        return kept

    def survivors_by(self, survival: Survival, size: int, rng: np.random.Generator, **bounds: np.ndarray) -> Population:
        """Return the `size` rows that a survival of pymoo's keeps."""
        individuals = PymooPopulation.new("F", self.losses, "G", self.violations[:, None])
        problem = Problem(n_var=1, n_obj=self.losses.shape[1], n_ieq_constr=1)
        chosen = survival.do(problem, individuals, n_survive=size, random_state=rng, return_indices=True, **bounds)
        return self.rows(np.array(chosen, dtype=int))

    @property
    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.ids, self.genomes, self.losses, self.violations, self.crowding

    @cached_property
    def _fitness(self) -> list[tuple[float, list[float]]]:
        return list(zip(self.violations.tolist(), self.losses.tolist(), strict=True))

    @cached_property
    def _crowding(self) -> list[float]:
        crowding: list[float] = self.crowding.tolist()
        return crowding


class SteadyPopulation:
    """At most `size` evaluated candidates, of whom the worst leaves when another enters: (mu + 1) survival.

    Who leaves, and the crowding of who stays, is what `Population.survivors` says, but only what is needed is computed:
    the crowding of the last front when somebody has to leave it, that of others when somebody asks.
    """

    def __init__(self, size: int, genes: int, objectives: int) -> None:
        self.size = size
        self.ids: list[int] = []
        self.genomes = np.zeros((size + 1, genes), int)
        self.losses = np.zeros((size + 1, objectives))
        self._violations = np.zeros(size + 1)
        self._fitness: list[tuple[float, list[float]]] = []
        self._crowding = np.full(size + 1, np.nan)
        self._ranks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def fitness(self, row: int) -> tuple[float, list[float]]:
        """Return the violation and the losses of a row."""
        return self._fitness[row]

    def crowding_of(self, row: int) -> float:
        """Return the crowding distance of a feasible row in its front."""
        if np.isnan(self._crowding[row]):
            if self._ranks is None:
                self._ranks = self._ranked()
            front = np.flatnonzero(self._ranks[: len(self)] == self._ranks[row])
            self._crowding[front] = crowding_distances(self.losses[front])
        return float(self._crowding[row])

    def add(
        self, id_: int, genome: Genome, losses: np.ndarray, violation: float, rng: Callable[[], np.random.Generator]
    ) -> None:
        """Let a candidate in; the worst of all leaves if there are too many, decided by `rng` where crowding ties."""
        row = len(self)
        self.genomes[row], self.losses[row], self._violations[row] = genome, losses, violation
        self.ids.append(id_)
        self._fitness.append((violation, losses.tolist()))
        self._ranks = None
        self._crowding[:] = np.nan
        if len(self) > self.size:
            self._remove(self._worst(rng))

    def _worst(self, rng: Callable[[], np.random.Generator]) -> int:
        """Return the row that leaves; the crowding of its front is kept, as it was with that row."""
        infeasible = np.flatnonzero(self._violations > 0)
        if infeasible.size:
            return int(infeasible[np.argsort(self._violations[infeasible])[-1]])
        self._ranks = ranks(self.losses)
        last = np.flatnonzero(self._ranks == self._ranks.max())
        if len(last) == 1:
            return int(last[0])
        crowding = self._crowding[last] = crowding_distances(self.losses[last])
        least = np.flatnonzero(crowding == crowding.min())
        if len(least) == 1:
            return int(last[least[0]])
        return int(last[randomized_argsort(crowding, order="descending", random_state=rng())[-1]])

    def _remove(self, row: int) -> None:
        """Close the gap that a row leaves; rows stay in order of arrival, which decides crowding where losses tie."""
        del self.ids[row], self._fitness[row]
        for column in (self.genomes, self.losses, self._violations, self._crowding, self._ranks):
            if column is not None:
                column[row:-1] = column[row + 1 :]

    def _ranked(self) -> np.ndarray:
        """Return the ranks of feasible rows among them, -1 for others."""
        feasible = np.flatnonzero(self._violations[: len(self)] <= 0)
        ranked = np.full(self.size + 1, -1)
        ranked[feasible] = ranks(self.losses[feasible])
        return ranked


def _rank_and_crowding(losses: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the best `size` points, front by front, and their crowding; the last front is cut by crowding."""
    order, crowding, left = [np.empty(0, int)], [np.empty(0)], min(size, len(losses))
    ranked = ranks(losses)
    rank = 0
    while left > 0:
        front = np.flatnonzero(ranked == rank)
        distances = crowding_distances(losses[front])
        kept: np.ndarray = np.arange(len(front))
        if len(front) > left:
            kept = randomized_argsort(distances, order="descending", random_state=rng)[:left]
        order.append(front[kept])
        crowding.append(distances[kept])
        left -= len(kept)
        rank += 1
    return np.concatenate(order), np.concatenate(crowding)
