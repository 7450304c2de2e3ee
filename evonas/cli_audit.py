"""The command for trust: `evonas audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evonas.compose import Search
    from evonas.tracking.base import Tracker


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(audit)


def audit(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A run folder; the newest under runs/ when left out.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE ...", help="Another recipe or pool: epochs=20, evaluator.use=..., pool.workers=8."
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(metavar="N", help="Networks of the run to train besides its front [20; all of a table]."),
    ] = None,
    random: Annotated[
        int | None, typer.Option(metavar="N", help="Random networks to train the same way [20; as many as the run's].")
    ] = None,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Seeds with which the front and what is near it are trained, in all.")
    ] = 1,
    against: Annotated[
        str | None, typer.Option(metavar="METRIC", help="What the run's first measured objective is compared with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON, and nothing else.")] = False,
) -> None:
    """Train some networks of a run on their own, and say how far the run is to be trusted.

    The front, networks spread over all values that the run had, and random ones are trained with the run's recipe or
    another; a table is looked up. Said is how the run's values order networks (Kendall's tau and Spearman, with
    intervals), what the chosen front is worth and how much better it could have been, and whether random networks are
    as good. With --repeats 3 each member of the front has a probability of being non-dominated.

    What is trained is journaled in RUN/audit: killed and repeated, or repeated with more, an audit trains only what is
    missing. The verdict is RUN/audit.json and audit.txt, and goes to MLflow where the run is.
    """
    import json

    from rich.console import Console

    from evonas import run_folder
    from evonas.audit import audit as made
    from evonas.reports import audit_table
    from evonas.reports.result import write_whole

    if run is not None and "=" in str(run) and not run.exists():  # the newest run, and an override
        run, overrides = None, [str(run), *(overrides or [])]
    path = run_folder.find(run)
    console, teller = Console(), Console(stderr=True, highlight=False)
    done = made(
        path, overrides or [], budget=budget, random=random, repeats=repeats, against=against,
        watch=lambda search, folder: [] if as_json else _watch(search, folder),
        tell=lambda line: teller.print(line, style="dim", markup=False),
    )  # fmt: skip
    write_whole(path / "audit.txt", lambda draft: _write(draft, audit_table.text(done)))
    if as_json:
        typer.echo(json.dumps(done.plain(), indent=2))
    else:
        for part in audit_table.report(done):
            console.print(part, soft_wrap=isinstance(part, str))
    if trouble := _sent(path):
        teller.print(trouble, markup=False, soft_wrap=True)


def _watch(search: Search, folder: Path) -> Sequence[Tracker]:
    from evonas.tracking.console import Console

    return [Console(evaluations=search.experiment.evaluations, space=search.space)]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _sent(path: Path) -> str | None:
    """Send the verdict to MLflow where the run is there; return what to do if that fails."""
    from evonas import run_folder
    from evonas.compose import tracker_of
    from evonas.errors import EvonasError
    from evonas.history import History
    from evonas.tracking.mlflow import MLflow

    tracker = tracker_of(History.read(path), path)
    if not isinstance(tracker, MLflow):
        return None
    try:
        with run_folder.locked(path):
            tracker.sync()
    except EvonasError as error:
        return f"the audit is not in MLflow ({error}): 'evonas sync {path}' sends it"
    return None
