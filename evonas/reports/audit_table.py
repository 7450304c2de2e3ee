"""What an audit has come to, for a terminal: whether the order was right, what the front is worth, and beside what."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING

from evonas.agreement import LEVEL, Interval
from evonas.reports.table import duration, readable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from evonas.audit import Audit
    from evonas.verdict import Against, Verdict

WIDTH = 120
"""Columns of the text that is kept."""


def report(audit: Audit) -> Iterator[RenderableType]:
    """Yield lines and tables, from how the networks were trained to what follows."""
    from rich.text import Text

    yield Text(_headline(audit))
    for note in audit.auditor.notes:
        yield Text(note, style="dim")
    yield ""
    yield trust_table(audit)
    yield ""
    yield members_table(audit)
    yield ""
    yield findings_table(audit)
    for line in warnings(audit):
        yield Text(f"warning: {line}", style="bold yellow")


def text(audit: Audit) -> str:
    """Return the report as plain text."""
    from rich.console import Console

    console = Console(file=StringIO(), width=WIDTH, no_color=True, highlight=False)
    for part in report(audit):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def trust_table(audit: Audit) -> Table:
    """Return how each source of values orders networks, over the sample and over the front."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for column in ("source", "metric", "among"):
        table.add_column(column, overflow="fold")  # names give way on a narrow terminal, numbers do not
    for column in ("networks", "tau", "95 %", "Spearman", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for trust in audit.verdict.trusts:
        rung = f"{trust.source}, {trust.budget} epochs" if trust.budget else str(trust.source)
        cells = [Text(cell) for cell in (rung, trust.metric, f"the {trust.among}")]
        if (found := trust.agreement) is None:
            table.add_row(*cells, "", "too few, or all alike")
        else:
            table.add_row(*cells, f"{found.networks}", *_cells(found.kendall_tau), *_cells(found.spearman))
    table.caption = Text(
        "tau: Kendall's; the sample stands for all that was evaluated, the front is harder to order", style="dim"
    )
    return table


def members_table(audit: Audit) -> Table:
    """Return the chosen front: what the search took it for, what training says, and how sure that is."""
    from rich.table import Table
    from rich.text import Text

    verdict = audit.verdict
    measured = [searched.metric for searched, _ in audit.auditor.pairs]
    trained = list(dict.fromkeys(true.metric for _, true in audit.auditor.pairs))
    shared = [name for name in (verdict.members[0].searched if verdict.members else ()) if name not in measured]
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    columns = ["id", *(f"{name}, searched" for name in measured), *(f"{name}, trained" for name in trained), *shared]
    certain = any(member.probability is not None for member in verdict.members)
    for column in [*columns, "regret", *(["on the front"] if certain else [])]:
        table.add_column(Text(column), justify="right")
    for member in verdict.members:
        values = ["failed"] * len(trained)
        if member.trained is not None:
            values = [readable(member.trained[name]) for name in trained]
        cells = [str(member.id), *(readable(member.searched[name]) for name in measured), *values]
        cells += [readable(member.searched[name]) for name in shared]
        cells.append("" if member.regret is None else readable(member.regret) if member.regret > 0 else "-")
        if certain:
            cells.append("" if member.probability is None else f"{member.probability:.0%}")
        table.add_row(*cells)
    words = f"regret: another network of the audit, no worse otherwise, has so much less {trained[0]}"
    words += f"; on the front: probability over {audit.repeats} seeds, of the expected values" if certain else ""
    table.caption = Text(words, style="dim")
    return table


def _headline(audit: Audit) -> str:
    failed = f", {audit.failed:,} failed" if audit.failed else ""
    repeated = f", {audit.repeated:,} of them with {audit.repeats} seeds" if audit.repeated else ""
    return (
        f"{audit.run}: {audit.trained:,} networks{repeated}{failed}, {duration(audit.seconds)} of evaluations by "
        f"{audit.auditor.experiment.evaluator.use}"
    )


def findings_table(audit: Audit) -> Table:
    """Return what follows for the chosen front: its worth and regret, and what random networks reach."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False, caption_justify="left")
    table.caption = Text(
        "the same time: as the run's evaluations took, without the training of a supernet or predictor", style="dim"
    )
    table.add_column(no_wrap=True)
    table.add_column()
    verdict = audit.verdict
    regret = verdict.best - verdict.chosen
    share = f", {regret / verdict.best:.1%}" if verdict.best > 0 else ""
    table.add_row("hypervolume of the front, trained", f"{verdict.chosen:.4f}")
    if (expected := verdict.chosen_interval) is not None:
        table.add_row(f"  expected, {audit.repeats} seeds", f"{expected.value:.4f} ({_bounds(expected, 4)})")
    table.add_row("best of the run that was trained", f"{verdict.best:.4f}: regret {regret:.4f}{share}")
    if verdict.same_size is not None:
        table.add_row("as many random networks", _against(verdict.same_size))
    table.add_row("random search in the same time", _same_time(verdict))
    if verdict.improvement is not None:
        over = f"{verdict.improvement.value:+.2f} % ({_bounds(verdict.improvement, 2)})"
        of_best = verdict.improvement_of_best
        first = "" if of_best is None else f"; its first member: {of_best:+.2f} %"
        table.add_row("mean accuracy over random (RI)", over + first)
    return table


def warnings(audit: Audit) -> Iterator[str]:
    """Yield what speaks against trusting the run."""
    for trust in audit.verdict.trusts:
        if trust.among == "sample" and trust.agreement and trust.agreement.kendall_tau.includes(0.0):
            yield (
                f"the interval of tau includes 0: it is not known that {trust.source} values of {trust.metric} order "
                f"networks at all"
            )
    for against in (audit.verdict.same_size, audit.verdict.same_time):
        if against is not None and against.share_beaten < LEVEL:
            yield (
                f"{1 - against.share_beaten:.0%} of sets of {against.networks:,} random networks are as good as "
                f"{against.members} of the chosen front"
            )


def _same_time(verdict: Verdict) -> str:
    if verdict.same_time is not None:
        return _against(verdict.same_time)
    affordable = verdict.affordable
    took = f"{duration(verdict.search_seconds)} of search, {verdict.training_seconds:.2g} s a training"
    if affordable == 0:
        return f"would not have trained one network ({took})"
    return f"not known: it would have trained {affordable:,} ({took}), say --random {2 * affordable}"


def _against(against: Against) -> str:
    return (
        f"{against.networks:,} have {against.random.value:.4f} ({_bounds(against.random, 4)}), {against.members} of "
        f"the front {against.front:.4f}: more than {against.share_beaten:.0%}"
    )


def _cells(interval: Interval) -> tuple[str, str]:
    return f"{interval.value:.3f}", _bounds(interval, 3)


def _bounds(interval: Interval, digits: int) -> str:
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
