"""No search at all: networks that somebody lists are evaluated, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.evaluation import Candidate, Outcome
from evonas.goals import Goals
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit, Strategy


class Listed(Strategy):
    """Proposes `genomes` in their order, each network once, and is exhausted then; gates turn away as ever.

    Raises GenomeError for a genome that the space does not have.
    """

    def __init__(
        self, space: SearchSpace, goals: Goals, admit: Admit, seed: int, *, genomes: Sequence[Sequence[int]] = ()
    ) -> None:
        super().__init__(space, goals, admit, seed)
        self._listed = [space.validate(genome) for genome in genomes]
        self._looked_at = 0

    def ask(self, limit: int) -> list[Candidate]:
        """Return up to `limit` of those that were not proposed yet."""
        genomes: dict[Genome, None] = {}
        while len(genomes) < limit and self._looked_at < len(self._listed):
            if (fresh := self.fresh(self._listed[self._looked_at], genomes)) is not None:
                genomes[fresh] = None
            self._looked_at += 1
        asked = [Candidate(id_, genome, generation=0) for id_, genome in enumerate(genomes, self._next_id)]
        self.adopt(asked)
        return asked

    def tell(self, outcome: Outcome) -> None:
        """Learn nothing."""
