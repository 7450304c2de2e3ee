"""The command for supernets: `evonas supernet`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from evonas.supernet_folder import EpochRecord
    from evonas.supernet_run import Prepared
    from evonas.tracking.training import TrainingTracker

INTERRUPTED = 130


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(supernet)


def supernet(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A supernet's file, e.g. experiments/supernet_fashion.yaml.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE ...", help="Values that replace the file's, e.g. recipe.epochs=10 seed=3."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--run", help="The folder to make; a new one under runs/ when left out.")
    ] = None,
    again: Annotated[bool, typer.Option("--resume", help="Go on if the folder holds this training already.")] = False,
) -> None:
    """Train a supernet: the networks of a space on shared weights, which searches inherit.

    A checkpoint is kept after every epoch. Ctrl-C ends a training cleanly, and --resume goes on, also after a crash, as
    if nothing had been. docs/supernets.md tells what is written and how searches use it.
    """
    from rich.console import Console

    from evonas import config_supernet, run_folder, supernet_run
    from evonas.errors import ConfigError
    from evonas.supernet_folder import read_progress

    if again and folder is None:
        raise ConfigError("--resume needs the folder to continue: name it with --run")
    experiment = config_supernet.load(file, overrides or [])
    path = folder or run_folder.new_path(experiment.runs, experiment.name)
    try:
        train = supernet_run.run_or_resume if again else supernet_run.run
        trackers = train(experiment, path, _watch)
    except KeyboardInterrupt:
        _print_interrupted(path, [str(file), *(overrides or [])])
        sys.exit(INTERRUPTED)
    console = Console()
    console.print(_table(read_progress(path)[-1]))
    typer.echo(
        f"the supernet is in {path}; a search inherits its weights with\n\n"
        f"    evonas run EXPERIMENT evaluator.use=evonas.workers.inherited:Inherited "
        f"evaluator.supernet={shlex.quote(str(path))}\n"
    )
    for link in filter(None, (tracker.link() for tracker in trackers)):
        typer.echo(f"  {link}\n      is its page in MLflow; 'evonas ui {path.parent}' serves what is kept here")


def _watch(prepared: Prepared, path: Path) -> Sequence[TrainingTracker]:
    """Say what is about to be trained, and show the progress on this terminal."""
    from rich.console import Console

    from evonas.tracking.training_console import TrainingConsole

    console, experiment = Console(), prepared.experiment
    method = experiment.method.use.partition(":")[2]
    console.print(
        f"[bold]{experiment.name}[/bold]: {prepared.space.size():,} subnets by {method}, "
        f"{len(prepared.data.train):,} examples, folder {path}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return [TrainingConsole(console, experiment.recipe["epochs"])]


def _print_interrupted(path: Path, words: Sequence[str]) -> None:
    from evonas.supernet_folder import HEADER, read_progress

    if not (path / HEADER).exists():
        typer.echo("\nInterrupted before the training began.")
        return
    command = shlex.join(["evonas", "supernet", *words, "--run", str(path), "--resume"])
    typer.echo(f"\nInterrupted. {len(read_progress(path))} epochs are kept; continue with:\n\n    {command}\n")


def _table(record: EpochRecord) -> Table:
    """Return what the last epoch came to."""
    from rich.table import Table

    table = Table(title=f"after {record.epoch} epochs, {record.seconds:.0f} s, loss {record.train_loss:.3f}")
    table.add_column("subnet")
    table.add_column("valid_error", justify="right")
    for name, error in record.valid_errors.items():
        table.add_row(name, "not finite" if error is None else f"{error:.4f}")
    return table
