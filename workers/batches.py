"""Candidates in batches, for evaluators that measure several at once for less."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from evonas.evaluation import Candidate, Evaluator, Outcome, batches, evaluate_many
from evonas.workers.tasks import CallSize


class Batches:
    """Evaluates candidates one by one or, where the evaluator measures batches, in such that take a short time.

    They grow as calls to workers do (`CallSize`), so that what suddenly takes long is soon done singly again. A batch
    has one fidelity, and each source a size of its own.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._sizes: defaultdict[object, CallSize] = defaultdict(CallSize)

    @property
    def size(self) -> int:
        """How many candidates the next batch takes at most."""
        return max((size.size for size in self._sizes.values()), default=1)

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """Return the outcomes of the first candidates, as many as a batch takes of their fidelity."""
        (source, _), alike = next(groupby(candidates, key=lambda candidate: (candidate.source, candidate.budget)))
        size = self._sizes[source]
        batch = list(alike)[: size.size]
        began = time.perf_counter()
        outcomes = evaluate_many(self.evaluator, batch)
        if batches(self.evaluator.at(source)):
            size.observe(len(batch), time.perf_counter() - began)
        return outcomes
