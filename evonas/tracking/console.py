"""The tracker that shows a search on the terminal, or as plain lines in a log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evonas.evaluation import Evaluation, Failure, Outcome, Rejection
from evonas.history import Generation, History
from evonas.live_audit import Finding
from evonas.pareto import ParetoFront
from evonas.reports.table import audited, doubt, duration, fidelities, front_table, last_line, reached, readable, reused
from evonas.space import SearchSpace
from evonas.tracking.base import Tracker

if TYPE_CHECKING:
    from rich.console import Console as Terminal
    from rich.console import RenderableType
    from rich.live import Live

LINE_SECONDS = 10.0
"""The least time between two lines in a log, those of generations aside."""

RECENT = 64
"""Outcomes from which the rate is taken."""

FRONT_ROWS = 8
BARS = "▁▂▃▄▅▆▇█"
GENERATIONS_SHOWN = 24
ENDINGS = {
    "budget": "finished",
    "exhausted": "finished, no new candidate is left,",
    "plateau": "finished, the hypervolume no longer grows,",
    "failures": "stopped by failures",
}


@contextmanager
def while_read(terminal: Terminal) -> Iterator[None]:
    """Go on after a broken pipe: rich makes itself quiet, sends what is still printed to nowhere, and exits."""
    try:
        yield
    except SystemExit:
        if not terminal.quiet:
            raise


class Console(Tracker):
    """Shows generation, budget, hypervolume, rate, time left and the front: a live panel, or a line a generation.

    `evaluations` is the budget: how many candidates get an outcome. `live` is decided by whether `console` writes to
    a terminal. A thread of rich's draws the panel; it reads only the latest `_State`, and the front, both immutable.
    When nobody reads any more (`evonas run ... | head`), it falls silent.
    """

    def __init__(
        self, *, space: SearchSpace, evaluations: int, console: Terminal | None = None, live: bool | None = None
    ) -> None:
        from rich.console import Console as Terminal

        self._space = space
        self._budget = evaluations
        self._terminal = console or Terminal()
        self._live_wanted = self._terminal.is_interactive and self._terminal.file.isatty() if live is None else live
        self._live: Live | None = None
        self._failure_shown = False
        self._last_line = 0.0

    def started(self, history: History) -> None:
        """Show where the search stands, and measure the rate from here."""
        self._history = history
        self._state = _State.of(history)
        self._pace = _Pace(history.elapsed)
        self._say(f"resumed at {self._progress()}" if self._state.done else f"started: {self._budget:,} to evaluate")
        if self._live_wanted:
            from rich.live import Live

            self._live = Live(console=self._terminal, get_renderable=self._panel, transient=True)
            with while_read(self._terminal):
                self._live.start()
        self._warn(doubted=False)

    def outcome(self, history: History, outcome: Outcome) -> None:
        """Count an outcome; the first failure is shown at once, because it may be a bug."""
        self._pace.count()
        doubted = self._state.doubtful
        self._state = self._state.after(history, outcome)
        self._warn(doubted)
        if isinstance(outcome, Failure) and not self._failure_shown:
            self._failure_shown = True
            self._say(f"first failure, candidate {outcome.candidate.id} ({outcome.kind}): {last_line(outcome.reason)}")
        elif not self._live and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._say(self._progress())

    def generation(self, history: History, generation: Generation) -> None:
        """Show what a generation has come to."""
        self._state = self._state.with_generation(generation)
        if not self._live:
            self._say(f"generation {generation.number}: {self._progress(gain=self._state.gain)}")

    def closed(self, history: History) -> None:
        """Give the cursor back and say how the search ended."""
        if self._live:
            with while_read(self._terminal):
                self._live.stop()
            self._live = None
        self._state = _State.of(history)
        ending = ENDINGS.get(history.closed, history.closed) if history.closed else "not finished"
        words = [*self._standing(), *filter(None, [reached(history), fidelities(history), reused(history)])]
        self._say(f"{ending} after {duration(history.elapsed)}: {', '.join(words)}")

    def _warn(self, doubted: bool) -> None:
        """Say that an audit speaks against trusting the search, or no longer does, where that has changed."""
        finding = self._state.audit
        if finding is not None and finding.doubtful != doubted:
            words = doubt(finding)
            self._say(f"warning: {words}" if words else f"the interval of tau no longer includes 0: {audited(finding)}")

    def _say(self, text: str) -> None:
        """Print one line: flushed, not wrapped, without colours, in the characters that the terminal has."""
        self._last_line = time.monotonic()
        encoding = self._terminal.encoding
        plain = text.encode(encoding, errors="replace").decode(encoding)
        with while_read(self._terminal):
            self._terminal.print(plain, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _progress(self, gain: float = 0.0) -> str:
        return ", ".join([*self._standing(gain), *self._pace.words(self._budget - self._state.done)])

    def _standing(self, gain: float = 0.0) -> list[str]:
        state = self._state
        hypervolume = f"hypervolume {readable(state.front.hypervolume)}" + (f" ({gain:+.2g})" if gain else "")
        done = f"{state.done:,} of {self._budget:,}"
        return [done, *state.below_in_words, hypervolume, state.front_in_words, *state.audit_in_words, *state.troubles]

    def _panel(self) -> RenderableType:
        """Draw the search as it is now; called by rich, four times a second."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        state = self._state
        budget = Table.grid(padding=(0, 2), expand=True)
        budget.add_column(ratio=1)
        budget.add_column(no_wrap=True)
        share = f"{state.done:,} of {self._budget:,}"
        budget.add_row(ProgressBar(total=max(1, self._budget), completed=state.done), share)
        quality = Text("hypervolume ", no_wrap=True, overflow="ellipsis")
        quality.append(readable(state.front.hypervolume), style="bold green")
        if self._terminal.encoding.startswith("utf"):
            quality.append(f"  {_sparkline(state.hypervolumes)}", style="green")
        quality.append(f"  {state.gain:+.2g} in the last generation" if state.gain else "")
        counts = [state.front_in_words, *state.below_in_words, f"{state.running:,} running", *state.troubles]
        left = self._budget - state.done
        pace = [*self._pace.words(left), f"{duration(self._pace.elapsed)} so far"]
        lines = [Text(", ".join(words), no_wrap=True, overflow="ellipsis") for words in (counts, pace)]
        if state.audit:
            style = "yellow" if state.doubtful else ""
            lines.append(Text(audited(state.audit), style, no_wrap=True, overflow="ellipsis"))
        parts: list[RenderableType] = [budget, quality, *lines]
        rows = min(FRONT_ROWS, self._terminal.height - 8 - len(lines))
        if rows >= 2 and state.front.members:
            parts += ["", front_table(self._history, self._space, limit=rows)]
        title = Text(f"{state.name}, generation {state.generation}", style="bold")
        return Panel(Group(*parts), title=title, title_align="left", border_style="dim")


@dataclass(frozen=True, slots=True)
class _State:
    """What is shown: counts are of outcomes, audits aside, `below` of evaluations at lower fidelities than the top's.

    `hypervolumes` are those of the latest complete generations.
    """

    name: str
    done: int
    below: int
    failed: int
    rejected: int
    turned_away: int
    running: int
    generation: int
    front: ParetoFront
    hypervolumes: tuple[float, ...]
    audit: Finding | None

    @classmethod
    def of(cls, history: History) -> _State:
        return cls(
            name=history.header.name,
            done=history.done,
            below=len(history.evaluations) - len(history.measured),
            failed=len(history.failures),
            rejected=len(history.rejections),
            turned_away=history.turned_away.total(),
            running=len(history.pending),
            generation=max((candidate.generation for candidate in history.candidates.values()), default=0),
            front=history.front,
            hypervolumes=tuple(generation.hypervolume for generation in history.generations[-GENERATIONS_SHOWN:]),
            audit=history.audit.finding() if history.audit else None,
        )

    def after(self, history: History, outcome: Outcome) -> _State:
        """Return the state with one more outcome, without a look at all the others."""
        running = len(history.candidates) - len(history.outcomes)
        if outcome.candidate.is_audit:
            return replace(self, running=running, audit=history.audit.finding() if history.audit else None)
        return replace(
            self,
            done=history.done,
            below=self.below + (isinstance(outcome, Evaluation) and not outcome.candidate.at_top),
            failed=self.failed + isinstance(outcome, Failure),
            rejected=self.rejected + isinstance(outcome, Rejection),
            turned_away=history.turned_away.total(),
            running=running,
            generation=max(self.generation, outcome.candidate.generation),
            front=history.front,
        )

    def with_generation(self, generation: Generation) -> _State:
        return replace(self, hypervolumes=(*self.hypervolumes, generation.hypervolume)[-GENERATIONS_SHOWN:])

    @property
    def gain(self) -> float:
        """What the latest complete generation added to the hypervolume."""
        return self.hypervolumes[-1] - self.hypervolumes[-2] if len(self.hypervolumes) > 1 else 0.0

    @property
    def front_in_words(self) -> str:
        if not self.front.members:
            return "nothing on the front"
        metric = self.front.goals.objectives[0].metric
        best = readable(self.front.members[0].metrics[metric])
        return f"{len(self.front.members):,} on the front, best {metric} {best}"

    @property
    def doubtful(self) -> bool:
        return self.audit is not None and self.audit.doubtful

    @property
    def audit_in_words(self) -> list[str]:
        return [audited(self.audit)] if self.audit else []

    @property
    def below_in_words(self) -> list[str]:
        return [f"{self.below:,} below the top"] if self.below else []

    @property
    def troubles(self) -> list[str]:
        counts = {"failed": self.failed, "rejected": self.rejected, "turned away": self.turned_away}
        return [f"{count:,} {what}" for what, count in counts.items() if count]


class _Pace:
    """How fast outcomes come in this session: over the most recent ones, the wait since the last one included."""

    def __init__(self, elapsed_before: float) -> None:
        self._started = time.monotonic()
        self._elapsed_before = elapsed_before
        self._times: deque[float] = deque([self._started], maxlen=RECENT + 1)

    def count(self) -> None:
        self._times.append(time.monotonic())

    @property
    def elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._started

    def words(self, left: int) -> list[str]:
        """Return the rate, and the time that `left` outcomes take at it; nothing before the second outcome."""
        recent = len(self._times) - 1
        seconds = time.monotonic() - self._times[0]
        if recent < 2 or seconds <= 0:
            return []
        per_minute = 60 * recent / seconds
        rate = f"{per_minute:,.0f}/min" if per_minute >= 10 else f"{60 * per_minute:,.0f}/hour"
        return [rate, f"about {duration(left * seconds / recent)} left"] if left > 0 else [rate]


def _sparkline(values: Sequence[float]) -> str:
    """Return values as bars between the least and the greatest of them."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    return "".join(BARS[round((value - low) / (high - low or 1.0) * (len(BARS) - 1))] for value in values)
