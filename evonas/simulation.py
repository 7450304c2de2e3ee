"""A search simulated: the real strategy, gates, loop and journal, on a virtual clock with calibrated durations."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from evonas.component import Component, checked
from evonas.compose import Search
from evonas.config import Experiment
from evonas.controller import Controller
from evonas.early_exit import EarlyExit
from evonas.evaluation import Outcome
from evonas.forecast import Calibration, Forecast
from evonas.history import JOURNAL, History
from evonas.journal import Header, Journal
from evonas.pool import WorkerPool
from evonas.stand_in import StandInRecipe
from evonas.tracking.base import Tracker

SIMULATED, WAVES = 2_000, 4
"""So many evaluations are simulated, and at least so many a worker; a longer search is scaled from them."""

POOL = "evonas.workers.simulated_pool:SimulatedPool"


def simulate(
    search: Search, header: Header, calibration: Calibration, workers: int, folder: Path
) -> tuple[Forecast, History]:
    """Forecast a search on `workers`, without its audits; its journal is written into `folder`, an empty one.

    To virtual time the driver's own is added in full (asking the strategy, the journal): more than is waited for where
    workers are busy meanwhile, and next to nothing where evaluations take seconds.
    """
    experiment, header = search.experiment, replace(header, audit=None)
    wanted = experiment.evaluations
    early_exit = EarlyExit(search.space, search.gates)
    pool = _pool(search, calibration, workers)
    watch = _Watch(pool)
    started = time.perf_counter()
    with closing(Journal.create(folder / JOURNAL, header)) as journal, closing(pool):
        history = Controller(
            strategy=search.strategy(early_exit),
            early_exit=early_exit,
            pool=pool,
            journal=journal,
            history=History(header),
            trackers=[watch],
            evaluations=min(wanted, max(SIMULATED, WAVES * workers)),
            max_consecutive_failures=experiment.max_consecutive_failures,
        ).run()
    simulated = len(history.evaluations)
    total = simulated if history.closed == "exhausted" else wanted
    factor = total / simulated
    driver_seconds = (time.perf_counter() - started) * factor
    seconds = calibration.warm_up_seconds + driver_seconds + _extended(watch.moments, total)
    start_seconds = _pool_class(experiment).start_seconds
    hours = workers * (start_seconds + seconds) / 3600
    turned_away = {
        gate.name: round(_extended([counts[gate.name] for counts in watch.turned_away], total)) for gate in search.gates
    }
    forecast = Forecast(
        workers=workers,
        evaluations=wanted,
        simulated=simulated,
        start_seconds=start_seconds,
        seconds=seconds,
        evaluation_seconds=history.mean_seconds,
        utilisation=min(1.0, history.mean_seconds * total / (workers * seconds)),
        worker_hours=hours,
        gpu_hours=gpus_of(experiment) * hours,
        evaluated=total,
        drawn=total + sum(turned_away.values()),
        turned_away=turned_away,
        journal_bytes=round((folder / JOURNAL).stat().st_size * factor),
    )
    return forecast, history


def gpus_of(experiment: Experiment) -> float:
    """Return how many GPUs a worker holds for the whole search, a part of one included."""
    gpus = experiment.pool.options.get("gpus")
    if isinstance(gpus, int | float):
        return float(gpus)
    return 1.0 if experiment.device == "gpu" else 0.0


class _Watch(Tracker):
    """Notes, at each outcome, the time on the clock of a pool and how many genomes each gate has turned away."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self.moments: list[float] = []
        self.turned_away: list[Counter[str]] = []

    def outcome(self, history: History, outcome: Outcome) -> None:
        """Note both."""
        self.moments.append(self._pool.clock())
        self.turned_away.append(history.turned_away.copy())


def _extended(values: Sequence[float], total: int) -> float:
    """Return the last of `total` values that never fall; those that are not there go on at the pace of the middle."""
    seen = len(values)
    if total <= seen:
        return values[-1]
    first, last = seen // 4, 3 * seen // 4
    return values[-1] + (total - seen) * (values[last] - values[first]) / (last - first)


def _pool_class(experiment: Experiment) -> type[WorkerPool]:
    loaded: type[WorkerPool] = checked(experiment.pool, WorkerPool).load()  # type: ignore[assignment]
    return loaded


def _pool(search: Search, calibration: Calibration, workers: int) -> WorkerPool:
    to_median = math.exp(-(calibration.sigma**2) / 2)  # calibrated seconds are means
    options = {
        "workers": workers,
        "median_seconds": calibration.seconds_fixed * to_median,
        "seconds_per_mac": calibration.seconds_per_mac * to_median,
        "sigma": calibration.sigma,
        "parts": calibration.parts,
        "simulation_seed": search.experiment.seed,
    }
    pool: WorkerPool = Component(POOL, options).build({"recipe": StandInRecipe(search)})
    return pool
