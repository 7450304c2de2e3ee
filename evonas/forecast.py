"""What a search is planned to take: kept beside the runs, taken along into the run folder."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evonas.config import Experiment
from evonas.rehearsal import workers_of
from evonas.reports.result import write_whole

FORMAT = 1
PLAN = "plan.json"
"""The plan that a run began with, in its folder."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What rehearsals say of an evaluation: `seconds_fixed` + `seconds_per_mac` x MACs, and a lognormal spread `sigma`.

    `points` are the MACs and seconds that were measured, `warm_up_seconds` what the first evaluation in a process takes
    besides (imports, data), and `turned_away` counts networks that the evaluator's own gates did not let through.
    `load` is how many processes wanted each CPU of the machine when it began: above 1, others slowed it down.
    `parts` are the seconds at each fidelity over those of a whole evaluation, by its name, where there are several.
    """

    points: tuple[tuple[float, float], ...]
    seconds_fixed: float
    seconds_per_mac: float
    sigma: float
    warm_up_seconds: float
    turned_away: int = 0
    load: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a search of `evaluations` takes on `workers`, failures not included.

    `seconds` is the time on the search's clock, and `start_seconds` what starting the pool takes before it runs.
    Of `evaluations` the first `simulated` were simulated. `drawn` counts the genomes that the strategy looks at: the
    candidates, and those turned away, by gate.
    """

    workers: int
    evaluations: int
    simulated: int
    start_seconds: float
    seconds: float
    evaluation_seconds: float
    utilisation: float
    worker_hours: float
    gpu_hours: float
    evaluated: int
    drawn: int
    turned_away: Mapping[str, int]
    journal_bytes: int

    @property
    def wall_seconds(self) -> float:
        """From the command to the front."""
        return self.start_seconds + self.seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """Forecasts of an experiment for several numbers of workers; `workers` is its own number.

    `disk_bytes` says what the search leaves on this disk, by kind.
    """

    name: str
    identity: str
    evaluations: int
    workers: int
    calibration: Calibration
    forecasts: tuple[Forecast, ...]
    disk_bytes: Mapping[str, int]

    def forecast(self, workers: int, evaluations: int) -> Forecast | None:
        """Return the forecast for so many workers and evaluations, if there is one."""
        return next((f for f in self.forecasts if (f.workers, f.evaluations) == (workers, evaluations)), None)

    def plain(self) -> dict[str, Any]:
        """Return the plan as JSON-plain values."""
        return {"format": FORMAT, **asdict(self)}


def plan_path(runs: Path, identity: str, evaluations: int) -> Path:
    """Return where the plan of an experiment of that length is kept."""
    return runs / "plans" / f"{identity}-{evaluations}.json"


def keep(plan: Plan, path: Path) -> None:
    """Write a plan, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plan.plain(), indent=2, allow_nan=False) + "\n"

    def write(draft: Path) -> None:
        draft.write_text(text, encoding="utf-8")

    write_whole(path, write)


def read(path: Path, identity: str) -> Plan | None:
    """Return the plan of that identity which a file holds, if it holds one; a damaged file is told and ignored."""
    try:
        plan = _parsed(json.loads(path.read_text(encoding="utf-8")))
        if plan.identity != identity:
            raise ValueError(f"it is the plan of another experiment, {plan.identity}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        _log.warning(
            "the plan %s cannot be used (%s: %s): 'evonas plan' makes a new one", path, type(error).__name__, error
        )
        return None
    return plan


def take_along(experiment: Experiment, run_folder: Path) -> None:
    """Copy the plan of a search that begins, if there is one, into its run folder, with the workers of this machine."""
    identity = experiment.identity()
    plan = read(plan_path(experiment.runs, identity, experiment.evaluations), identity)
    if plan is not None:
        keep(replace(plan, workers=workers_of(experiment)), run_folder / PLAN)


def _parsed(document: Any) -> Plan:
    if document["format"] != FORMAT:
        raise ValueError(f"it has format {document['format']}, and this version of evonas reads {FORMAT}")
    calibration = document["calibration"]
    return Plan(
        name=str(document["name"]),
        identity=str(document["identity"]),
        evaluations=_count(document["evaluations"]),
        workers=_count(document["workers"]),
        calibration=Calibration(
            points=tuple((_number(macs), _number(seconds)) for macs, seconds in calibration["points"]),
            seconds_fixed=_number(calibration["seconds_fixed"]),
            seconds_per_mac=_number(calibration["seconds_per_mac"]),
            sigma=_number(calibration["sigma"]),
            warm_up_seconds=_number(calibration["warm_up_seconds"]),
            turned_away=_count(calibration["turned_away"]),
            load=_number(calibration["load"]),
            parts={str(fidelity): _number(part) for fidelity, part in calibration.get("parts", {}).items()},
        ),
        forecasts=tuple(_forecast(row) for row in document["forecasts"]),
        disk_bytes={str(kind): _count(size) for kind, size in document["disk_bytes"].items()},
    )


def _forecast(row: Any) -> Forecast:
    return Forecast(
        workers=_count(row["workers"]),
        evaluations=_count(row["evaluations"]),
        simulated=_count(row["simulated"]),
        start_seconds=_number(row["start_seconds"]),
        seconds=_number(row["seconds"]),
        evaluation_seconds=_number(row["evaluation_seconds"]),
        utilisation=_number(row["utilisation"]),
        worker_hours=_number(row["worker_hours"]),
        gpu_hours=_number(row["gpu_hours"]),
        evaluated=_count(row["evaluated"]),
        drawn=_count(row["drawn"]),
        turned_away={str(gate): _count(count) for gate, count in row["turned_away"].items()},
        journal_bytes=_count(row["journal_bytes"]),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{value!r} is no number of 0 or more")
    return float(value)


def _count(value: Any) -> int:
    if not _number(value).is_integer():
        raise ValueError(f"{value!r} is no whole number")
    return int(value)
