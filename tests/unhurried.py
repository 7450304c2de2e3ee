"""An evaluator that costs time and no processor, for searches in whose midst something happens."""

from __future__ import annotations

import time

from synthetic import FormulaEvaluator

from evonas.space import Genome, Metrics, SearchSpace


class Unhurried(FormulaEvaluator):
    """The formula, `pause` seconds a genome; one activation of the three fails now and then."""

    def __init__(self, space: SearchSpace, seed: int, *, pause: float = 0.05) -> None:
        super().__init__(space, seed)
        self._pause = pause

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        time.sleep(self._pause)
        if genome[3] == 1 and sum(genome) % 4 == 0:
            raise ValueError("a network that does not learn")
        return super().measure(genome, budget)
