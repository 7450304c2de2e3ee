"""A pool that tells candidates of which genomes they were bred, before another pool evaluates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.history import History
from evonas.pool import WorkerPool


class ParentPool(WorkerPool):
    """Gives candidates at the top fidelity the genomes of their parents that were measured there, in their order.

    Both are known to `history`, of the search that the candidates are of: a search that is resumed gives them the same.
    Outcomes are returned with the candidates as the history has them.
    """

    def __init__(self, inner: WorkerPool, history: History) -> None:
        self._inner = inner
        self._history = history

    @property
    def capacity(self) -> int:  # type: ignore[override]
        """That of the inner pool."""
        return self._inner.capacity

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Hand the candidates on with the genomes of their parents."""
        self._inner.submit([self._with_parents(candidate) for candidate in candidates])

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Wait for the inner pool."""
        outcomes = self._inner.next_outcomes(timeout)
        return [replace(outcome, candidate=self._history.candidates[outcome.candidate.id]) for outcome in outcomes]

    def clock(self) -> float:
        """Return the seconds of the inner pool's clock."""
        return self._inner.clock()

    def close(self) -> None:
        """Close the inner pool."""
        self._inner.close()

    def _with_parents(self, candidate: Candidate) -> Candidate:
        parents = [self._history.outcomes.get(parent) for parent in candidate.parents] if candidate.at_top else []
        measured = [parent.candidate for parent in parents if isinstance(parent, Evaluation)]
        return replace(candidate, parent_genomes=tuple(parent.genome for parent in measured if parent.at_top))
