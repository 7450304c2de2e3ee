"""A search of the trivial problem, timed by its own journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evonas import config, journal, search
from evonas.evaluation import Evaluation
from evonas.history import JOURNAL, History
from evonas.journal import Finished

STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "NSGA-II": {"use": "evonas.strategies.pymoo_nsga2:NSGA2", "population": 100},
    "steady-state NSGA-II": {
        "use": "evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", "population": 100, "lag": 2_000,
    },
    "random search": {"use": "evonas.strategies.random_search:RandomSearch", "block": 100},
}  # fmt: skip
RAY = {"use": "evonas.workers.ray_pool:RayPool", "workers": 2}
MLFLOW = {"use": "evonas.tracking.mlflow:MLflow", "children": "front"}


@dataclass(frozen=True)
class Timed:
    """A search: what happened, its run folder, and the wall seconds that `evonas.search.run` took."""

    history: History
    path: Path
    seconds: float

    @property
    def landings(self) -> list[tuple[float, float]]:
        """When each evaluation began and when its outcome was journaled, in seconds since the search began."""
        finished = [event for event in journal.read(self.path / JOURNAL) if isinstance(event, Finished)]
        assert all(isinstance(event.outcome, Evaluation) for event in finished), "a trivial evaluation cannot fail"
        return [(event.elapsed - event.outcome.seconds, event.elapsed) for event in finished]

    @property
    def rate(self) -> float:
        """Evaluations a second, from the first outcome to the last: the workers are there, nothing is drawn yet."""
        ends = [end for _, end in self.landings]
        return (len(ends) - 1) / (ends[-1] - ends[0])


def timed(
    folder: Path, evaluations: int, strategy: str, /, watch: Callable[..., Any] | None = None, **more: Any
) -> Timed:
    """Search in `folder`; `more` replaces keys of the experiment."""
    experiment = config.parse(
        {
            "name": "overhead", "space": "trivial:Digits", "data": None, "evaluator": "trivial:Formula",
            "strategy": dict(STRATEGIES[strategy]), "evaluations": evaluations, "pool": dict(RAY), "tracking": None,
            "runs": str(folder), **more,
        }
    )  # fmt: skip
    began = time.perf_counter()
    path, history = search.run(experiment, **({"watch": watch} if watch else {}))
    return Timed(history, path, time.perf_counter() - began)
