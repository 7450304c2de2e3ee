"""The command for predictors: `evonas predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evonas.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(predict)


def predict(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE", help="A run folder, a table (.csv, .parquet) or an experiment on one; the newest run."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE ...", help="predictor.KEY=VALUE, or values that replace an experiment's."),
    ] = None,
    predictor: Annotated[
        str, typer.Option(metavar="NAME", help="auto, ridge, gp, ..., or the import path of your own.")
    ] = "auto",
    target: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="What to predict; a run's first measured objective if left out."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Train on N random networks, and score on the others too.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the rows and the folds, and seeds the predictor.")] = 0,
    beside: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="COLUMN", help="A measured column that is known beforehand (repeat)."),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Score all predictors that ship.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.safetensors", help="Keep the predictor, for searches to ask.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON, and nothing else.")] = False,
    maximize: Annotated[
        bool | None, typer.Option("--maximize/--minimize", help="Which way the target is better, if not as it is said.")
    ] = None,
    genes: Annotated[str | None, typer.Option(metavar="A,B,...", help="Columns of a table that are genes.")] = None,
    categorical: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Genes of a table whose numbers are codes, without an order.")
    ] = None,
    costs: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns of a table that are static costs.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns of a table that are measured.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of a table in which architectures are written.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="How they are read: a regular expression, a group for each gene."),
    ] = None,
) -> None:
    """Fit a predictor to measured networks, and say how well it does on others.

    Kendall's tau and Spearman's rank correlation say how it orders networks, RMSE how far off it is, and the shares
    inside its 50, 80 and 95 % intervals if it knows how far. What --save keeps, a search asks with
    'evonas run FILE evaluator.use=evonas.workers.predicted:Predicted evaluator.models=[FILE.safetensors]'.
    """
    import json

    from rich.console import Console

    from evonas import predict, run_folder, saved_predictor
    from evonas.errors import EvonasError
    from evonas.measurements import Columns, measurements
    from evonas.reports import predict_table
    from evonas.shipped_predictors import named, shipped

    if save is not None:
        saved_predictor.check_name(save)
    if source is not None and "=" in str(source) and not source.exists():  # the newest run, and an override
        source, overrides = None, [str(source), *(overrides or [])]
    own, experiments = _sorted(overrides or [])
    component = named(predictor, own)
    columns = Columns(_list(genes), _list(costs), _list(metrics), architecture, pattern, _list(categorical) or ())
    wanted = [name for name in [target, *(beside or [])] if name is not None]
    measured = measurements(source or run_folder.find(None), columns, wanted, experiments)
    problem = predict.problem(measured, target, rows=rows, seed=seed, beside=beside or [], maximize=maximize)
    assessment, fitted = predict.assess(problem, component)
    assessed: dict[str, predict.Assessment | EvonasError] = {predictor: assessment}
    for name, other in shipped().items() if compare else ():
        if other.use != component.use:
            try:
                assessed[name] = predict.assess(problem, named(name))[0]
            except EvonasError as error:  # a package that is not installed
                assessed[name] = error
    if save is not None:
        saved_predictor.save(predict.to_save(problem, assessment, fitted), save)
    if as_json:
        typer.echo(json.dumps(predict.plain(problem, assessed), indent=2))
        return
    console = Console()
    for line in predict_table.headline(problem):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(predict_table.scores_table(assessed))
    if save is not None:
        typer.echo(f"saved as {save}")


def _sorted(overrides: list[str]) -> tuple[dict[str, object], list[str]]:
    """Return the options of the predictor, and the overrides of an experiment."""
    from evonas.config_text import apply_overrides

    own = [override for override in overrides if override.startswith("predictor.")]
    values: dict[str, dict[str, object]] = {"predictor": {}}
    apply_overrides(values, own)
    return values["predictor"], [override for override in overrides if override not in own]


def _list(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"columns are named with commas between them, as in a,b,c, and not as in '{text}'")
    return names
