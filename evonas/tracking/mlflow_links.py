"""Where a search is to be found in MLflow: the note about it in the run folder, and the links that a person opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

FILE = "mlflow.json"
TRAINING = "?workflowType=machine_learning"
"""Without it MLflow shows the menus for language models."""

COMPARED = 100
"""Runs in a compare view: more make its address too long, and nothing clearer."""


@dataclass(frozen=True, slots=True)
class Place:
    """The address of a search in MLflow and how much of it is there. A hint only: what MLflow says counts."""

    uri: str
    experiment_id: str
    run_id: str
    sent: int = 0
    unsent: int = 0
    refused: int = 0
    front: Sequence[str] = ()

    @classmethod
    def read(cls, run_folder: Path) -> Place | None:
        """Return the note of a run folder; None if there is none that can be read."""
        try:
            return cls(**json.loads((run_folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, run_folder: Path) -> None:
        """Replace the note of a run folder, as a whole or not at all."""
        written = run_folder / f"{FILE}.tmp"
        written.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        written.replace(run_folder / FILE)

    @property
    def page(self) -> str:
        """The page of the search, relative to the server: what it says about itself, its charts and its artifacts."""
        return self._page("")

    @property
    def charts(self) -> str:
        """The page with the search's metrics over its generations."""
        return self._page("/model-metrics")

    def artifact(self, name: str) -> str:
        """The page that shows an artifact of the search."""
        return self._page(f"/artifacts/{quote(name)}")

    @property
    def comparison(self) -> str | None:
        """The page that compares the networks of the front; None without two of them."""
        return comparison(self.experiment_id, self.front)

    def _page(self, part: str) -> str:
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}{part}{TRAINING}"


def comparison(experiment_id: str, runs: Sequence[str]) -> str | None:
    """Return the page, relative to the server, that compares runs: evenly chosen ones where there are too many."""
    if len(runs) < 2:
        return None
    if len(runs) > COMPARED:
        runs = [runs[round(i * (len(runs) - 1) / (COMPARED - 1))] for i in range(COMPARED)]
    listed = ",".join(f"%22{run}%22" for run in runs)
    return f"#/compare-runs?runs=[{listed}]&experiments=[%22{experiment_id}%22]&{TRAINING[1:]}"
