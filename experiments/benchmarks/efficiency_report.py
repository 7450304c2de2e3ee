"""Shows summaries: a table for the terminal, one for a document, a CSV and the curves."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from efficiency_problems import Problem
from efficiency_summary import Summary
from rich.table import Table

CAPTION = (
    "share of the true front's hypervolume after so many evaluations, %, and 95 % interval of the mean; "
    "evaluations for a share, median, and seeds that did not reach it"
)


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
    shown = [markdown(problem, of_problem) for problem, of_problem in zip(problems, summaries, strict=True)]
    (folder / "tables.md").write_text("\n".join(shown))


def draw(path: Path, problems: Sequence[Problem], summaries: Sequence[Sequence[Summary]]) -> None:
    """Draw what is missing of the true front's hypervolume against evaluations, a panel for each problem."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    figure, panels = pyplot.subplots(1, len(problems), figsize=(6.2 * len(problems), 6.4), squeeze=False)
    names = sorted({row.contestant for of_problem in summaries for row in of_problem})
    places = {name: [row.contestant for row in summaries[0]].index(name) for name in names}
    colours = pyplot.get_cmap("tab20").colors
    for panel, problem, of_problem in zip(panels[0], problems, summaries, strict=True):
        for row in of_problem:
            evaluations = range(1, len(row.curve) + 1)
            place = places[row.contestant]
            line = "-" if place % 2 == 0 else "--"
            panel.plot(evaluations, 1 - row.curve, line, color=colours[place % 20], label=row.contestant, linewidth=1.6)
        panel.set_title(problem.title, fontsize=10)
        panel.set(xscale="log", yscale="log", xlim=(15, len(of_problem[0].curve)), xlabel="evaluations")
        panel.set_xticks([25, 50, 100, 200, 400], ["25", "50", "100", "200", "400"])
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1%}"))
        panel.grid(alpha=0.3, which="both")
    panels[0][0].set_ylabel("missing of the true front's hypervolume (mean of seeds)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


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
