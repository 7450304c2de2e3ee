"""An evaluator that takes its time and writes down what it measured, for searches that are killed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from synthetic import FormulaEvaluator

from evonas.space import Genome, Metrics


class SlowFormula(FormulaEvaluator):
    """The formula, 30 ms a genome, each noted in `measured.jsonl` of the current folder."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        time.sleep(0.03)
        with Path("measured.jsonl").open("a") as file:
            file.write(json.dumps(genome) + "\n")
        return super().measure(genome, budget)
