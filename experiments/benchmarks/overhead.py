"""What the orchestrator itself costs: evaluations a second beside others, parallel efficiency, start-up, memory.

    python experiments/benchmarks/overhead.py [throughput] [efficiency] [startup] [memory] [profile] [--quick]

Without a name everything is measured, in about ten minutes on two cores that do nothing else; `--quick` takes a tenth
of the evaluations. The rivals are an extra: `pip install --editable '.[benchmark]'`; one that is missing is left out.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from first_dispatch import DISPATCHED
from rivals import rivals
from timed_search import MLFLOW, STRATEGIES, Timed, timed

from evonas import config, journal
from evonas.compose import prepare
from evonas.controller import Controller, replay
from evonas.early_exit import EarlyExit
from evonas.evaluation import Outcome
from evonas.history import JOURNAL, History
from evonas.journal import Journal
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.tracking.base import Tracker
from evonas.workers.ray_pool import RayPool
from evonas.workers.ray_session import connect

HERE = Path(__file__).parent
EVONAS = str(Path(sys.executable).with_name("evonas"))
WORKERS = 2
SAMPLE_EVERY = 10_000
STARTS = 3
LENGTHS = ((200, 0.1), (20, 1.0), (6, 10.0))
"""Searches whose parallel efficiency is measured: evaluations, and the seconds of each."""


def throughput(folder: Path, quick: bool) -> None:
    """Trivial evaluations a second: evonas with all that it keeps, then others, slower ones last."""
    evaluations = 2_000 if quick else 20_000
    connect("local", workers=WORKERS)
    rows: list[tuple[str, int, float]] = []

    def report(name: str, count: int, rate: float, note: str = "") -> None:
        rows.append((name, count, rate))
        print(f"{name:46}{count:9,}{rate:12,.1f}{rows[0][2] / rate:12,.1f}  {note}", flush=True)

    print(f"{'':46}{'trials':>9}{'per second':>12}{'evonas is':>12}")
    timed(folder, 200, "NSGA-II")  # what is imported once, and Ray's first workers
    for name, strategy, tracking in (
        ("evonas NSGA-II, journal with fsync, MLflow", "NSGA-II", MLFLOW),
        ("evonas NSGA-II, journal with fsync", "NSGA-II", None),
        ("evonas steady-state NSGA-II, journal, fsync", "steady-state NSGA-II", None),
        ("evonas random search, journal with fsync", "random search", None),
    ):
        search = timed(folder, evaluations, strategy, tracking=tracking)
        spent = search.history.elapsed
        report(name, evaluations, search.rate, f"{search.seconds - spent:.1f} s more to start and to draw the result")
    for name, (count, rate) in rivals(folder, quick).items():
        try:
            report(name, count, rate(count))
        except ImportError as error:
            print(f"{name:46} left out: {error.name} is not here; pip install --editable '.[benchmark]'", flush=True)


def efficiency(folder: Path, quick: bool) -> None:
    """Busy seconds of two workers, of those that there were from when both had begun to the last outcome."""
    connect("local", workers=WORKERS)
    print(f"{'':24}{'evaluations':>12}{'seconds each':>14}{'efficiency':>12}")
    for strategy in ("random search", "NSGA-II"):
        for evaluations, seconds in LENGTHS[: 2 if quick else 3]:
            evaluator = {"use": "trivial:Sleep", "seconds": seconds}
            more = {"strategy": {**STRATEGIES["NSGA-II"], "population": 20}} if strategy == "NSGA-II" else {}
            search = timed(folder, evaluations, strategy, evaluator=evaluator, **more)
            print(f"{strategy:24}{evaluations:12}{seconds:14.1f}{parallel_efficiency(search):12.3f}", flush=True)


def parallel_efficiency(search: Timed) -> float:
    """Return the share of the workers' time that was spent on evaluations, once all of them were at work."""
    spans = search.landings
    full = next(b for b, _ in sorted(spans) if sum(begin <= b < end for begin, end in spans) == WORKERS)
    last = max(end for _, end in spans)
    return sum(end - max(begin, full) for begin, end in spans if end > full) / (WORKERS * (last - full))


def startup(folder: Path, quick: bool) -> None:
    """Seconds to the first word of `--help`, and to the first candidate without those that Ray itself takes."""
    starts = 2 if quick else STARTS
    helps = []
    for _ in range(starts):
        began = time.perf_counter()
        subprocess.run([EVONAS, "--help"], stdout=subprocess.DEVNULL, check=True)
        helps.append(time.perf_counter() - began)
    print(f"{'evonas --help':46}{statistics.median(helps):8.2f} s")
    trivial = folder / "trivial.yaml"
    trivial.write_text("{name: trivial, space: 'trivial:Digits', data: null, evaluator: 'trivial:Formula'}\n")
    quickstart = HERE.parent / "quickstart.yaml"
    for name, words in (
        ("trivial, no tracking", [trivial, "tracking=null"]),
        ("trivial, MLflow", [trivial]),
        ("quickstart, no tracking", [quickstart, "tracking=null"]),
        ("quickstart, MLflow", [quickstart]),
    ):
        runs = [first_dispatch(folder / f"{name}-{n}", *map(str, words)) for n in range(starts)]
        total, ray = (statistics.median(column) for column in zip(*runs, strict=True))
        beyond = statistics.median(total - ray for total, ray in runs)
        print(f"{f'evonas run, {name}':46}{beyond:8.2f} s beyond Ray's {ray:.2f} s, {total:.2f} s in all", flush=True)


def first_dispatch(run: Path, *words: str) -> tuple[float, float]:
    """Return the seconds to the first candidate of a new process, and those of them that Ray took."""
    command = [sys.executable, str(HERE / "first_dispatch.py"), str(time.monotonic()), "run", *words]
    done = subprocess.run(
        [*command, f"runs={run.parent}", "pool.workers=2", "--run", str(run)],
        env={**os.environ, "PYTHONPATH": str(HERE)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = next(line for line in done.stdout.splitlines() if line.startswith(DISPATCHED))
    total, ray = said.removeprefix(DISPATCHED).split()
    return float(total), float(ray)


def memory(folder: Path, quick: bool) -> None:
    """Memory of the driver's process over a long search: it keeps every candidate and outcome to the end."""
    connect("local", workers=WORKERS)
    evaluations = 20_000 if quick else 100_000
    samples = Samples()
    searched = timed(folder, evaluations, "NSGA-II", watch=lambda search, path: [samples])
    print(f"{'evaluations':>12}{'MB above the start':>20}{'bytes each, last 10,000':>25}")
    for (_, before), (count, size) in pairwise(samples.taken):
        print(f"{count:12,}{(size - samples.taken[0][1]) / 1e6:20.0f}{(size - before) / SAMPLE_EVERY:25,.0f}")
    began, size = time.perf_counter(), (searched.path / JOURNAL).stat().st_size
    events = list(journal.read(searched.path / JOURNAL))
    again = prepare(config.parse(History.replay(events).config))
    replay(again.strategy(EarlyExit(again.space, again.gates)), events)
    print(
        f"a journal of {size / evaluations:,.0f} bytes an evaluation, replayed in {time.perf_counter() - began:.1f} s"
    )


class Samples(Tracker):
    """Notes the memory of this process as a search goes on."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def started(self, history: History) -> None:
        self._take(history)

    def outcome(self, history: History, outcome: Outcome) -> None:
        if len(history.outcomes) // SAMPLE_EVERY >= len(self.taken):
            self._take(history)

    def _take(self, history: History) -> None:
        self.taken.append((len(history.outcomes), psutil.Process().memory_info().rss))


def profile(folder: Path, quick: bool) -> None:
    """Where the driver's loop spends its time, part by part: what a part calls of another is the other's."""
    import ray

    connect("local", workers=WORKERS)
    evaluations = 2_000 if quick else 20_000
    parts: dict[str, list[tuple[Any, str]]] = {
        "waiting for workers": [(ray, "wait")],
        "journal: fsync": [(Journal, "sync")],
        "strategy: ask and tell": [(NSGA2, "ask"), (NSGA2, "tell")],
        "history and front": [(History, "apply")],
        "pool: calls and their results": [(RayPool, "submit"), (RayPool, "next_outcomes")],
        "journal: encode and write": [(Journal, "write")],
        "trackers": [(Controller, "_tell_trackers")],
        "the loop itself": [(Controller, "_loop")],
    }
    timed(folder, 1_000, "NSGA-II")
    for name, tracking in (("no tracking", None), ("MLflow", MLFLOW)):
        with stopwatches(parts) as seconds:
            timed(folder, evaluations, "NSGA-II", tracking=tracking, watch=lambda search, path: [Reset(seconds)])
        total = sum(seconds.values())
        print(f"\n{name + ', NSGA-II':32}{'us each':>10}{'share':>8}")
        for part in parts:
            print(f"{part:32}{seconds[part] / evaluations * 1e6:10.1f}{seconds[part] / total:8.1%}")
        print(f"{'all':32}{total / evaluations * 1e6:10.1f}")


class Reset(Tracker):
    """Forgets the time until the first outcome: workers start in it."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds

    def outcome(self, history: History, outcome: Outcome) -> None:
        if len(history.outcomes) == 1:
            self._seconds.clear()


@contextmanager
def stopwatches(parts: dict[str, list[tuple[Any, str]]]) -> Iterator[dict[str, float]]:
    """Time calls of the main thread inside `Controller._loop`; yields the seconds of each part, without inner parts."""
    seconds: dict[str, float] = defaultdict(float)
    running: list[str] = []
    switched = time.perf_counter()

    def switch() -> None:
        nonlocal switched
        now = time.perf_counter()
        if running:
            seconds[running[-1]] += now - switched
        switched = now

    def watched(part: str, call: Callable[..., Any], outermost: bool) -> Callable[..., Any]:
        def timed_call(*given: Any, **named: Any) -> Any:
            if not (running or outermost) or threading.current_thread() is not threading.main_thread():
                return call(*given, **named)
            switch()
            running.append(part)
            try:
                return call(*given, **named)
            finally:
                switch()
                running.pop()

        return timed_call

    replaced = [(part, owner, name, getattr(owner, name)) for part, pairs in parts.items() for owner, name in pairs]
    for part, owner, name, call in replaced:
        setattr(owner, name, watched(part, call, outermost=name == "_loop"))
    try:
        yield seconds
    finally:
        for _, owner, name, call in replaced:
            setattr(owner, name, call)


SECTIONS: dict[str, Callable[[Path, bool], None]] = {
    "throughput": throughput, "efficiency": efficiency, "startup": startup, "memory": memory, "profile": profile,
}  # fmt: skip


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quick"]
    if unknown := [word for word in words if word not in SECTIONS]:
        raise SystemExit(f"there is no {', '.join(unknown)}: say {', '.join(SECTIONS)} or nothing, and --quick")
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f}")
    for name in words or SECTIONS:
        print(f"\n== {name}: {' '.join((SECTIONS[name].__doc__ or '').split())}\n", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            SECTIONS[name](Path(folder), "--quick" in sys.argv)


if __name__ == "__main__":
    main()
