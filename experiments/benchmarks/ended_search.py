"""A search that ends when something is reached, and is not run again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from evonas import search
from evonas.config import Experiment
from evonas.evaluation import Outcome
from evonas.history import JOURNAL, History
from evonas.tracking.base import Tracker


class Ended(BaseException):
    """Raised by a tracker to end a search as an interrupt does: the journal is whole, and the search could go on."""


class Ending(Tracker):
    """Ends the search when what has happened satisfies `ended`."""

    def __init__(self, ended: Callable[[History], bool]) -> None:
        self.ended = ended

    def outcome(self, history: History, outcome: Outcome) -> None:
        """End the search if it is time."""
        if self.ended(history):
            raise Ended


def searched(experiment: Experiment, path: Path, ended: Callable[[History], bool] = lambda history: False) -> History:
    """Search in the run folder `path` until `ended` or the experiment's own end; return what happened.

    What was done before is not done again; a search that was cut goes on. The experiment is complete, as those of
    `evonas.compose.prepare` are.
    """
    known = History.read(path) if (path / JOURNAL).is_file() else None
    if known and known.header.config_hash == experiment.identity() and (known.closed is not None or ended(known)):
        return known
    print(f"{path}: searching", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return search.run_or_resume(experiment, path, lambda search, path: [Ending(ended)])
    except Ended:
        return History.read(path)
