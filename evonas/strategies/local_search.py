"""Local search: every neighbour of a network of the front, then the neighbours of what that has led to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.evaluation import Candidate, Evaluation
from evonas.goals import Goals
from evonas.pareto import ranks
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.generational import Generational, Offspring


class LocalSearch(Generational):
    """Pareto local search (Paquete, Chiarandini and Stuetzle 2004) from the best of `population` uniform genomes.

    An archive keeps whom nobody of the climb dominates. A generation is the neighbourhood of one of them, drawn from
    those that have not been explored: all genomes of the space that differ in one gene. Where all are explored, another
    climb begins from `population` uniform genomes and an empty archive. With one objective this is the local search of
    White, Nolen and Savani ("Local search is state of the art for NAS benchmarks", 2020; UAI 2021).

    Deviations: constraints come first, the archive holds the least violating; neighbours are those of the canonical
    genome; a network is never proposed twice, so a climb ends where an earlier one has been; what the gates turn away
    is no neighbour; failed candidates take no part.
    """

    def __init__(self, space: SearchSpace, goals: Goals, admit: Admit, seed: int, *, population: int = 10) -> None:
        super().__init__(space, goals, admit, seed, population=population)
        self._archive: list[Evaluation] = []
        self._explored: set[int] = set()

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Open a generation: a neighbourhood explores its centre, uniform genomes begin a climb."""
        super().adopt(candidates)
        centres = {parent for candidate in candidates for parent in candidate.parents}
        if candidates and not centres:
            self._archive = []
        self._explored |= centres

    def breed(self, rng: np.random.Generator) -> Offspring:
        """Return the fresh neighbours of a member of the archive, or the beginning of another climb."""
        unexplored = [e.candidate for e in self._archive if e.candidate.id not in self._explored]
        for number in rng.permutation(len(unexplored)):
            centre = unexplored[number]
            bred: dict[Genome, tuple[int, ...]] = {}
            for neighbour in self._neighbours(centre.genome):
                genome = self.fresh(neighbour, bred)
                if genome is not None:
                    bred[genome] = (centre.id,)
            if bred:
                return list(bred.items())
        return self.filled(rng, self.population_size)

    def survive(self, evaluated: Sequence[Evaluation], rng: np.random.Generator) -> None:
        """Keep the least violating of archive and neighbours, and of these the non-dominated."""
        rivals = [*self._archive, *evaluated]
        violations = np.array([self.goals.violation(e.metrics) for e in rivals])
        least = np.flatnonzero(violations == violations.min())
        losses = np.array([self.goals.losses(rivals[row].metrics) for row in least])
        self._archive = [rivals[row] for row in least[ranks(losses) == 0]]

    def _neighbours(self, genome: Genome) -> list[Genome]:
        """Return all genomes that differ in one gene and that the space has."""
        differing = (
            (*genome[:position], option, *genome[position + 1 :])
            for position, gene in enumerate(self.space.genes)
            for option in range(len(gene.options))
            if option != genome[position]
        )
        return [neighbour for neighbour in differing if self.space.nearest(neighbour)[0] == neighbour]
