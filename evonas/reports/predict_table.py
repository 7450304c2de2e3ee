"""What is known of predictors, for a terminal: how well they order, how far off they are, and whether they know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from evonas.errors import EvonasError
from evonas.reports.table import readable

if TYPE_CHECKING:
    from rich.table import Table

    from evonas.predict import Assessment, Problem, Scores


def headline(problem: Problem) -> Iterator[str]:
    """Yield what is predicted of which networks, from what."""
    target, targets = problem.target, problem.targets
    better = "more" if target.maximize else "less"
    others = f", scored on {len(problem.others):,} others too" if len(problem.others) else ""
    yield (
        f"{problem.measured.source}: {target.name} of {len(problem.training):,} networks{others}, "
        f"{readable(targets.min())} to {readable(targets.max())}, {better} is better"
    )
    yield f"from {len(problem.encoding.sizes)} genes{''.join(f', {name}' for name in problem.encoding.names)}"
    yield from problem.notes


def scores_table(assessed: Mapping[str, Assessment | EvonasError]) -> Table:
    """Return a row for each predictor across folds, and one on the rows beyond them if there are any."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("predictor", no_wrap=True)
    table.add_column("scored on", no_wrap=True)
    for column in ("tau", "Spearman", "RMSE", "50 %", "80 %", "95 %", "fit", "10,000"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, assessment in assessed.items():
        if isinstance(assessment, EvonasError):
            table.add_row(name, Text(str(assessment), overflow="fold", no_wrap=False))
            continue
        times = f"{assessment.fit_seconds:.2f} s", f"{1e4 * assessment.predict_seconds_each:.2f} s"
        table.add_row(name.rpartition(":")[2], "folds", *_cells(assessment.cross_validated), *times)
        if assessment.held_out is not None:
            table.add_row("", "others", *_cells(assessment.held_out), "", "")
    table.caption = Text(
        "tau: Kendall's; 50 %, 80 %, 95 %: the share of values inside such an interval; fit: learning from all rows; "
        "10,000: predicting so many networks", style="dim",
    )  # fmt: skip
    table.caption_justify = "left"
    return table


def _cells(scores: Scores) -> tuple[str, ...]:
    inside = (f"{share:.0%}" for share in scores.inside.values())
    return f"{scores.kendall_tau:.3f}", f"{scores.spearman:.3f}", readable(scores.rmse), *inside
