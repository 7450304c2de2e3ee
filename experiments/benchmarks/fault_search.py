"""A search in a process of its own, seen from outside: what is in its journal, and when it came."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from fault_problem import BEGUN, TROUBLES

from evonas.history import History
from evonas.pareto import digest

HERE = Path(__file__).parent
EVONAS = str(Path(sys.executable).with_name("evonas"))
LOCAL = "evonas.workers.local_pool:LocalPool"
RAY = {"use": "evonas.workers.ray_pool:RayPool", "workers": 2, "retries": 3}
STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "NSGA2": {"use": "evonas.strategies.pymoo_nsga2:NSGA2", "population": 12},
    "SteadyStateNSGA2": {"use": "evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", "population": 12},
    "AgingEvolution": {"use": "evonas.strategies.aging_evolution:AgingEvolution", "population": 12, "sample": 4},
}
"""Generational, and two that commit outcomes one by one: deterministic, as they are by default."""
PATIENCE = 120.0


class Lost(Exception):
    """Something that was finished is gone, or the search did not end as it should."""


@dataclass(frozen=True, slots=True)
class Fault:
    """When something happened to a search, and which candidates had their outcome by then."""

    moment: float
    finished: frozenset[int]


class FaultySearch:
    """A search for `evaluations` in `folder`, started and resumed by the command line; a thread reads its journal."""

    def __init__(
        self,
        folder: Path,
        strategy: str = "NSGA2",
        pool: str | Mapping[str, Any] = LOCAL,
        evaluations: int = 60,
        **evaluator: Any,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.run, self.evaluations = folder, folder / "run", evaluations
        self.arrived: dict[int, float] = {}
        """When each candidate's outcome was first seen in the journal."""
        self._records: dict[int, dict[str, Any]] = {}
        self._driver: subprocess.Popen[bytes] | None = None
        experiment = {
            "name": "faults",
            "space": "trivial:Digits",
            "data": None,
            "evaluator": {"use": "fault_problem:Faulty", "folder": str(folder), **evaluator},
            "strategy": dict(STRATEGIES[strategy]),
            "gates": [{"metric": "params", "at_most": {"quantile": 0.9}}],
            "evaluations": evaluations,
            "pool": pool,
            "tracking": None,
        }
        (folder / "experiment.yaml").write_text(yaml.safe_dump(experiment))
        self._over = False
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def start(self) -> None:
        """Start the search, or resume it if its journal is there."""
        began = (self.run / "journal.jsonl").exists()
        words = ["resume", "run"] if began else ["run", "experiment.yaml", "--run", "run"]
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_", "EVONAS_"))}
        with (self.folder / "output.log").open("a") as log:
            self._driver = subprocess.Popen(
                [EVONAS, *words], cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env={**mine, "PYTHONPATH": str(HERE), "RAY_AUTH_MODE": "disabled"},
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether the driver is not there (any more)."""
        return self._driver is None or self._driver.poll() is not None

    def send(self, number: signal.Signals, *, to_all: bool = False) -> float:
        """Send the driver a signal (as Ctrl-C does: and its children), and return the moment."""
        assert self._driver is not None
        moment = time.time()
        (os.killpg if to_all else os.kill)(self._driver.pid, number)
        return moment

    def kill(self) -> float:
        """End the driver with SIGKILL; what it has finished must be in the journal from now on. Return the moment."""
        assert self._driver is not None
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._driver.pid).children(recursive=True)
            moment = self.send(signal.SIGKILL)
            self._driver.wait()
            for orphan in psutil.wait_procs(children, timeout=15)[1]:  # Ray ends with its driver, but takes its time
                with suppress(psutil.NoSuchProcess):
                    orphan.kill()
            return moment
        return time.time()

    def wait(self) -> int:
        """Return the exit code of the driver."""
        assert self._driver is not None
        return self._driver.wait(timeout=PATIENCE)

    def finish(self) -> None:
        """Resume as needed, to the end; raise Lost if it does not come."""
        if self._driver is None:
            self.start()
        if (code := self.wait()) != 0:
            raise Lost(f"the search ended with {code}: {(self.folder / 'output.log').read_text()[-2000:]}")
        self._over = True
        self._follower.join()

    def until(self, happened: Callable[[], bool], or_end: bool = False) -> None:
        """Wait for something; raise Lost if the driver ends before (unless `or_end`), or it does not come."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if or_end and self.ended:
                return
            if self.ended or time.monotonic() > deadline:
                raise Lost(f"waited in vain: {(self.folder / 'output.log').read_text()[-2000:]}")
            time.sleep(0.005)

    def until_outcomes(self, count: int) -> None:
        """Wait until so many candidates have an outcome."""
        self.until(lambda: len(self.arrived) >= count)

    def until_begun(self, count: int) -> None:
        """Wait until so many evaluations have begun."""
        self.until(lambda: len(self.begun()) >= count)

    def happened(self, moment: float) -> Fault:
        """Note what had come before a fault that nothing came through after."""
        time.sleep(0.1)  # the thread has read the journal to its end
        return Fault(moment, frozenset(list(self.arrived)))

    def recovered(self, fault: Fault) -> float:
        """Wait for the first outcome after a fault, and return the seconds between."""
        self.until(lambda: self.recovery(fault) is not None)
        return self.recovery(fault) or 0.0

    def recovery(self, fault: Fault) -> float | None:
        """Return the seconds from a fault to the first outcome after it; None if none has come."""
        came = [moment for id_, moment in list(self.arrived.items()) if id_ not in fault.finished]
        return min(came) - fault.moment if came else None

    def outcome_of(self, genome: list[int]) -> float | None:
        """Return when the outcome of a genome came; None if it has not."""
        ids = [c.id for c in History.read(self.run).candidates.values() if list(c.genome) == genome]
        return self.arrived.get(ids[0]) if ids else None

    def begun(self) -> list[dict[str, Any]]:
        """Return the notes of the evaluators: when and in which process they began with which genome."""
        return _lines(self.folder / BEGUN)

    def troubles(self) -> list[dict[str, Any]]:
        """Return the notes of the troubles that they met."""
        return _lines(self.folder / TROUBLES)

    @property
    def closed(self) -> bool:
        """Whether the journal says that the search is over."""
        journal = self.run / "journal.jsonl"
        return journal.exists() and b'"event":"closed"' in journal.read_bytes()[-200:]

    def repeated(self) -> int:
        """Return how many evaluations were begun again."""
        begun = [tuple(note["genome"]) for note in self.begun()]
        return len(begun) - len(set(begun))

    def lost(self) -> int:
        """Return how many candidates have no outcome, or another one than was journaled first."""
        now = {record["id"]: record for record in _finished(self.run / "journal.jsonl")}
        unlike = sum(now.get(id_) != record for id_, record in self._records.items())
        return unlike + len(History.read(self.run).pending)

    def facts(self) -> tuple[object, ...]:
        """Return what must be as in the uninterrupted search: evaluations, front, gate counts, what failed and how."""
        history = History.read(self.run)
        failed = [(failure.candidate.id, failure.kind) for failure in history.failures]
        return digest(history.evaluations), history.front.digest(), history.turned_away, failed

    def _follow(self) -> None:
        """Note each whole line that says what an outcome is, with the moment."""
        journal, offset = self.run / "journal.jsonl", 0
        over = False
        while not over:
            over = self._over
            with suppress(FileNotFoundError), journal.open("rb") as file:
                file.seek(offset)
                text = file.read()
                whole = text[: text.rfind(b"\n") + 1]
                offset += len(whole)
                for record in map(json.loads, whole.splitlines()):
                    if record["event"] == "finished":
                        self._records.setdefault(record["id"], record)
                        self.arrived.setdefault(record["id"], time.time())
            time.sleep(0.01)


def _lines(path: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")] if path.exists() else []
    )


def _finished(journal: Path) -> list[dict[str, Any]]:
    return [record for record in _lines(journal) if record["event"] == "finished"]
