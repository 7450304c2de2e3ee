"""A plan for a terminal: what a search will take on several numbers of workers, and how it compared in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evonas.reports.table import duration, readable

if TYPE_CHECKING:
    from rich.table import Table

    from evonas.forecast import Calibration, Forecast, Plan
    from evonas.plan import Compared

BUSY_LOAD = 0.8
"""A machine with more processes a CPU that want it gives a rehearsal less than a search of its own would get."""


def headline(plan: Plan) -> str:
    """Return what is planned, and what an evaluation was found to take."""
    return f"{plan.name} ({plan.identity}), {plan.evaluations:,} evaluations: {_evaluation(plan.calibration)}"


def forecasts_table(plan: Plan) -> Table:
    """Return a row for each number of workers, the experiment's own in bold."""
    from rich.table import Table

    with_gpus = any(forecast.gpu_hours for forecast in plan.forecasts)
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("workers", "time", "busy", "worker hours", *(("GPU hours",) if with_gpus else ()), "evaluated",
               "turned away", "of drawn")  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right")
    for forecast in plan.forecasts:
        gpus = (f"{forecast.gpu_hours:.2f}",) if with_gpus else ()
        cells = (
            f"{forecast.workers:,}", _time(forecast.wall_seconds), f"{forecast.utilisation:.0%}",
            f"{forecast.worker_hours:.2f}", *gpus, f"{forecast.evaluated:,}",
            f"{sum(forecast.turned_away.values()):,}", f"{forecast.drawn:,}",
        )  # fmt: skip
        table.add_row(*cells, style="bold" if forecast.workers == plan.workers else "")
    return table


def planned_gates_table(forecast: Forecast) -> Table:
    """Return how many genomes each gate is expected to turn away, and the time that this saves a worker."""
    from rich.table import Table
    from rich.text import Text

    table = Table("gate", box=None, pad_edge=False, header_style="bold")
    table.add_column("turned away", justify="right")
    table.add_column("saved, estimated", justify="right")
    for gate, count in forecast.turned_away.items():
        table.add_row(Text(gate), f"{count:,}", _time(count * forecast.evaluation_seconds))
    return table


def notes(plan: Plan, worthwhile: Forecast | None, machine: int) -> Iterator[str]:
    """Yield what a reader of the table must know; `machine` is how many workers this machine has room for."""
    disk = ", ".join(f"{kind} {size(count)}" for kind, count in plan.disk_bytes.items())
    yield f"disk: {size(sum(plan.disk_bytes.values()))} ({disk})"
    if worthwhile is None:
        yield "no row has workers that are busy most of the time: the rest goes into starting and asking, or is waiting"
    else:
        several = worthwhile.workers > 1
        yield (
            f"worth their money: {worthwhile.workers:,} worker{'s' if several else ''}, the most of these rows that "
            f"{'are' if several else 'is'} busy most of the time ({worthwhile.utilisation:.0%})"
        )
    if any(forecast.workers > machine for forecast in plan.forecasts):
        yield f"this machine has room for {machine:,}: rows with more are for a cluster of machines like it"
    if plan.calibration.load > BUSY_LOAD:
        yield (
            f"other processes kept this machine busy while it was measured (load {plan.calibration.load:.1f} a CPU): "
            f"times are those of such a machine, and a plan of a quiet one may differ"
        )
    if plan.calibration.turned_away:
        rehearsed = plan.calibration.turned_away + len(plan.calibration.points)
        yield (
            f"the evaluator's own gates turned away {plan.calibration.turned_away} of {rehearsed} rehearsed networks: "
            f"the search will take less than this"
        )
    if parts := plan.calibration.parts:
        each = ", ".join(f"{fidelity}: {part:.2%}" for fidelity, part in parts.items())
        yield (
            f"what an evaluation takes of the whole time at each fidelity, after those below: {each}; weights that are "
            f"kept for those who may climb are not in the disk"
        )
    if longer := [forecast for forecast in plan.forecasts if forecast.simulated < forecast.evaluated]:
        yield (
            f"{longer[0].simulated:,} evaluations were simulated, and the rest goes on at their pace: an end that the "
            f"strategy comes to later is not foreseen"
        )
    yield (
        "estimates: static costs and gates are exact, but what only an evaluation tells was invented, and it decides "
        "what the strategy proposes; a worker was measured alone, and those that share a machine slow each other down; "
        "failures and retries are not included"
    )


def comparison_table(rows: Sequence[Compared]) -> Table:
    """Return what was planned, what came, and the difference."""
    from rich.table import Table
    from rich.text import Text

    table = Table("plan and actual", box=None, pad_edge=False, header_style="bold")
    for column in ("planned", "actual", "difference"):
        table.add_column(column, justify="right")
    for row in rows:
        difference = f"{row.actual / row.planned - 1:+.0%}" if row.planned else "" if row.actual else "+0%"
        table.add_row(Text(row.what), _amount(row.planned, row.unit), _amount(row.actual, row.unit), difference)
    return table


def size(count: float) -> str:
    """Return bytes for people: `812 B`, `4.2 kB`, `9.7 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _amount(value: float, unit: str) -> str:
    if unit == "B":
        return size(value)
    if unit == "s":
        return _time(value)
    return readable(value)


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 9.995 else f"{seconds:.3g} s"


def _evaluation(calibration: Calibration) -> str:
    seconds = [seconds for _, seconds in calibration.points]
    ends = dict.fromkeys(f"{end:.3g}" for end in (min(seconds), max(seconds)))
    ranged = f"{' to '.join(ends)} s"
    if calibration.seconds_per_mac:
        law = f"{calibration.seconds_fixed:.2g} s + {calibration.seconds_per_mac * 1e6:.3g} s a million MACs"
    else:
        law = f"{calibration.seconds_fixed:.3g} s whatever the size"
    return f"an evaluation takes {ranged} ({law}, spread {calibration.sigma:.0%})"
