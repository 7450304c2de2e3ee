"""A plan: what a search will take on several numbers of workers, before it begins; and how it compares afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from evonas import config
from evonas.calibration import calibrate
from evonas.component import checked
from evonas.compose import Search, prepare
from evonas.config import Experiment
from evonas.early_exit import receipt, static_gates
from evonas.errors import EvonasError, RunFolderError, require
from evonas.forecast import PLAN, Forecast, Plan, keep, plan_path, read
from evonas.history import JOURNAL, History
from evonas.rehearsal import workers_of
from evonas.reports.result import write_result
from evonas.simulation import simulate
from evonas.tracking.base import Tracker

BUSY = 0.8
"""Workers are worth their money while they are busy for at least that part of the search."""

IDLE = 0.5
"""Numbers of workers are tried until they are busy for less than that."""

MOST_BY_DEFAULT, MOST = 1_024, 10_000

_log = logging.getLogger(__name__)

Tell = Callable[[str], None]


def make(experiment: Experiment, workers: Sequence[int] = (), tell: Tell = lambda line: None) -> Plan:
    """Calibrate, simulate for each number of workers, and keep the plan under the experiment's `runs`.

    Without `workers` the experiment's own number is taken, and 1, 2, 4, ... while they are busy. `tell` hears what is
    being done. Raises an EvonasError for what is wrong with the experiment, as a run would.
    """
    for count in workers:
        require("--workers", count, 1 <= count <= MOST, f"between 1 and {MOST:,}")
    search = prepare(experiment)
    experiment = search.experiment
    if search.rule is not None:
        tell("the audits of the search are not in the plan: 'evonas check' says what they take")
    own = workers_of(experiment)
    calibration = calibrate(search, tell)
    header = search.header()
    forecasts: list[Forecast] = []
    disk: dict[str, int] = {}
    for count in sorted(set(workers)) or _counts(own, experiment.evaluations, forecasts):
        tell(f"simulating {count:,} worker{'s' if count > 1 else ''}")
        with TemporaryDirectory(prefix="evonas-plan-") as folder:
            forecast, history = simulate(search, header, calibration, count, Path(folder))
            disk = disk or _disk(search, forecast, history, Path(folder))
        forecasts.append(forecast)
    forecasts.sort(key=lambda forecast: forecast.workers)
    plan = Plan(
        experiment.name, experiment.identity(), experiment.evaluations, own, calibration, tuple(forecasts), disk
    )
    path = plan_path(experiment.runs, plan.identity, plan.evaluations)
    try:
        keep(plan, path)
    except OSError as error:
        raise RunFolderError(
            f"the plan cannot be kept at {path}: {error.strerror}: mend that, or name another folder with runs=PATH"
        ) from error
    return plan


@dataclass(frozen=True, slots=True)
class Compared:
    """A number as it was planned and as it came; `unit` is `s`, `B`, or empty for a count."""

    what: str
    unit: str
    planned: float
    actual: float


def compared(path: Path, history: History) -> list[Compared]:
    """Compare a search that has ended with the plan that it began with; nothing if there is none.

    For a number of workers or evaluations that was not planned the search is simulated with what was calibrated.
    """
    plan = read(path / PLAN, history.header.config_hash)
    if plan is None or history.closed not in ("budget", "exhausted"):
        return []
    try:
        forecast = _forecast(plan, path, history)
    except EvonasError as error:
        _log.warning("the search cannot be compared with its plan: %s", error)
        return []
    disk = forecast.journal_bytes + sum(size for kind, size in plan.disk_bytes.items() if kind in ("tables", "plots"))
    gates = {name: row["turned_away"] for name, row in receipt(history).items() if name in forecast.turned_away}
    return [
        Compared("seconds of the search", "s", forecast.seconds, history.elapsed),
        Compared("seconds an evaluation", "s", forecast.evaluation_seconds, history.mean_seconds),
        Compared("evaluated", "", forecast.evaluated, len(history.evaluations)),
        *(Compared(f"turned away: {gate}", "", forecast.turned_away[gate], count) for gate, count in gates.items()),
        Compared("run folder", "B", disk, _size(path)),
    ]


def worthwhile(plan: Plan) -> Forecast | None:
    """Return the forecast for the most workers that are busy for at least `BUSY` of the search, if there is one."""
    return next((forecast for forecast in reversed(plan.forecasts) if forecast.utilisation >= BUSY), None)


def _counts(own: int, evaluations: int, forecasts: Sequence[Forecast]) -> Iterator[int]:
    """Yield the numbers of workers to try, looking at what those before have come to."""
    yield own
    count = 1
    while count <= min(evaluations, MOST_BY_DEFAULT):
        if count != own:
            yield count
        if any(forecast.utilisation < IDLE and forecast.workers <= count for forecast in forecasts):
            return
        count *= 2


def _disk(search: Search, forecast: Forecast, history: History, folder: Path) -> dict[str, int]:
    """Return what a search leaves on this disk, by kind, from the files of its simulation."""
    write_result(history, search.space, folder)
    sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.name != JOURNAL}
    factor = forecast.evaluated / forecast.simulated
    plots = sum(size for name, size in sizes.items() if name.endswith((".html", ".png")))
    disk = {
        "journal": forecast.journal_bytes,
        "tables": round((sum(sizes.values()) - plots) * factor),
        "plots": plots,
    }
    if (component := search.experiment.tracking) is not None:
        tracker: Tracker = checked(component, Tracker).build(
            {"run_folder": (search.experiment.runs / "plan").absolute(), "space": search.space}
        )
        kept = tracker.disk_bytes(forecast.evaluated, len(history.front.members), sum(disk.values()))
        disk |= {"tracking": kept} if kept else {}
    return disk


def _forecast(plan: Plan, path: Path, history: History) -> Forecast:
    """Return the forecast for the workers and the length that the search had in the end."""
    experiment = config.parse(history.config, origin=str(path))
    workers = int(experiment.pool.options.get("workers") or plan.workers)
    forecast = plan.forecast(workers, experiment.evaluations)
    if forecast is None:
        first = [tuple(genome) for genome in history.header.warm_start]
        search = replace(prepare(experiment, first), gates=static_gates(history.header))
        with TemporaryDirectory(prefix="evonas-plan-") as folder:
            forecast, _ = simulate(search, history.header, plan.calibration, workers, Path(folder))
        with suppress(OSError):  # a folder that cannot be written any more can still be read
            keep(replace(plan, forecasts=(*plan.forecasts, forecast)), path / PLAN)
    return forecast


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file() and file.name != PLAN)
