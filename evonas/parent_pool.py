"""A pool that tells candidates of which genomes they were bred, before another pool evaluates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.pool import WorkerPool


class ParentPool(WorkerPool):
    """Gives candidates at the top fidelity the genomes of their parents that were measured there, in their order.

    `outcomes` are those of the search so far, by the ids of candidates, and grow with it: one that is resumed gives its
    candidates the same parents. Outcomes come back with the candidates as they were submitted.
    """

    def __init__(self, inner: WorkerPool, outcomes: Mapping[int, Outcome]) -> None:
        self._inner = inner
        self._outcomes = outcomes
        self._held: dict[int, Candidate] = {}

    @property
    def capacity(self) -> int:  # type: ignore[override]
        """That of the inner pool."""
        return self._inner.capacity

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Hand the candidates on with the genomes of their parents."""
        self._held.update((candidate.id, candidate) for candidate in candidates)
        self._inner.submit([self._with_parents(candidate) for candidate in candidates])

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Wait for the inner pool."""
        outcomes = self._inner.next_outcomes(timeout)
        return [replace(outcome, candidate=self._held.pop(outcome.candidate.id)) for outcome in outcomes]

    def clock(self) -> float:
        """Return the seconds of the inner pool's clock."""
        return self._inner.clock()

    def close(self) -> None:
        """Close the inner pool."""
        self._inner.close()

    def _with_parents(self, candidate: Candidate) -> Candidate:
        parents = [self._outcomes.get(parent) for parent in candidate.parents] if candidate.at_top else []
        measured = [parent.candidate for parent in parents if isinstance(parent, Evaluation)]
        return replace(candidate, parent_genomes=tuple(parent.genome for parent in measured if parent.at_top))
