"""Random search: uniform genomes that the gates let through, each network once; the baseline of every result."""

from __future__ import annotations

from evonas.errors import require
from evonas.evaluation import Candidate, Outcome
from evonas.goals import Goals
from evonas.space import SearchSpace
from evonas.strategies.base import Admit, Strategy


class RandomSearch(Strategy):
    """Draws every candidate from a generator of its own, so that the sequence is the same on any number of workers.

    `block` candidates are reported together as a generation.
    """

    def __init__(self, space: SearchSpace, goals: Goals, admit: Admit, seed: int, *, block: int = 20) -> None:
        super().__init__(space, goals, admit, seed)
        require("block", block, block >= 1, "at least 1")
        self.block = block

    def ask(self, limit: int) -> list[Candidate]:
        """Return up to `limit` new candidates."""
        asked: list[Candidate] = []
        for number in range(self._next_id, self._next_id + limit):
            genome = self.draw(self.generator(number), {c.genome for c in asked}, initial=True)
            if genome is None:
                break
            asked.append(Candidate(number, genome, generation=number // self.block))
        self.adopt(asked)
        return asked

    def tell(self, outcome: Outcome) -> None:
        """Learn nothing."""
