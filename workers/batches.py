"""Candidates in batches, for evaluators that measure several at once for less."""

from __future__ import annotations

import time
from collections.abc import Sequence

from evonas.evaluation import Candidate, Evaluator, Outcome, batches, evaluate_many
from evonas.workers.tasks import CallSize


class Batches:
    """Evaluates candidates one by one or, where the evaluator measures batches, in such that take a short time.

    They grow as calls to workers do (`CallSize`), so that what suddenly takes long is soon done singly again.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._size = CallSize()

    @property
    def size(self) -> int:
        """How many candidates the next batch takes."""
        return self._size.size

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """Return the outcomes of the first `size` candidates."""
        batch = candidates[: self.size]
        began = time.perf_counter()
        outcomes = evaluate_many(self.evaluator, batch)
        if batches(self.evaluator):
            self._size.observe(len(batch), time.perf_counter() - began)
        return outcomes
