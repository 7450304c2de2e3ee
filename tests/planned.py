"""Evaluators whose time is known, for plans."""

from __future__ import annotations

import time

from synthetic import FormulaEvaluator

from evonas.evaluation import Rejected
from evonas.space import Genome, Metrics


class Sleepy(FormulaEvaluator):
    """The formula, 20 ms a genome."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        time.sleep(0.02)
        return super().measure(genome, budget)

    def rehearse(self, genome: Genome) -> float:
        return min(super(Sleepy, self).rehearse(genome) for _ in range(3))


class SlowToWarm(FormulaEvaluator):
    """The first genome takes half a second more than others."""

    warm = False

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        if not self.warm:
            self.warm = True
            time.sleep(0.5)
        return super().measure(genome, budget)


class Linear(FormulaEvaluator):
    """Says that an evaluation takes 2 s and a microsecond a MAC."""

    def rehearse(self, genome: Genome) -> float:
        return 2 + 1e-6 * self.space.costs(genome)["macs"]


class HalfPicky(FormulaEvaluator):
    """Turns large networks away."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        params = self.space.costs(genome)["params"]
        if params > 20_000:
            raise Rejected("budget", params, 20_000)
        return super().measure(genome, budget)


class Interrupted(FormulaEvaluator):
    """Ctrl-C comes in the middle of the first search, once `armed`."""

    armed = False
    left = 20

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        if Interrupted.armed:
            Interrupted.left -= 1
            if Interrupted.left == 0:
                raise KeyboardInterrupt
        return super().measure(genome, budget)
