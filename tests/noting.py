"""An evaluator that notes what it measures in a folder of the cluster's storage, and slows down when it is told to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from synthetic import FormulaEvaluator

from evonas.space import Genome, Metrics


class Noting(FormulaEvaluator):
    """The formula; NOTED_IN names the folder, and NOTED_SECONDS what each genome after the first twelve takes."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        notes = Path(os.environ["NOTED_IN"]) / "measured.jsonl"
        if notes.exists() and notes.read_text().count("\n") >= 12:
            time.sleep(float(os.environ.get("NOTED_SECONDS", "0")))
        with notes.open("a") as file:
            file.write(json.dumps(genome) + "\n")
        return super().measure(genome, budget)
