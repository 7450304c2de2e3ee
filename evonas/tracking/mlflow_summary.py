"""What a person finds on the search's page in MLflow: a note to read, pictures to explore, tables and the journal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evonas.early_exit import receipt
from evonas.evaluation import Evaluation
from evonas.history import JOURNAL, History
from evonas.space import SearchSpace
from evonas.tracking.mlflow_links import Place

NOTE_LENGTH = 7_500
"""MLflow cuts a tag at 8000 characters."""

FRONT_ROWS = 15
TABLE = "evaluations.json"
AUDIT, AUDIT_TEXT = "audit.json", "audit.txt"
GAP = "&emsp;"
"""MLflow leaves no room between the columns of a table."""


def note(history: History, space: SearchSpace, run_folder: Path, place: Place, *, only_front: bool = False) -> str:
    """Return the markdown that opens the search's page; `only_front` where no other network has a run of its own."""
    for rows in range(min(FRONT_ROWS, len(history.front.members)), -1, -1):
        parts = _note_parts(history, space, run_folder, place, rows)
        text = "\n\n".join(part for part in [*parts, _rest(run_folder) if only_front else ""] if part)
        if len(text) <= NOTE_LENGTH:
            return text
    return text[:NOTE_LENGTH]


def write_live(history: History, space: SearchSpace, folder: Path) -> dict[str, Exception]:
    """Write what is worth a look while the search runs; return what went wrong by file name."""
    from evonas.reports.plots import write_front_html

    return _write_all({"front.html": lambda path: write_front_html(history, space, path)}, folder)


def write_final(history: History, space: SearchSpace, run_folder: Path, folder: Path) -> dict[str, Exception]:
    """Write everything that stays with a search; return what went wrong by file name."""
    from evonas.reports.plots import write_front_html, write_front_png, write_progress_html
    from evonas.reports.result import evaluations_table, result

    def write_table(path: Path) -> None:
        table = evaluations_table(history, space)
        with path.open("w", encoding="utf-8") as file:
            file.write(f'{{"columns": {json.dumps(table.column_names)}, "data": [')
            for number, part in enumerate(table.to_batches(max_chunksize=1_000)):  # as a whole it takes a gigabyte
                rows = [list(row.values()) for row in part.to_pylist()]
                file.write((", " if number else "") + json.dumps(rows, default=str)[1:-1])
            file.write("]}")

    return _write_all(
        {
            "front.html": lambda path: write_front_html(history, space, path),
            "front.png": lambda path: write_front_png(history, space, path),
            "progress.html": lambda path: write_progress_html(history, space, path),
            "front.json": lambda path: _write_text(path, json.dumps(result(history, space), indent=2)),
            TABLE: write_table,
            JOURNAL: lambda path: _copy(run_folder / JOURNAL, path),
        },
        folder,
    )


def read_audit(run_folder: Path) -> dict[str, Any] | None:
    """Return what the latest audit of a run has come to; None if there was none."""
    try:
        audit: dict[str, Any] = json.loads((run_folder / AUDIT).read_text(encoding="utf-8"))
        return audit if {"created", "metrics"} <= audit.keys() else None
    except (OSError, ValueError):
        return None


def copy_audit(run_folder: Path, folder: Path) -> None:
    """Copy the files of an audit that are to be read."""
    for name in (AUDIT, AUDIT_TEXT):
        if (run_folder / name).exists():
            _copy(run_folder / name, folder / name)


def _write_all(writers: dict[str, Callable[[Path], None]], folder: Path) -> dict[str, Exception]:
    broken = {}
    for name, write in writers.items():
        try:
            write(folder / name)
        except Exception as error:  # one picture less must not cost the others
            (folder / name).unlink(missing_ok=True)
            broken[name] = error
    return broken


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _note_parts(history: History, space: SearchSpace, run_folder: Path, place: Place, rows: int) -> list[str]:
    return [
        _links(place),  # first: MLflow folds the note below its first lines, and lets nobody click there
        _headline(history),
        _audited(run_folder, place),
        _front(history, space, rows),
        _gates(history),
        "" if history.closed in ("budget", "exhausted", "plateau") else f"Continue with `evonas resume {run_folder}`.",
    ]


def _rest(run_folder: Path) -> str:
    return (
        "Only the networks of the front have runs of their own here; all evaluations are in the table. "
        f"`evonas sync {run_folder} tracking.children=all` sends a run for each."
    )


def _headline(history: History) -> str:
    from evonas.reports.table import audited, doubt, duration, fidelities, reached, readable, remarks

    state = f"The search ended: {history.closed}" if history.closed else "The search has not ended"
    objectives = ", ".join(f"{'high' if o.maximize else 'low'} {o.metric}" for o in history.goals.objectives)
    front, evaluated, failed = history.front, len(history.evaluations), len(history.failures)
    share = f" ({words})" if (words := reached(history)) else ""
    rungs = f" ({words})" if (words := fidelities(history)) else ""
    finding = history.audit.finding() if history.audit else None
    trust = f" Audited while it ran: {audited(finding)}." if finding else ""
    trust += f" **{words[0].upper()}{words[1:]}.**" if finding and (words := doubt(finding)) else ""
    said = f" The strategy: {words}." if (words := remarks(history)) else ""
    return (
        f"**{len(front.members)} networks on the front** for {objectives}: "
        f"hypervolume **{readable(front.hypervolume)}**{share} from {evaluated:,} evaluations{rungs} and "
        f"{failed:,} failures in {duration(history.elapsed)}. {state}.{said}{trust}"
    )


def _audited(run_folder: Path, place: Place) -> str:
    audit = read_audit(run_folder)
    if audit is None:
        return ""
    numbers = [
        f"{name.removeprefix('audit_')} {value:.3f}"
        for name, value in audit["metrics"].items()
        if name.startswith(("audit_tau", "audit_hypervolume_regret", "audit_improvement"))
    ]
    return f"[Audited]({place.artifact(AUDIT_TEXT)}): {', '.join(numbers)}"


def _links(place: Place) -> str:
    links = {
        "Explore the front": place.artifact("front.html"),
        "compare its networks": place.comparison,
        "charts over generations": place.charts,
        "all evaluations": place.artifact(TABLE),
    }
    return " · ".join(f"[{text}]({link})" for text, link in links.items() if link)


def _front(history: History, space: SearchSpace, rows: int) -> str:
    from evonas.reports.table import readable

    front, metrics = history.front, history.goals.metrics
    if not front.members:
        return "The front is empty: no feasible candidate was evaluated yet."
    shown = sorted({round(i * (len(front.members) - 1) / max(1, rows - 1)) for i in range(rows)})
    lines = [_row(["candidate", *metrics, "network"]), "|---" * (len(metrics) + 2) + "|"]
    for member in (front.members[i] for i in shown):
        values = [readable(member.metrics[metric]) for metric in metrics]
        knee = " (knee)" if member is front.knee else ""
        lines.append(_row([f"{member.candidate.id}{knee}", *values, _network(member, space)]))
    more = len(front.members) - len(shown)
    return "### Front\n\n" + "\n".join(lines) + (f"\n\nand {more} more" if more else "")


def _network(member: Evaluation, space: SearchSpace) -> str:
    text = ", ".join(f"{gene} {option}" for gene, option in space.describe(member.candidate.genome).items())
    return text if len(text) <= 120 else text[:117] + "..."


def _gates(history: History) -> str:
    from evonas.reports.table import duration, readable

    gates = receipt(history)
    if not gates:
        return ""
    lines = [_row(["gate", "turned away", "saved, estimated"]), "|---|---|---|"]
    for name, row in gates.items():
        lines.append(_row([f"`{name}`", readable(row["turned_away"]), duration(row["estimated_seconds_saved"])]))
    return "### Early exit\n\n" + "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") + GAP for cell in cells) + " |"
