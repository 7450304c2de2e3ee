"""The commands `evonas convert FORMAT SOURCE TARGET`, which make tables of official benchmark files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evonas.convert.base import Converted, Tell

Target = Annotated[Path, typer.Argument(metavar="TARGET.parquet", help="The table to write.")]
Epochs = Annotated[int, typer.Option(metavar="N", help="How long the networks were trained.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    commands = typer.Typer(
        name="convert",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        help="""Make a table of the official files of a benchmark, and print an experiment that searches it.

        Foreign pickles are read without running any code in them. docs/convert.md tells what the tables hold.
        """,
    )
    for name, command in (
        ("nats-bench", nats_bench),
        ("nas-bench-201", nas_bench_201),
        ("nas-bench-101", nas_bench_101),
        ("nas-bench-graph", nas_bench_graph),
    ):
        commands.command(name)(command)
    app.add_typer(commands)


def nats_bench(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="NATS-tss-v1_0-3ffb9.pickle.pbz2, or the folder ...-simple.")
    ],
    target: Target,
    epochs: Epochs = 200,
) -> None:
    """Convert the topology search space of NATS-Bench: 15,625 cells, trained for 12 or 200 epochs on three data sets.

    The folder needs far less memory than the file.
    """
    from evonas.convert import nats_bench

    _convert(lambda tell: nats_bench.convert(source, epochs, tell), target)


def nas_bench_201(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="NAS-Bench-201-v1_1-096897.pth, or v1_0.")],
    target: Target,
    epochs: Epochs = 200,
) -> None:
    """Convert NAS-Bench-201: 15,625 cells, trained for 12 or 200 epochs on three data sets."""
    from evonas.convert import nasbench201

    _convert(lambda tell: nasbench201.convert(source, epochs, tell), target)


def nas_bench_101(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="nasbench_only108.tfrecord, or nasbench_full.tfrecord.")
    ],
    target: Target,
    epochs: Epochs = 108,
) -> None:
    """Convert NAS-Bench-101: 423,624 graphs, trained for 4, 12, 36 or 108 epochs on CIFAR-10."""
    from evonas.convert import nasbench101

    _convert(lambda tell: nasbench101.convert(source, epochs, tell), target)


def nas_bench_graph(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file such as cora.bench, or the folder 'light' of all nine.")
    ],
    target: Target,
) -> None:
    """Convert NAS-Bench-Graph: 26,206 graph networks on nine data sets, as the package nas_bench_graph has them."""
    from evonas.convert import nasbench_graph

    _convert(lambda tell: nasbench_graph.convert(source, tell), target)


def _convert(convert: Callable[[Tell], Converted], target: Path) -> None:
    """Convert and write, with a progress bar, then say what was made and how to search it."""
    from rich.console import Console
    from rich.progress import Progress

    from evonas.convert.base import check_target, write

    check_target(target)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=1.0)
        converted = convert(lambda share: progress.update(task, completed=share))
    write(converted, target)
    typer.echo(f"{target}: {len(converted):,} networks, columns {', '.join(converted.columns)}", err=True)
    typer.echo(
        "What follows is an experiment that searches it: > experiment.yaml keeps it for 'evonas run'\n", err=True
    )
    typer.echo(converted.experiment.replace("FILE", str(target.absolute())), nl=False)
