"""The command line: `evonas run | resume | front | list | check | plan | ui | sync`, and those of `cli_*.py`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evonas import __version__, cli_audit, cli_convert, cli_jobs, cli_predict, cli_supernet
from evonas.errors import EvonasError

if TYPE_CHECKING:
    from evonas.compose import Search
    from evonas.history import History
    from evonas.tracking.base import Tracker

INTERRUPTED = 130

app = typer.Typer(
    name="evonas",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="An experiment, e.g. experiments/quickstart.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE ...", help="Values that replace the file's, e.g. strategy.population=20 seed=3."),
]
Run = Annotated[Path | None, typer.Argument(metavar="RUN", help="A run folder; the newest under runs/ when left out.")]


def main() -> None:
    """Run the command line; a mistake of the user's is printed without a traceback and exits with 2."""
    try:
        app()
    except EvonasError as error:
        _print_error(error)
        sys.exit(error.exit_code)


@app.callback(invoke_without_command=True)
def _evonas(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Find neural architectures that trade objectives off, on one machine or a Ray cluster.

    A search is described by a YAML file, evaluated by workers, journaled as it goes and shown in MLflow:

        evonas check experiments/quickstart.yaml    is it sound? what will it cost?

        evonas plan experiments/quickstart.yaml     how long, on how many workers? what do the gates turn away?

        evonas run experiments/quickstart.yaml      search

        evonas front                                the front of the newest run

        evonas ui                                   all its charts in the browser

    Weights that searches inherit, so that candidates need no training:

        evonas supernet experiments/supernet_fashion.yaml

    On a Ray cluster that it need not wait for:

        evonas submit experiments/quickstart.yaml --address http://head:8265 --runs /shared/runs --follow
    """
    if version:
        typer.echo(f"evonas {__version__}")
        raise typer.Exit


@app.command()
def run(
    file: File,
    overrides: Overrides = None,
    folder: Annotated[
        Path | None, typer.Option("--run", help="The run folder to make; a new one under runs/ when left out.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--resume", help="Continue if the run folder holds this search already.")
    ] = False,
) -> None:
    """Search, and print the Pareto front.

    Everything that happens is in the run folder the moment it happened. Ctrl-C ends a search cleanly; 'evonas resume'
    continues it, also after a crash, as if nothing had been.
    """
    from evonas import config, run_folder, search
    from evonas.errors import ConfigError

    if again and folder is None:
        raise ConfigError("--resume needs the run folder to continue: name it with --run")
    experiment = config.load(file, overrides or [])
    path = folder or run_folder.new_path(experiment.runs, experiment.name)
    with _resumable(path):
        history = search.run_or_resume(experiment, path, _watch) if again else search.run(experiment, path, _watch)[1]
    _print_end(path, history)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Resume although library versions have changed.")] = False,
) -> None:
    """Continue a search that was interrupted, or prolong one that ended.

    Only what does not decide the outcome may change: pool.* (but not the threads or the kind of device of a worker),
    tracking.*, cache, and evaluations, the length of the search. Prolonged by whole generations, it equals a search
    that was as long from the start.
    """
    from evonas import run_folder, search

    path = run_folder.find(run)
    with _resumable(path):
        history = search.resume(path, overrides or [], _watch, force=force)
    _print_end(path, history)


@app.command()
def front(
    run: Run = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
) -> None:
    """Print the Pareto front of a run, finished or not, and write its plots (front.html, front.png) into its folder."""
    import json

    from evonas import run_folder
    from evonas.compose import space_of
    from evonas.history import History
    from evonas.reports.result import result, write_result

    path = run_folder.find(run)
    history = History.read(path)
    space = space_of(history)
    try:
        write_result(history, space, path)
    except OSError as error:
        typer.echo(f"the plots cannot be written into {path}: {error.strerror}", err=True)
    if as_json:
        typer.echo(json.dumps(result(history, space), indent=2))
    else:
        _print_front(path, history)


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to explain, with its options.")] = None,
) -> None:
    """Show what ships: spaces, data, evaluators, strategies, predictors, supernets, pools, trackers; options of a NAME.

    An experiment names them by their import path ('use:'), and those of your own packages in the same way.
    """
    from rich.console import Console

    from evonas import catalogue

    Console().print(catalogue.explain(name) if name else catalogue.overview())


@app.command()
def check(file: File, overrides: Overrides = None) -> None:
    """Validate an experiment without running it: space, data, gates, a batch of training, and what a run will cost."""
    from rich.console import Console

    from evonas import config
    from evonas.check import report

    for line in report(config.load(file, overrides or [])):
        Console().print(line)


@app.command()
def plan(
    file: File,
    overrides: Overrides = None,
    workers: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", help="A number of workers to plan for; several may be given, each with its --workers."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON, and nothing else.")] = False,
) -> None:
    """Say what a search will take on several numbers of workers: time, GPU hours, disk, and what gates turn away.

    A few evaluations are rehearsed as a worker would, and the search is simulated. 'evonas run' compares, at its end,
    what it took with the plan.
    """
    import json

    from rich.console import Console

    from evonas import config, plan
    from evonas.rehearsal import room_here
    from evonas.reports import plan_table

    console, teller = Console(), Console(stderr=True, highlight=False)
    experiment = config.load(file, overrides or [])
    made = plan.make(experiment, workers or (), lambda line: teller.print(line, style="dim", markup=False))
    if as_json:
        typer.echo(json.dumps(made.plain(), indent=2))
        return
    own = made.forecast(made.workers, made.evaluations) or made.forecasts[0]
    console.print(plan_table.headline(made), markup=False, highlight=False, soft_wrap=True)
    console.print(plan_table.forecasts_table(made))
    if own.turned_away:
        console.print(plan_table.planned_gates_table(own))
    for line in plan_table.notes(made, plan.worthwhile(made), room_here(experiment)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def ui(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="The folder that holds the runs.")] = Path("runs"),
    port: Annotated[int, typer.Option(help="The port to serve on.")] = 5000,
    host: Annotated[
        str, typer.Option(help="The address to serve on; the default is this machine alone.")
    ] = "127.0.0.1",
) -> None:
    """Browse the runs of this machine in the MLflow UI."""
    from evonas.tracking.mlflow_store import ui_command, ui_environment

    command = ui_command(runs.absolute(), host=host, port=port)
    typer.echo(f"MLflow UI at http://{host}:{port}/ - Ctrl-C ends it")
    os.execve(command[0], command, {**os.environ, **ui_environment()})


@app.command()
def sync(run: Run = None, overrides: Overrides = None) -> None:
    """Send MLflow what it has missed of a run; what it has already is not sent twice."""
    from evonas import config, run_folder
    from evonas.compose import tracker_of
    from evonas.errors import ConfigError
    from evonas.history import History
    from evonas.tracking.mlflow import MLflow

    path = run_folder.find(run)
    history = History.read(path)
    history.config = config.parse(history.config, overrides or [], origin=str(path)).plain()
    tracker = tracker_of(history, path)
    if not isinstance(tracker, MLflow):
        raise ConfigError(f"{path} was run without MLflow: say tracking.use=evonas.tracking.mlflow:MLflow")
    with run_folder.locked(path):
        typer.echo(tracker.sync())
    typer.echo(tracker.link())


cli_predict.add_to(app)
cli_audit.add_to(app)
cli_jobs.add_to(app)
cli_convert.add_to(app)
cli_supernet.add_to(app)


def _watch(search: Search, path: Path) -> Sequence[Tracker]:
    """Say what is about to be searched, and show the progress on this terminal."""
    from rich.console import Console as Terminal

    from evonas.early_exit import joint_acceptance
    from evonas.tracking.console import Console

    terminal = Terminal()
    experiment = search.experiment
    terminal.print(
        f"[bold]{experiment.name}[/bold]: {search.space.size():,} genomes, run folder {path}", highlight=False
    )
    if search.gates:
        share = joint_acceptance(search.gates, search.sampled)
        gates = ", ".join(gate.name for gate in search.gates)
        terminal.print(f"gates: {gates} let {share:.1%} of uniform networks through", highlight=False)
    return [Console(evaluations=experiment.evaluations, space=search.space, console=terminal)]


@contextmanager
def _resumable(path: Path) -> Iterator[None]:
    """Turn an interrupt into a clean end, and say how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        from evonas.history import JOURNAL

        if (path / JOURNAL).exists():
            command = f"evonas resume {shlex.quote(str(path))}"
            typer.echo(f"\nInterrupted. Nothing finished is lost; continue with:\n\n    {command}\n")
        else:
            typer.echo("\nInterrupted before the search began.")
        sys.exit(INTERRUPTED)


def _print_end(path: Path, history: History) -> None:
    from evonas.compose import tracker_of

    _print_front(path, history)
    typer.echo(f"\n  evonas front {shlex.quote(str(path))}\n      prints this again")
    tracker = tracker_of(history, path)
    if tracker and (link := tracker.link()):
        typer.echo(
            f"  {link}\n      is its page in MLflow; 'evonas ui {path.parent}' serves what is kept on this machine"
        )


def _print_front(path: Path, history: History) -> None:
    from rich.console import Console

    from evonas.compose import space_of
    from evonas.plan import compared
    from evonas.reports.plan_table import comparison_table
    from evonas.reports.table import (
        audited,
        doubt,
        failures_table,
        fidelities_table,
        front_table,
        gates_table,
        reached,
        remarks,
        reused,
    )

    console = Console()
    console.print(front_table(history, space_of(history)))
    if history.header.gates:
        console.print(gates_table(history))
    if len(history.spent) > 1:
        console.print(fidelities_table(history))
    if history.failures:
        console.print(failures_table(history))
    evaluated = f"{len(history.evaluations)} networks evaluated"
    if words := reused(history):
        evaluated += f" ({words})"
    share = f" ({words})" if (words := reached(history)) else ""
    console.print(
        f"hypervolume {history.front.hypervolume:.6f}{share}, {evaluated} in {history.elapsed:.0f} s, "
        f"front {history.front.digest()}\nplots: {path / 'front.html'}, {path / 'front.png'}",
        highlight=False,
        soft_wrap=True,
    )
    if words := remarks(history):
        console.print(f"strategy: {words}", highlight=False, soft_wrap=True)
    if history.audit:
        finding = history.audit.finding()
        console.print(f"audit: {audited(finding)}", highlight=False, soft_wrap=True)
        if words := doubt(finding):
            console.print(f"warning: {words}", style="bold yellow", highlight=False, soft_wrap=True)
    if rows := compared(path, history):
        console.print(comparison_table(rows))


def _print_error(error: EvonasError) -> None:
    from rich.console import Console

    console = Console(stderr=True)
    console.print("[bold red]error:[/bold red]", end=" ")
    console.print(str(error), markup=False, highlight=False, soft_wrap=True)
