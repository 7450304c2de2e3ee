"""What a strategy is: it is asked for candidates and told their outcomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Mapping, Sequence
from typing import Protocol

import numpy as np

from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace

TRIES = 10_000
"""Genomes drawn for one new candidate before the space counts as exhausted."""


class Admit(Protocol):
    """Says whether the gates let a canonical genome through, and counts it if not."""

    def __call__(self, genome: Genome, *, initial: bool = False, counted: bool = True) -> bool:
        """Return whether every gate that applies passes; `initial` gates apply to the initial population only.

        Who asks about genomes that it would not have had evaluated anyway says that they are not `counted`.
        """
        ...


class Strategy(ABC):
    """Proposes candidates; what it proposes is a pure function of its seed and of what it adopted and was told before.

    Genomes are proposed in canonical form, each network once, and only those that `admit` lets through.
    """

    most_open: int | None = None
    """How many candidates may be open at a time, and so how many workers can be used; None: any number."""

    def __init__(self, space: SearchSpace, goals: Goals, admit: Admit, seed: int) -> None:
        self.space = space
        self.goals = goals
        self.admit = admit
        self.seed = seed
        self.warm_start: Sequence[Genome] = ()
        """Genomes that an initial population takes before it draws any."""
        self._seen: set[Genome] = set()
        self._next_id = 0

    @abstractmethod
    def ask(self, limit: int) -> list[Candidate]:
        """Return the next candidates and adopt them; none = waiting or exhausted, and then nothing changed.

        `limit` is how many the pool can start now. A steady-state strategy returns at most that many, a generational
        one its whole next generation; the controller queues what the pool cannot take yet.
        """

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates as asked: `ask` ends with it, and a replay calls it instead of `ask`."""
        self._seen.update(candidate.genome for candidate in candidates)
        self._next_id = max([self._next_id, *(candidate.id + 1 for candidate in candidates)])

    @abstractmethod
    def tell(self, outcome: Outcome) -> None:
        """Take the outcome of an adopted candidate; outcomes come in any order."""

    def settled(self, candidate: Candidate) -> int:
        """Return how many of the first candidates surely had their outcomes when this one was proposed, by their ids.

        It is the same on any number of workers, and asked when the candidate is adopted; 0 where that is not known.
        """
        return 0

    def remarks(self, evaluations: Sequence[Evaluation]) -> Mapping[str, float]:
        """Return what there is to say of a search of these evaluations, all of which were told, when it ends."""
        return {}

    def fingerprint(self) -> str | None:
        """Return a hash of what it reads besides its options; None if it reads nothing.

        A run is resumed under an equal fingerprint only.
        """
        return None

    def generator(self, number: int) -> np.random.Generator:
        """Return the generator of the ask with that number."""
        return generator(self.seed, "ask", number)

    def fresh(
        self, genome: Genome, taken: Container[Genome], *, initial: bool = False, counted: bool = True
    ) -> Genome | None:
        """Return the canonical form of `genome` if it is neither asked before, nor `taken`, nor turned away.

        Where the space lacks `genome`, the nearest of its genomes that is new stands for it.
        """
        for near in self.space.nearest(genome):
            canonical = self.space.canonical(near)
            if canonical not in self._seen and canonical not in taken:
                return canonical if self.admit(canonical, initial=initial, counted=counted) else None
        return None

    def draw(
        self, rng: np.random.Generator, taken: Container[Genome], *, initial: bool = False, counted: bool = True
    ) -> Genome | None:
        """Draw uniform genomes until one is fresh; None after `TRIES`. An `initial` one is of the warm start first."""
        for warm in self.warm_start if initial else ():
            if warm not in self._seen and (genome := self.fresh(warm, taken, initial=True, counted=False)) is not None:
                return genome
        for _ in range(TRIES):
            genome = self.fresh(self.space.sample(rng), taken, initial=initial, counted=counted)
            if genome is not None:
                return genome
        return None
