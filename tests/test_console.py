"""The console shows a search on terminals and in logs, and leaves both as it found them."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console as Terminal
from synthetic import FOUR_OBJECTIVES, IntegerSpace, events, header

from evonas.evaluation import Failure
from evonas.history import History
from evonas.journal import Closed, Event, Finished
from evonas.tracking import console as console_module
from evonas.tracking.console import Console

SPACE = IntegerSpace()
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"

SEARCH = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from synthetic import IntegerSpace, events
from evonas.history import History
from evonas.journal import Finished
from evonas.tracking.console import Console

header, *rest = events()
history, console = History(header), Console(space=IntegerSpace(), evaluations=80)
console.started(history)
try:
    for event in rest:
        completed = history.apply(event)
        if isinstance(event, Finished):
            console.outcome(history, event.outcome)
            time.sleep(0.02)
        for generation in completed:
            console.generation(history, generation)
    time.sleep(60)
except KeyboardInterrupt:
    history.closed = None
finally:
    console.closed(history)
"""


def watch(console: Console, journal: Sequence[Event], known: int = 1) -> History:
    """Let a console watch a search of which the first `known` events happened before."""
    history = History.replay(journal[:known])
    console.started(history)
    for event in journal[known:]:
        completed = history.apply(event)
        if isinstance(event, Finished):
            console.outcome(history, event.outcome)
        for generation in completed:
            console.generation(history, generation)
    console.closed(history)
    return history


def log_of(journal: Sequence[Event], known: int = 1, evaluations: int = 80) -> list[str]:
    file = io.StringIO()
    watch(Console(space=SPACE, evaluations=evaluations, console=Terminal(file=file)), journal, known)
    return file.getvalue().splitlines()


def test_the_end_says_how_much_of_the_true_front_was_reached_where_that_is_known() -> None:
    known = replace(header(), known_hypervolume=2 * History.replay(events()).front.hypervolume)
    assert "50.00 % of the hypervolume of the true front" in log_of(events(known))[-1]
    assert "true front" not in log_of(events())[-1]


def test_log_has_one_line_a_generation_and_tells_how_it_ended() -> None:
    lines = log_of(events())
    assert lines[0] == "started: 80 to evaluate"
    assert [line.split(":")[0] for line in lines if line.startswith("generation")] == [
        f"generation {i}" for i in range(5)
    ]
    assert re.match(
        r"finished after 40\.0 s: 80 of 80, hypervolume 0\.9\d+, \d+ on the front, best valid_error", lines[-1]
    )
    assert len(lines) == 1 + 5 + 1 + 1
    for line in lines:
        assert line.isprintable(), "no control characters in a log"


def test_generation_line_tells_what_was_gained_and_what_went_wrong() -> None:
    line = next(line for line in log_of(events()) if line.startswith("generation 2"))
    assert re.search(r"48 of 80, hypervolume 0\.\d+ \(\+\S+\)", line)
    assert "2 failed, 3 rejected, 6 turned away" in line
    assert re.search(r"[\d,.]+/min, about \S+ s left$", line)


def test_first_failure_is_shown_once_and_at_once() -> None:
    journal = events()
    assert sum(isinstance(event, Finished) and isinstance(event.outcome, Failure) for event in journal) > 3
    lines = log_of(journal)
    failures = [line for line in lines if "first failure" in line]
    assert failures == ["first failure, candidate 16 (error): ValueError: no [such] layer"]
    assert lines.index(failures[0]) == 2, "after generation 0, before the next"


def test_resumed_search_counts_all_outcomes_but_its_own_rate() -> None:
    journal = events()
    half = 45
    lines = log_of(journal, known=half)
    done = sum(isinstance(event, Finished) for event in journal[:half])
    assert lines[0].startswith(f"resumed at {done} of 80, hypervolume")
    assert "/min" not in lines[0], "nothing was done in this session yet"
    assert "80 of 80" in lines[-1]


def test_time_left_follows_the_recent_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pace = console_module._Pace(elapsed_before=50.0)
    assert pace.words(left=10) == []
    for _ in range(200):
        clock[0] += 1.0
        pace.count()
    assert pace.words(left=30) == ["60/min", "about 30.0 s left"]
    for _ in range(200):
        clock[0] += 4.0
        pace.count()
    assert pace.words(left=30) == ["15/min", "about 2m 00s left"]
    clock[0] += 64 * 4.0
    assert pace.words(left=30) == ["450/hour", "about 4m 00s left"], "waiting makes the estimate worse, not stale"
    assert pace.words(left=0) == ["450/hour"]
    assert pace.elapsed == 50.0 + 200 + 800 + 256


def test_log_stays_quiet_between_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = len(log_of(events(generations=2)))
    monkeypatch.setattr(console_module, "LINE_SECONDS", 0.0)
    assert len(log_of(events(generations=2))) == quiet + 2 * 16 - 1, "each outcome, and the failure in its stead"


@pytest.mark.parametrize("reason", ["budget", "exhausted", "failures", None])
def test_search_without_outcomes_ends_well(reason: str | None) -> None:
    ending: list[Event] = [Closed(reason, 1.0)] if reason else []
    lines = log_of([header(), *ending])
    expected = {
        "budget": "finished",
        "exhausted": "finished, no",
        "failures": "stopped",
        None: "not finished after 0.0 s",
    }
    assert len(lines) == 2
    assert lines[-1].startswith(expected[reason])
    assert "0 of 80, hypervolume 0, nothing on the front" in lines[-1]


def test_log_that_knows_no_unicode_still_gets_its_lines() -> None:
    raw = io.BytesIO()
    journal = [
        Finished(Failure(e.outcome.candidate, "Fehler: größer", e.outcome.kind), e.elapsed)
        if isinstance(e, Finished) and isinstance(e.outcome, Failure) else e
        for e in events()
    ]  # fmt: skip
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as file:
        watch(Console(space=SPACE, evaluations=80, console=Terminal(file=file)), journal)
        assert b"Fehler: gr??er" in raw.getvalue()


def test_colours_forced_upon_a_log_do_not_bring_the_live_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for line in log_of(events()):
        assert line.isprintable()


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24), (60, 16), (40, 10), (30, 6)])
@pytest.mark.parametrize("objectives", [None, FOUR_OBJECTIVES])
def test_panel_fits_the_terminal(width: int, height: int, objectives: Sequence[dict[str, object]] | None) -> None:
    terminal = Terminal(file=io.StringIO(), width=width, height=height, force_terminal=True)
    console = Console(space=SPACE, evaluations=100, console=terminal, live=False)
    watch(console, events(header(objectives) if objectives else None, closed=False))
    lines = terminal.render_lines(console._panel(), pad=False)
    text = ["".join(segment.text for segment in line) for line in lines]
    assert len(text) <= max(height, 6)
    assert all(len(line) <= width for line in text)
    if height >= 16:
        assert "knee" in "".join(text)
        assert "synthetic, generation 4" in text[0]
        assert "80 of 100" in text[1]
        assert re.search("hypervolume [0-9,.]+  [▁▂▃▄▅▆▇█]{4} ", text[2])


def test_panel_of_an_empty_search_is_drawn_too() -> None:
    terminal = Terminal(file=io.StringIO(), width=80, height=24, force_terminal=True)
    console = Console(space=SPACE, evaluations=0, console=terminal, live=True)
    watch(console, [header()])
    assert isinstance(terminal.file, io.StringIO)
    assert "nothing on the front, 0 running" in terminal.file.getvalue()
    assert "not finished after 0.0 s: 0 of 0" in terminal.file.getvalue().splitlines()[-1]


@pytest.mark.parametrize("end", ["done", "interrupted"])
def test_terminal_gets_its_cursor_back(end: str) -> None:
    script = SEARCH if end == "interrupted" else SEARCH.replace("time.sleep(60)", "pass")
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    search = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script], stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    try:
        seen = _read(controller, until=b"80 of 80", seconds=120)
        assert HIDE in seen
        if end == "interrupted":
            search.send_signal(signal.SIGINT)
        seen += _read(controller, until=None, seconds=90)
        assert search.wait(timeout=90) == 0
    finally:
        search.kill()
        search.wait()
        os.close(controller)
    assert seen.rindex(SHOW) > seen.rindex(HIDE)
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen).decode()
    assert text.count("first failure, candidate 16 (error): ValueError: no [such] layer") == 1
    ending = "not finished" if end == "interrupted" else "finished"
    assert text.rstrip().splitlines()[-1].startswith(f"{ending} after 40.0 s: 80 of 80")


def test_search_goes_on_silently_when_nobody_reads_any_more() -> None:
    script = SEARCH.replace("time.sleep(60)", "pass") + "print(history.closed, len(history.outcomes), file=sys.stderr)"
    search = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert search.stdout
    assert search.stderr
    with search, search.stdout, search.stderr:
        assert search.stdout.readline() == "started: 80 to evaluate\n"
        search.stdout.close()
        assert search.stderr.read() == "budget 80\n"
    assert search.returncode == 0


def _read(controller: int, until: bytes | None, seconds: float) -> bytes:
    """Read what a terminal shows until some text appears, or to the end."""
    seen, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline and (until is None or until not in seen):
        if select.select([controller], [], [], 0.1)[0]:
            try:
                chunk = os.read(controller, 65536)
            except OSError:  # how Linux says that the other end is closed
                return seen
            if not chunk:
                return seen
            seen += chunk
    return seen
