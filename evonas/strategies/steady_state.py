"""What asynchronous strategies share: numbered tickets, and outcomes that are committed one by one."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from evonas.errors import require
from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit, Strategy

Offspring = tuple[Genome, tuple[int, ...]]
"""A fresh genome and the ids of its parents."""


class SteadyState(Strategy):
    """A strategy without generations: every candidate is bred from the outcomes that are committed by then.

    A candidate's id is its ticket. The first `population` tickets are uniform genomes; `population` tickets together
    are reported as a generation.

    If `deterministic`, outcomes are committed in the order of tickets, and ticket k is bred when exactly the outcomes
    of tickets 0 to k - lag are: what is known of later ones waits. So candidates depend neither on the number of
    workers, nor on the order of arrival, nor on the limits of `ask`, and a search that is prolonged to any length
    equals one that was that long from the start. The price: at most `lag` candidates are without a committed outcome,
    so more than `lag` workers cannot be used, and one candidate that takes long stops the others after `lag` - 1 more
    tickets. A few times the number of workers keeps them busy. By default it is the population: outcomes are then as
    old as in a search by generations; a larger lag breeds from older ones.

    Otherwise outcomes are committed as they arrive: no worker waits, and a search repeats only if they do.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        population: int,
        deterministic: bool,
        lag: int | None,
    ) -> None:
        super().__init__(space, goals, admit, seed)
        require("population", population, population >= 2, "at least 2")
        require("lag", lag, lag is None or lag >= 1, "at least 1")
        self.population_size = population
        self.deterministic = deterministic
        self.lag = population if lag is None else lag
        self.most_open = self.lag if deterministic else None
        self._waiting: dict[int, Outcome] = {}
        self._committed = 0
        self._fruitless: tuple[int, int] | None = None

    @abstractmethod
    def commit(self, evaluation: Evaluation) -> None:
        """Let an evaluation into the population, and others out."""

    @abstractmethod
    def breed(self, rng: np.random.Generator) -> Offspring | None:
        """Return fresh offspring of the population; None if there are no parents, or all that they bred is known."""

    def ask(self, limit: int) -> list[Candidate]:
        """Return the next tickets, as many as may be bred now."""
        asked: list[Candidate] = []
        for ticket in range(self._next_id, self._next_id + limit):
            if not self._advance(ticket):
                break
            candidate = self.propose(ticket)
            if candidate is None:
                break
            self.adopt([candidate])
            asked.append(candidate)
        return asked

    def propose(self, ticket: int) -> Candidate | None:
        """Return the candidate of a ticket, for which what it is bred from is committed; None if there is none."""
        offspring = self._offspring(ticket)
        return None if offspring is None else Candidate(ticket, offspring[0], self.generation_of(ticket), offspring[1])

    def generation_of(self, ticket: int) -> int:
        """Return the generation that a ticket is reported in."""
        return ticket // self.population_size

    def tell(self, outcome: Outcome) -> None:
        """Commit an outcome, or keep it until its turn."""
        if self.deterministic:
            self._waiting[outcome.candidate.id] = outcome
        else:
            self._commit(outcome)

    def _advance(self, ticket: int) -> bool:
        """Commit the outcomes that `ticket` is bred from, as far as they are known; say whether all of them are."""
        while self.deterministic and self._committed <= ticket - self.lag:
            outcome = self._waiting.pop(self._committed, None)
            if outcome is None:
                return False
            self._commit(outcome)
        return True

    def _commit(self, outcome: Outcome) -> None:
        self._committed += 1
        if isinstance(outcome, Evaluation):
            self.commit(outcome)

    def _offspring(self, ticket: int) -> Offspring | None:
        """Return what `ticket` proposes; None if the space is exhausted, which takes long to find out but once."""
        if self._fruitless == (ticket, self._committed):
            return None
        rng, initial = self.generator(ticket), ticket < self.population_size
        if not initial and (bred := self.breed(rng)) is not None:
            return bred
        genome = self.draw(rng, set(), initial=initial)
        if genome is None:
            self._fruitless = (ticket, self._committed)
            return None
        return genome, ()
