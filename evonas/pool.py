"""What a pool of workers is, and the recipe from which each worker builds its own evaluator."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from evonas.evaluation import Candidate, Evaluator, Outcome


class EvaluatorRecipe(Protocol):
    """A small picklable description of an evaluator; each worker builds its own once."""

    def build(self, shared: object = None) -> Evaluator:
        """Return a new evaluator; raise an EvonasError for what the user must mend.

        `shared` is what the driver has loaded already, large and read-only: it may be used in place of loading it.
        """
        ...


class WorkerPool(ABC):
    """Evaluates candidates, some at a time, and returns exactly one outcome for each, in any order.

    A candidate whose worker is lost or hangs is retried by the pool; when its retries are spent it is a Failure.
    """

    capacity: int
    """How many candidates the pool can usefully hold at once; it may change as the pool learns how long they take."""

    start_seconds: float = 0.0
    """About how long making the pool takes, before the search's clock runs; measured once, for plans."""

    @abstractmethod
    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates to evaluate, at most as many as there is capacity left; returns at once."""

    @abstractmethod
    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        """Wait for at least one outcome, return all that are there; [] after `timeout` seconds or if none is held."""

    def clock(self) -> float:
        """Return the seconds by which the search is timed; a simulated pool has a clock of its own."""
        return time.monotonic()

    @abstractmethod
    def close(self) -> None:
        """Stop the workers and give everything back; may be called twice."""
