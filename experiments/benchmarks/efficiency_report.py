"""Shows summaries: a table for the terminal, one for a document, a CSV and the curves."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from efficiency_problems import Problem
from efficiency_rivals import RIVALS
from efficiency_summary import BUDGETS, Summary
from rich.table import Table

CAPTION = (
    "share of the true front's hypervolume after so many evaluations, %, and 95 % interval of the mean; "
    "evaluations for a share, median, and seeds that did not reach it"
)
BASELINE = "random search"
DRAWN_FROM = 20
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


def table(problem: Problem, summaries: Sequence[Summary]) -> Table:
    """Return the table of a problem, best first."""
    shown = Table(title=problem.title, caption=CAPTION)
    shown.add_column("", no_wrap=True)
    for heading in _headings(summaries):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in summaries:
        shown.add_row(row.contestant, *_cells(row, "\n"))
    return shown


def markdown(problem: Problem, summaries: Sequence[Summary]) -> str:
    """Return the same table as Markdown."""
    headings = ["", *_headings(summaries)]
    lines = [f"| {' | '.join(headings)} |", f"|---{'|--:' * (len(headings) - 1)}|"]
    lines += [f"| {' | '.join([row.contestant, *_cells(row, '<br>')])} |" for row in summaries]
    return "\n".join([f"### {problem.title}", "", *lines, ""])


def write(folder: Path, problems: Sequence[Problem], summaries: Sequence[Sequence[Summary]]) -> None:
    """Write `summary.csv`, `summary.json` and `tables.md`."""
    rows = [summary.plain() for of_problem in summaries for summary in of_problem]
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "summary.json").write_text(json.dumps(rows, indent=1))
    (folder / "tables.md").write_text(_tables(problems, summaries))


def fill_in(document: Path, problems: Sequence[Problem], summaries: Sequence[Sequence[Summary]]) -> None:
    """Replace the tables of a document, which stand between two comments."""
    before, rest = document.read_text().split(BEGIN)
    after = rest.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n\n{_tables(problems, summaries)}\n{END}{after}")


def draw(path: Path, problems: Sequence[Problem], summaries: Sequence[Sequence[Summary]]) -> None:
    """Draw what is missing of the true front's hypervolume against evaluations, a panel for each problem.

    Rivals are dashed; a contestant has one colour in all panels.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    columns = min(2, len(problems))
    figure, panels = pyplot.subplots(-(-len(problems) // columns), columns, squeeze=False, layout="constrained")
    figure.set_size_inches(7.5 * columns, 5.5 * len(panels) + 1.2)
    names = list(dict.fromkeys(row.contestant for of_problem in summaries for row in of_problem))
    strong_first = [*range(0, 20, 2), *range(1, 20, 2)]
    colours = dict(zip(names, pyplot.colormaps["tab20"](strong_first), strict=False))
    drawn = {}
    for panel, problem, of_problem in zip(panels.flat, problems, summaries, strict=False):
        for row in of_problem:
            drawn[row.contestant], *_ = panel.plot(
                range(DRAWN_FROM, len(row.curve) + 1),
                1 - row.curve[DRAWN_FROM - 1 :],
                "--" if row.contestant in RIVALS else "-",
                color="black" if row.contestant == BASELINE else colours[row.contestant],
                label=row.contestant,
            )
        panel.set(title=problem.title, xscale="log", yscale="log", xlim=(DRAWN_FROM, len(of_problem[0].curve)))
        panel.set(xlabel="evaluations", ylabel="missing of the true front's hypervolume, mean")
        panel.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.grid(alpha=0.3)
    for panel in panels.flat[len(problems) :]:
        panel.remove()
    figure.legend([drawn[name] for name in names], names, loc="outside lower center", ncols=5, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _tables(problems: Sequence[Problem], summaries: Sequence[Sequence[Summary]]) -> str:
    return "\n".join(markdown(problem, rows) for problem, rows in zip(problems, summaries, strict=True))


def _headings(summaries: Sequence[Summary]) -> list[str]:
    first = summaries[0]
    budgets = [f"{share.evaluations}" for share in first.shares]
    targets = [f"for {needed.share:.0%}" for needed in first.needed]
    return [*budgets, *targets, "CPU s", "seeds"]


def _cells(row: Summary, break_: str) -> list[str]:
    """Return the cells of a row; intervals and missed seeds stand below, after a break."""
    shares = [f"{100 * s.mean:.2f}{break_}{100 * s.low:.2f}-{100 * s.high:.2f}" for s in row.shares]
    needed = [
        ("-" if n.median is None else f"{n.median:.0f}") + (f"{break_}{n.not_reached} not" if n.not_reached else "")
        for n in row.needed
    ]
    return [*shares, *needed, f"{row.seconds:.1f}", str(row.seeds)]
