"""What generational strategies share: whole generations, and the next one when all outcomes of the last are in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from evonas.errors import require
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit, Strategy

Offspring = list[tuple[Genome, tuple[int, ...]]]
"""Fresh genomes, each with the ids of its parents."""

ATTEMPTS = 50
"""Rounds of breeding before uniform genomes fill a generation."""


class Generational(Strategy):
    """A strategy that breeds each generation from the last; the first is `population` uniform genomes by default.

    A generation does not depend on the order in which outcomes arrive: they are handed on together, ordered by id.
    """

    def __init__(self, space: SearchSpace, goals: Goals, admit: Admit, seed: int, *, population: int) -> None:
        super().__init__(space, goals, admit, seed)
        require("population", population, population >= 2, "at least 2")
        self.population_size = population
        self._generation = -1
        self._open: set[int] = set()
        self._evaluated: list[Evaluation] = []

    def begin(self, rng: np.random.Generator) -> Offspring:
        """Return the first generation; change nothing."""
        return self.filled(rng, self.population_size, initial=True)

    @abstractmethod
    def breed(self, rng: np.random.Generator) -> Offspring:
        """Return the next generation, [] if the space is exhausted; change nothing."""

    @abstractmethod
    def survive(self, evaluated: Sequence[Evaluation], rng: np.random.Generator) -> None:
        """Take the evaluations of a generation, at least one, and decide who stays."""

    def ask(self, limit: int) -> list[Candidate]:
        """Return the next generation when the last one is complete; `limit` does not cut it."""
        if self._open:
            return []
        generation = self._generation + 1
        rng = self.generator(generation)
        bred = self.breed(rng) if generation else self.begin(rng)
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

    def settled(self, candidate: Candidate) -> int:
        """Return how many candidates the generations before have."""
        return min(self._open)

    def tell(self, outcome: Outcome) -> None:
        """Keep an evaluation; the last outcome of a generation decides who survives."""
        self._open.discard(outcome.candidate.id)
        if isinstance(outcome, Evaluation):
            self._evaluated.append(outcome)
        if not self._open and self._evaluated:
            evaluated, self._evaluated = sorted(self._evaluated, key=lambda e: e.candidate.id), []
            self.survive(evaluated, generator(self.seed, "survive", self._generation))

    def fresh_children(
        self, count: int, children: Callable[[int], Iterable[tuple[Genome, Iterable[int]]]]
    ) -> Offspring:
        """Return up to `count` fresh ones of the `children`, which are bred anew, as many as lack, `ATTEMPTS` times."""
        bred: dict[Genome, tuple[int, ...]] = {}
        for _ in range(ATTEMPTS):
            missing = count - len(bred)
            if missing == 0:
                break
            for child, parents in children(missing):
                genome = self.fresh(child, bred)
                if genome is not None and len(bred) < count:
                    bred[genome] = tuple(dict.fromkeys(parents))
        return list(bred.items())

    def filled(
        self, rng: np.random.Generator, count: int, bred: Offspring | None = None, *, initial: bool = False
    ) -> Offspring:
        """Return `bred`, with fresh uniform genomes added until there are `count` or the space has no more."""
        found = dict(bred or [])
        while len(found) < count:
            genome = self.draw(rng, found, initial=initial)
            if genome is None:
                break
            found[genome] = ()
        return list(found.items())
