"""An evaluator that notes what it measures in a folder of the cluster's storage, and takes the time that it is told."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from synthetic import FormulaEvaluator

from evonas.space import Genome, Metrics


class Noting(FormulaEvaluator):
    """The formula; NOTED_IN names the folder, NOTED_SECONDS the time."""

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        time.sleep(float(os.environ.get("NOTED_SECONDS", "0")))
        if folder := os.environ.get("NOTED_IN"):
            with (Path(folder) / "measured.jsonl").open("a") as file:
                file.write(json.dumps(genome) + "\n")
        return super().measure(genome, budget)
