"""An evaluator with a bug."""

from __future__ import annotations

from synthetic import FormulaEvaluator

from evonas.space import Genome, Metrics


class Raising(FormulaEvaluator):
    """Raises on every genome."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        raise RuntimeError(f"no layer for {genome}")
