"""What a search loses when MLflow's server is gone, dies, is slow, forgets or has a full disk, and what arrives of it.

    python experiments/benchmarks/mlflow_faults.py [EVALUATIONS] [SECONDS] [TURNS]

Real servers on 127.0.0.1, real searches with evaluations that take SECONDS and no processor. Prints for each fault the
seconds of the search proper, their growth against searches without tracking, the seconds of its end, what the server
lacked then, the runs that `evonas sync` sent, and whether every run, metric and artifact was there once after that.
The searches without tracking differ among themselves: that is the noise. Ends with 1 if anything is missing or doubled.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from commands import FORMULA  # noqa: E402
from mlflow_kept import SPACE, assert_complete  # noqa: E402
from mlflow_server import Server, SmallDisk, slow_line  # noqa: E402

from evonas import config, search  # noqa: E402
from evonas.evaluation import Outcome  # noqa: E402
from evonas.history import History  # noqa: E402
from evonas.tracking.base import Tracker  # noqa: E402
from evonas.tracking.mlflow import MLflow  # noqa: E402


class At(Tracker):
    """Does something to the server at a share of the search, on a thread: the search does not wait for it."""

    def __init__(self, evaluations: int, share: float, fault: Callable[[], object]) -> None:
        self._number, self._thread = round(share * evaluations), threading.Thread(target=fault)

    def outcome(self, history: History, outcome: Outcome) -> None:
        """Do it when the time has come."""
        if len(history.outcomes) == self._number:
            self._thread.start()

    def wait(self) -> None:
        """Return when it is done."""
        self._thread.join()


@dataclass(frozen=True)
class Taken:
    """What a search took, and what the server lacked at its end, had got by a sync and has now."""

    seconds: float
    end: float
    lacking: int
    synced: int
    complete: str


@dataclass(frozen=True)
class Stage:
    """The address of the server for a search, its own, and what happens to it in the search."""

    uri: str = ""
    own: str = ""
    events: Sequence[At] = ()


Fault = Callable[[Path, int], Iterator[Stage]]
"""Prepares a server and yields the stage; asked for the next one, it mends what is broken; at the end, it cleans up."""


def healthy(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(Server(root)) as server:
        yield Stage(server.uri, server.uri)
        yield Stage()


def unreachable(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(Server(root), now=False) as server:
        yield Stage(server.uri, server.uri)
        server.up()
        yield Stage()


def killed(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(Server(root)) as server:
        yield Stage(server.uri, server.uri, [At(evaluations, 0.45, server.kill), At(evaluations, 0.6, server.up)])
        yield Stage()


def slow(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(Server(root)) as server, slow_line(server.port, 0.3) as uri:
        yield Stage(uri, server.uri)
        yield Stage()


def silent(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(Server(root)) as server, slow_line(server.port, None) as uri:
        yield Stage(uri, server.uri)
        yield Stage()


def emptied(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(Server(root)) as server:

        def lose() -> None:
            server.kill()
            server.wipe()
            server.up()

        yield Stage(server.uri, server.uri, [At(evaluations, 0.45, lose)])
        yield Stage()


def full(root: Path, evaluations: int) -> Iterator[Stage]:
    with running(SmallDisk(root)) as server:
        assert isinstance(server, SmallDisk)
        yield Stage(server.uri, server.uri, [At(evaluations, 0.45, server.fill)])
        server.free()
        yield Stage()


FAULTS: dict[str, Fault] = {
    "healthy": healthy,
    "unreachable from the start": unreachable,
    "killed, back on its store": killed,
    "300 ms slower": slow,
    "accepts, never answers": silent,
    "killed, back empty": emptied,
    "disk full": full,
}


@contextmanager
def running(server: Server, *, now: bool = True) -> Iterator[Server]:
    """Stop a server at the end, however that comes."""
    try:
        if now:
            server.up()
        yield server
    finally:
        server.kill()


def once(folder: Path, evaluations: int, seconds: float, fault: Fault | None) -> Taken:
    """Search while something happens to the server; then sync and count."""
    (folder / "server").mkdir(parents=True)
    stages = fault(folder / "server", evaluations) if fault else iter([Stage(), Stage()])
    stage = next(stages)
    tracking = {"use": "evonas.tracking.mlflow:MLflow", "uri": stage.uri, "must_answer": False} if fault else None
    evaluator = {"use": "unhurried:Unhurried", "pause": seconds}
    plain = {**FORMULA, "evaluations": evaluations, "evaluator": evaluator, "tracking": tracking, "gates": []}
    experiment = config.parse({**plain, "runs": str(folder / "runs")})
    closing = Closing()
    run, history = search.run(experiment, watch=lambda search, path: [*stage.events, closing])
    end = time.monotonic() - closing.began
    if not fault:
        return Taken(history.elapsed, end, 0, 0, "")
    lacking = closing.unsent(run)
    for event in stage.events:
        event.wait()
    next(stages)
    synced = MLflow(run, SPACE, uri=stage.own).sync().runs
    try:
        assert_complete(run, stage.own)
        complete = "all, once"
    except AssertionError as error:
        complete = f"NO: {str(error).splitlines()[0]}"
    next(stages, None)
    return Taken(history.elapsed, end, lacking, synced, complete)


class Closing(Tracker):
    """Notes when the end of a search began; the results are drawn in it as well."""

    began = 0.0

    def closed(self, history: History) -> None:
        """Look at the clock."""
        self.began = time.monotonic()

    def unsent(self, run: Path) -> int:
        """Return what MLflow lacked when the search had ended, according to the run folder's note."""
        from evonas.tracking.mlflow_links import Place

        place = Place.read(run)
        return place.unsent if place else len(History.read(run).outcomes) + len(History.read(run).generations) + 1


def main() -> None:
    evaluations, turns = int([*sys.argv, "240"][1]), int([*sys.argv[3:], "1"][0])
    seconds = float([*sys.argv[2:], "0.1"][0])
    taken: dict[str, list[Taken]] = {"no tracking": [], **{name: [] for name in FAULTS}}
    with tempfile.TemporaryDirectory() as folder:
        once(Path(folder) / "warm", 4, 0.0, healthy)
        for turn in range(turns):
            for name in ("no tracking", *FAULTS, "no tracking"):
                if name == "disk full" and not SmallDisk.can_mount():
                    continue
                where = Path(folder) / f"{turn} {name} {len(taken[name])}".replace(" ", "-").replace(",", "")
                taken[name].append(once(where, evaluations, seconds, FAULTS.get(name)))
                print(name, taken[name][-1], file=sys.stderr, flush=True)
    free = [row.seconds for row in taken["no tracking"]]
    base = statistics.median(free)
    print(
        f"{evaluations} evaluations of {seconds} s, medians of {turns}; "
        f"searches without tracking differ by {100 * (max(free) - min(free)) / base:.1f} %"
    )
    print(f"{'server':28} search  growth    end  lacked  synced  after that")
    for name, rows in taken.items():
        if rows:
            search_, end, lacked, synced = (
                statistics.median(getattr(row, key) for row in rows) for key in ("seconds", "end", "lacking", "synced")
            )
            verdict = next((row.complete for row in rows if row.complete != "all, once"), rows[0].complete)
            growth = 100 * (search_ / base - 1)
            print(f"{name:28} {search_:5.1f}s {growth:6.1f}% {end:5.1f}s {lacked:7.0f} {synced:7.0f}  {verdict}")
    sys.exit(any(row.complete.startswith("NO") for rows in taken.values() for row in rows))


if __name__ == "__main__":
    main()
