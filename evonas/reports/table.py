"""The tables of a search for a terminal: its front, what its gates saved, what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evonas.early_exit import receipt
from evonas.evaluation import Candidate, Source
from evonas.history import History
from evonas.live_audit import Finding
from evonas.pareto import ParetoFront
from evonas.space import SearchSpace

if TYPE_CHECKING:
    from rich.table import Table

NAMED_GENES = 4
"""Up to so many genes that differ are shown by name; of more, the values alone."""

ESTIMATES = frozenset({Source.INHERITED, Source.PREDICTED, Source.ZERO_COST})
"""Sources of numbers that are not those of the networks as they would be trained."""


def remarks(history: History) -> str:
    """Return what the strategy said of the search at its end, "" if nothing."""
    return ", ".join(f"{name.replace('_', ' ')} {readable(value)}" for name, value in history.remarks.items())


def front_table(history: History, space: SearchSpace, limit: int | None = None) -> Table:
    """Return the front, best first objective first, with what all rows have in common named once below it.

    Numbers that nobody measured, such as predictions, are told by their source.
    With a `limit` the rows are spread along the front, the knee and both ends among them, and genes are cut to fit.
    """
    from rich.table import Table
    from rich.text import Text

    front = history.front
    cut = limit is not None
    metrics = front.goals.metrics
    shown = _spread(front, limit)
    genes = [space.describe(front.members[row].candidate.genome) for row in shown]
    shared = dict(set.intersection(*(set(described.items()) for described in genes))) if len(genes) > 1 else {}
    own = [{name: value for name, value in described.items() if name not in shared} for described in genes]
    bare = len({tuple(row) for row in own}) == 1 and len(own[0]) > NAMED_GENES
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    table.add_column("id", justify="right", no_wrap=True)
    for metric in metrics:
        table.add_column(Text(metric), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    estimated = any(member.source in ESTIMATES for member in front.members)
    if estimated:
        table.add_column("source", no_wrap=True)
    table.add_column("genes")
    for row, differing in zip(shown, own, strict=True):
        member = front.members[row]
        knee = member is front.knee
        values = [readable(member.metrics[metric]) for metric in metrics]
        source = (member.source,) if estimated else ()
        cells = [Text(cell) for cell in (str(member.candidate.id), *values, "knee" if knee else "", *source)]
        chosen = Text(" ".join(differing.values()) if bare else _listed(differing), no_wrap=cut, overflow="ellipsis")
        table.add_row(*cells, chosen, style="bold yellow" if knee else "")
    notes = [] if front.members else ["the front is empty: no candidate that meets the constraints was evaluated"]
    notes += [f"{len(front.members) - len(shown):,} more"] if len(shown) < len(front.members) else []
    notes += [f"all have {_listed({name: genes[0][name] for name in genes[0] if name in shared})}"] if shared else []
    notes += [f"genes: {' '.join(own[0])}"] if bare else []
    if notes:
        table.caption = Text("; ".join(notes), style="dim", no_wrap=cut, overflow="ellipsis")
    return table


def gates_table(history: History) -> Table:
    """Return what each gate turned away, and the time that this is estimated to have saved."""
    from rich.table import Table
    from rich.text import Text

    table = Table("gate", box=None, pad_edge=False, header_style="bold")
    table.add_column("turned away", justify="right")
    table.add_column("saved, estimated", justify="right")
    for name, row in receipt(history).items():
        table.add_row(Text(name), readable(row["turned_away"]), duration(row["estimated_seconds_saved"]))
    return table


def fidelities_table(history: History) -> Table:
    """Return what was evaluated at each fidelity, and what it cost."""
    from rich.table import Table

    table = Table("fidelity", box=None, pad_edge=False, header_style="bold")
    table.add_column("evaluated", justify="right")
    table.add_column("took", justify="right")
    for fidelity, spent in history.spent.items():
        table.add_row(str(fidelity), f"{spent.evaluations:,}", duration(spent.seconds))
    return table


def failures_table(history: History) -> Table:
    """Return how many candidates failed in each way, with the last line of the first reason."""
    from rich.table import Table
    from rich.text import Text

    table = Table("failure", box=None, pad_edge=False, header_style="bold")
    table.add_column("count", justify="right")
    table.add_column("first reason", overflow="fold")
    failures = history.failures
    for kind, count in Counter(failure.kind for failure in failures).most_common():
        first = next(failure for failure in failures if failure.kind == kind)
        table.add_row(str(kind), f"{count:,}", Text(f"{_called(first.candidate)}: {last_line(first.reason)}"))
    return table


def reused(history: History) -> str | None:
    """Return how many of the evaluations a cache had; None if there were none."""
    return f"{history.reused:,} of {len(history.evaluations):,} reused from the cache" if history.reused else None


def fidelities(history: History) -> str | None:
    """Return how many evaluations each fidelity had; None if there is but one."""
    counts = [f"{spent.evaluations:,} {fidelity}" for fidelity, spent in history.spent.items()]
    return f"evaluated: {'; '.join(counts)}" if len(counts) > 1 else None


def audited(finding: Finding) -> str:
    """Return how the values of a search order the networks that were audited while it ran."""
    tau = finding.tau
    words = f"tau {tau.value:.2f} ({tau.low:.2f} to {tau.high:.2f})" if tau else "tau not known yet"
    failed = f", {finding.failed:,} audits failed" if finding.failed else ""
    return f"{words}, {finding.audited:,} audited{failed}"


def doubt(finding: Finding) -> str | None:
    """Return why the values of a search are not to be trusted; None if nothing says so."""
    if not finding.doubtful:
        return None
    tau, networks = finding.tau, f"after {finding.audited:,} audited networks"
    seen = (
        "all values are alike"
        if tau is None
        else f"the interval of tau {'includes' if tau.high >= 0 else 'is below'} 0"
    )
    return f"{seen} {networks}: it is not known that {finding.source} values of {finding.metric} order networks at all"


def reached(history: History) -> str | None:
    """Return which share of the hypervolume of the true front was reached; None where that is not known."""
    share = history.share_reached
    return None if share is None else f"{100 * share:.2f} % of the hypervolume of the true front"


def readable(value: float) -> str:
    """Return a number for people: whole numbers with separators, others with four significant digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e15 else f"{value:#.4g}".rstrip(".")


def duration(seconds: float) -> str:
    """Return a time span for people: `12.3 s`, `3m 05s`, `2h 10m`, `3d 04h`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes}m {round(seconds) % 60:02}s"
    hours = minutes // 60
    return f"{hours}h {minutes % 60:02}m" if hours < 24 else f"{hours // 24}d {hours % 24:02}h"


def last_line(reason: str) -> str:
    """Return the last line of a failure's reason that says something, free of colours and control characters."""
    from rich.text import Text

    for line in reversed(reason.splitlines()):
        plain = "".join(sign for sign in Text.from_ansi(line).plain if sign.isprintable()).strip()
        if plain:
            return plain
    return "no reason was given"


def _called(candidate: Candidate) -> str:
    """Return the name of a candidate, and where it was to be measured if that is not the top."""
    lower = [] if candidate.source is None else [str(candidate.source)]
    lower += [] if candidate.budget is None else [f"budget {candidate.budget}"]
    return f"candidate {candidate.id}" + (f" ({', '.join(lower)})" if lower else "")


def _listed(genes: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in genes.items())


def _spread(front: ParetoFront, limit: int | None) -> list[int]:
    """Choose `limit` rows evenly along the front, its ends and its knee among them."""
    count = len(front.members)
    if limit is None or count <= limit:
        return list(range(count))
    chosen = {round(i * (count - 1) / max(1, limit - 1)) for i in range(max(1, limit))}
    knee = next(row for row, member in enumerate(front.members) if member is front.knee)
    if knee not in chosen:
        chosen.remove(min(sorted(chosen)[1:-1] or chosen, key=lambda row: abs(row - knee)))
    return sorted(chosen | {knee})
