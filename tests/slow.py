"""An evaluator that takes its time and writes down what it measured, for searches that are killed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from synthetic import FormulaEvaluator

from evonas.space import Genome, Metrics, SearchSpace


class SlowFormula(FormulaEvaluator):
    """The formula, `pause` seconds a genome, each noted in `measured.jsonl` of a folder."""

    def __init__(self, space: SearchSpace, seed: int, *, pause: float = 0.03, folder: str = ".") -> None:
        super().__init__(space, seed)
        self.pause, self.folder = pause, folder

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        time.sleep(self.pause)
        with Path(self.folder, "measured.jsonl").open("a") as file:
            file.write(json.dumps({"genome": genome, "process": os.getpid()}) + "\n")
        return super().measure(genome, budget)


class OtherSlowFormula(SlowFormula):
    """The same under another name."""
