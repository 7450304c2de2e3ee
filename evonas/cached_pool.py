"""A pool that looks candidates up in a cache before another pool evaluates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from evonas.cache import Cache
from evonas.evaluation import Candidate, Evaluation, Evaluator, Outcome
from evonas.pool import WorkerPool


class CachedPool(WorkerPool):
    """Returns what the cache has of the candidates at once, and keeps there what the `inner` pool evaluates.

    `facts` (JSON-plain values) are all that decides an evaluation besides genome, fidelity and seed, which `evaluator`
    tells. An entry of the top fidelity that lacks one of the metrics that are `needed` counts as missing. Failures are
    never kept: the next search shall try again. `run` names the run in the entries.
    """

    def __init__(
        self,
        inner: WorkerPool,
        cache: Cache,
        evaluator: Evaluator,
        facts: Mapping[str, Any],
        needed: Set[str],
        run: str,
    ) -> None:
        self._inner = inner
        self._cache = cache
        self._evaluator = evaluator
        self._facts = facts
        self._needed = needed
        self._run = run
        self._found: list[Outcome] = []

    @property
    def capacity(self) -> int:  # type: ignore[override]
        """That of the inner pool."""
        return self._inner.capacity

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Look candidates up, and hand the inner pool those that are not known."""
        unknown = []
        for candidate in candidates:
            entry = self._cache.look_up(self._decides(candidate))
            if entry is not None and (self._needed <= entry.metrics.keys() or not candidate.at_top):
                found = entry.evaluation(candidate)
                if entry.made_for == f"{self._run}/{candidate.id}":  # this run's own, killed before it was journaled
                    found = replace(found, reused_from=None)
                self._found.append(found)
            else:
                unknown.append(candidate)
        self._inner.submit(unknown)

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Return what was found at once, else wait for the inner pool and keep what it has evaluated."""
        if self._found:
            found, self._found = self._found, []
            return found
        outcomes = self._inner.next_outcomes(timeout)
        for outcome in outcomes:
            if isinstance(outcome, Evaluation):
                made_for = f"{self._run}/{outcome.candidate.id}"
                self._cache.keep(self._decides(outcome.candidate), outcome, made_for)
        return outcomes

    def clock(self) -> float:
        """Return the seconds of the inner pool's clock."""
        return self._inner.clock()

    def close(self) -> None:
        """Close the inner pool; the cache needs none."""
        self._found.clear()
        self._inner.close()

    def _decides(self, candidate: Candidate) -> dict[str, Any]:
        canonical = self._evaluator.space.canonical(candidate.genome)
        rung = self._evaluator.at(candidate.source)
        asked = [gate.asks(candidate) for gate in self._evaluator.gates]  # what one passed, others may not have been
        return {
            **self._facts,
            **({} if all(asked) else {"gates_asked": asked}),
            "source": rung.source,
            "genome": list(canonical),
            "budget": candidate.budget,
            "seed": rung.seed_for(canonical),
        }
