"""Every fault that a search must survive, produced for real, and what it cost.

    python experiments/benchmarks/faults.py [--quick] [--only FAULT ...]

Each search runs in a process of its own (`evonas run`, `evonas resume`), meets the fault at random but seeded moments,
and must end with the evaluations and the front of the same search that nothing happened to. Prints a row for each:

    times     how often the fault happened
    lost      outcomes that were journaled and are gone or changed, and candidates without an outcome
    again     evaluations that were begun a second time
    recovery  median of the seconds from the fault to the next outcome or, where a worker was hit, to the outcome of the
              candidate that it held

Ends with 1 if anything was lost or differs. A fault that cannot be produced here says why.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from fault_problem import MENDED
from fault_search import EVONAS, LOCAL, RAY, STRATEGIES, Fault, FaultySearch, Lost

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from loopback import Head, Node, free_port

QUICKSTART = Path(__file__).parents[1] / "quickstart.yaml"
UNSHARE = ["unshare", "--map-root-user", "--mount"]


LINE = "{:28} {:28} {:>5} {:>5} {:>6} {:>9}   {}"


@dataclass
class Row:
    """A line of the table."""

    fault: str
    where: str
    times: int = 0
    lost: int = 0
    again: int = 0
    recoveries: list[float] = field(default_factory=list)
    agrees: bool = False
    remark: str = ""

    def __str__(self) -> str:
        recovery = f"{statistics.median(self.recoveries):.1f} s" if self.recoveries else "-"
        verdict = ("yes" if self.agrees else "NO") + (f"; {self.remark}" if self.remark else "")
        return LINE.format(self.fault, self.where, self.times, self.lost, self.again, recovery, verdict)

    @property
    def good(self) -> bool:
        return self.agrees and not self.lost and self.times > 0


class NotHere(Exception):
    """The fault cannot be produced on this machine."""


class Faults:
    """The faults by name; each takes part of `folder`, and compares with an uninterrupted search there."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        self._whole: dict[str, tuple[object, ...]] = {}

    def driver_killed(self) -> Iterator[Row]:
        """`kill -9` of the driver: while it starts, in the middle, at the end, and when it is resumed for nothing."""
        for strategy in STRATEGIES:
            yield self._killed(strategy, "LocalPool", LOCAL, starts=3, middles=3 if self.quick else 10, ends=2)
        for strategy in list(STRATEGIES)[: 1 if self.quick else 2]:
            yield self._killed(strategy, "RayPool", RAY, starts=1, middles=1 if self.quick else 3, ends=1)
        with cluster() as head:
            pool = {**RAY, "address": head.address}
            yield self._killed(
                "AgingEvolution", "RayPool, cluster", pool, starts=0, middles=1 if self.quick else 4, ends=0
            )

    def driver_interrupted(self) -> Iterator[Row]:
        """SIGTERM to the driver; SIGINT to the driver and all its children, as Ctrl-C sends it."""
        for name, number in (("SIGTERM", signal.SIGTERM), ("Ctrl-C", signal.SIGINT)):
            for where, pool, times in (("LocalPool", LOCAL, 3), ("RayPool", RAY, 2)):
                search = self._search(pool=pool)
                row, rng = Row(f"{name} to the driver", where), random.Random(name + where)
                search.start()
                for interruption in range(1, 1 + times):
                    search.until_outcomes(interruption * 60 // (times + 2) + rng.randint(0, 5))
                    moment = search.send(number, to_all=number == signal.SIGINT)
                    if (code := search.wait()) != 130:
                        raise Lost(f"the driver ended with {code}")
                    row.times += 1
                    fault = search.happened(moment)
                    search.start()
                    row.recoveries.append(search.recovered(fault))
                yield self._ended(row, search)

    def actor_killed(self) -> Iterator[Row]:
        """SIGKILL of an actor in the middle of an evaluation."""
        times = 3 if self.quick else 10
        search = self._search(pool=RAY, pause=0.2)
        search.start()
        hit: list[tuple[float, list[int]]] = []
        for _ in range(times):
            known = len(search.begun())
            search.until_begun(known + 1)
            last = search.begun()[-1]
            psutil.Process(last["process"]).kill()
            hit.append((time.time(), last["genome"]))
            search.until_outcomes(len(search.arrived) + 4)
        search.finish()
        yield self._hit(Row("actor killed", "RayPool", times), search, hit)

    def actor_memory(self) -> Iterator[Row]:
        """An evaluation that takes more memory than its worker may have, the first time that it is tried."""
        pool = {**RAY, "memory_gb": 0.5}
        yield self._troubled("actor over its memory limit", pool, trouble="take_memory")

    def evaluation_hangs(self) -> Iterator[Row]:
        """An evaluation that never returns, the first time that it is tried: its process is killed."""
        row = self._troubled("evaluation hangs", {**RAY, "timeout_seconds": 3}, trouble="hang")
        left = [p for note in self._last.troubles() if psutil.pid_exists(p := note["process"])]
        row.agrees &= not left
        row.remark = "timeout_seconds: 3; its processes are gone" if not left else f"processes {left} are left"
        yield row

    def evaluator_raises(self) -> Iterator[Row]:
        """An evaluator that raises on a tenth of all genomes, always: failures with their reason, and no others."""
        yield self._troubled("evaluator raises on some", RAY, trouble="raise", once=False)

    def metrics_not_finite(self) -> Iterator[Row]:
        """An evaluator that returns NaN for a tenth of all genomes, always."""
        yield self._troubled("NaN metrics", RAY, trouble="nan", once=False)

    def evaluator_broken(self) -> Iterator[Row]:
        """An evaluator that raises on all genomes: the search stops with the traceback; mended, it goes on."""
        search = self._search(pool=RAY, trouble="raise", share=1.0, once=False)
        search.start()
        code, said = search.wait(), (search.folder / "output.log").read_text()
        stopped = code == 1 and "10 candidates in a row failed" in said and "RuntimeError: no layer for" in said
        fault = search.happened(time.time())
        (search.folder / MENDED).touch()
        failed = len(search.arrived)
        search.start()
        search.finish()
        row = Row(
            "evaluator raises on all", "RayPool", 1, remark=f"stopped after {failed} failures, with the traceback"
        )
        row.recoveries = [search.recovered(fault)]
        row.lost, row.agrees = search.lost(), stopped and len(search.arrived) == search.evaluations
        yield row

    def node_leaves(self) -> Iterator[Row]:
        """A node of two is killed in the middle of an evaluation, with all its processes; another takes its place."""
        times = 1 if self.quick else 3
        with cluster(cpus=1) as head:
            search = self._search(pool={**RAY, "address": head.address}, pause=0.2)
            node = Node(head.address)
            hit: list[tuple[float, list[int]]] = []
            try:
                search.start()
                for _ in range(times):
                    search.until_outcomes(len(search.arrived) + 5)
                    search.until(lambda: bool(_held(search, node)))  # noqa: B023 - called at once
                    held = _held(search, node)
                    node.kill()
                    hit += [(time.time(), genome) for genome in held]
                    node = Node(head.address)
                search.finish()
            finally:
                node.kill()
        yield self._hit(Row("node leaves", "RayPool, 2 nodes", times), search, hit)

    def node_joins(self) -> Iterator[Row]:
        """A node joins a search that has a worker too many for the first node."""
        with cluster(cpus=1) as head:
            search = self._search(pool={**RAY, "address": head.address}, pause=0.3)
            search.start()
            search.until_outcomes(5)
            node, moment = Node(head.address), time.time()
            try:
                search.until(lambda: len({note["process"] for note in search.begun()}) > 1)
                first = search.begun()[-1]
                search.finish()
            finally:
                node.kill()
        row = Row("node joins", "RayPool, 1 to 2 nodes", 1, remark="recovery: until the second worker began")
        yield self._ended(row, search, [first["time"] - moment])

    def cluster_gone(self) -> Iterator[Row]:
        """The whole cluster is killed, and started again at the same address."""
        times, port = 1 if self.quick else 2, free_port()
        head = Head(port)
        search = self._search(pool={**RAY, "address": head.address}, pause=0.1)
        row = Row("cluster gone and back", "RayPool, cluster", times)
        try:
            search.start()
            for kill in range(1, 1 + times):
                search.until_outcomes(kill * 15)
                head.kill()
                fault = search.happened(time.time())
                head = Head(port)
                row.recoveries.append(search.recovered(fault))
            search.finish()
        finally:
            head.kill()
        row.remark = "the driver waits and joins again"
        yield self._ended(row, search)

    def disk_full(self) -> Iterator[Row]:
        """The disk of the run folder fills while journaling: a small tmpfs, which is then made larger."""
        folder = self.folder / "disk"
        folder.mkdir()
        allowed = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
        if allowed.returncode:
            raise NotHere(f"mounts of one's own are not allowed ({allowed.stderr.decode().strip()})")
        again = [*UNSHARE, sys.executable, __file__, "--inside", str(folder)]
        done = subprocess.run(again, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Lost(done.stderr)
        yield Row(**json.loads(done.stdout.splitlines()[-1]))

    def trained(self) -> Iterator[Row]:
        """Real training: the quickstart killed at random moments, and on 1 and 4 workers instead of 2."""
        words = ["evaluations=40", "tracking=null"]
        expected = _trained(self.folder / "trained-whole", words)
        for workers in (1, 4):
            row = Row("other number of workers", f"quickstart, {workers} of RayPool", 1)
            row.agrees = _trained(self.folder / f"trained-{workers}", [*words, f"pool.workers={workers}"]) == expected
            yield row
        kills, rng, run = 2 if self.quick else 4, random.Random(0), self.folder / "trained-killed"
        row = Row("driver killed", "quickstart, 2 of RayPool", kills)
        for kill in range(kills):
            journal = run / "journal.jsonl"
            driver = _start_trained(run, words)
            target = (kill + rng.random()) * 40 / kills
            while driver.poll() is None and (
                not journal.exists() or journal.read_bytes().count(b'"finished"') < target
            ):
                time.sleep(0.02)
            driver.kill()
            driver.wait()
        row.agrees = _trained(run, words) == expected
        yield row

    def _search(self, **how: Any) -> FaultySearch:
        self._last = FaultySearch(self.folder / f"search-{len(list(self.folder.iterdir()))}", **how)
        return self._last

    def _expected(self, strategy: str = "NSGA2", evaluations: int = 60, **trouble: Any) -> tuple[object, ...]:
        """Return the facts of a search that nothing happens to; a trouble that is no accident belongs to it."""
        key = json.dumps([strategy, evaluations, trouble])
        if key not in self._whole:
            folder = self.folder / f"whole-{len(self._whole)}"
            search = FaultySearch(folder, strategy, LOCAL, evaluations, pause=0.0, **trouble)
            search.finish()
            self._whole[key] = search.facts()
        return self._whole[key]

    def _ended(self, row: Row, search: FaultySearch, recoveries: list[float] | None = None) -> Row:
        """Let the search end, and compare it with the one that nothing happened to."""
        search.finish()
        row.recoveries += recoveries or []
        row.lost, row.again = search.lost(), search.repeated()
        row.agrees = search.facts() == self._expected()
        return row

    def _hit(self, row: Row, search: FaultySearch, hit: list[tuple[float, list[int]]]) -> Row:
        """Recovered is a fault when the candidate that it hit has its outcome."""
        found = [(moment, search.outcome_of(genome)) for moment, genome in hit]
        return self._ended(row, search, [outcome - moment for moment, outcome in found if outcome])

    def _troubled(self, fault: str, pool: Mapping[str, Any], *, trouble: str, once: bool = True) -> Row:
        """Search with an evaluator that meets trouble on a tenth of the genomes, `once` or always."""
        search = self._search(pool=pool, trouble=trouble, share=0.1, once=once)
        search.finish()
        troubles = search.troubles()
        row = self._hit(Row(fault, "RayPool", len(troubles)), search, [(n["time"], n["genome"]) for n in troubles])
        if not once:
            row.agrees = search.facts() == self._expected(trouble=trouble, share=0.1, once=False)
        return row

    def _killed(
        self, strategy: str, where: str, pool: str | Mapping[str, Any], *, starts: int, middles: int, ends: int
    ) -> Row:
        """Kill a driver so many seconds after its start, after so many outcomes, and around its end."""
        evaluations, rng = 120, random.Random(strategy + where)
        search = self._search(strategy=strategy, pool=pool, evaluations=evaluations)
        row = Row("driver killed", f"{strategy}, {where}")
        counts = iter(sorted(rng.sample(range(1, evaluations - 5), middles)))
        moments = ["start"] * starts + ["middle"] * middles
        rng.shuffle(moments)
        fault: Fault | None = None
        for moment in [*moments, *["end"] * ends]:
            search.start()
            if moment == "start":
                until = time.monotonic() + rng.uniform(0.05, 2.0)
                search.until(lambda: time.monotonic() > until, or_end=True)  # noqa: B023 - called at once
            elif moment == "middle":
                target = max(next(counts), len(search.arrived) + 1)
                search.until(lambda: len(search.arrived) >= target, or_end=True)  # noqa: B023 - called at once
                time.sleep(rng.uniform(0, 0.05))
            else:
                search.until(lambda: search.closed)
                time.sleep(rng.uniform(0, 0.6))
            if search.ended:
                continue
            recovery = search.recovery(fault) if fault else None
            row.recoveries += [recovery] if recovery else []
            fault = search.happened(search.kill())
            row.times += 1
        search.start()
        search.finish()
        row.lost, row.again = search.lost(), search.repeated()
        row.agrees = search.facts() == self._expected(strategy, evaluations)
        return row


def full_disk(folder: Path) -> Row:
    """Search on a disk that is too small, make it a little larger and resume; again and again."""
    row = Row("disk full while journaling", "LocalPool, small tmpfs", remark="recovery: from the moment of more room")
    expected = FaultySearch(folder / "whole", evaluations=120, pause=0.0)
    expected.finish()
    search = FaultySearch(folder / "search", evaluations=120)
    search.run.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", search.run], check=True)
    for size in ("16k", "20k", "24k", "28k", "2m"):
        search.start()
        code, said = search.wait(), (search.folder / "output.log").read_text()
        if code != 2 or said.count("cannot be written: No space left on device") <= row.times:
            raise Lost(f"the driver ended with {code}: {said[-2000:]}")
        row.times += 1
        subprocess.run(["mount", "-o", f"remount,size={size}", search.run], check=True)
        fault = search.happened(time.time())
        search.start()
        row.recoveries.append(search.recovered(fault))
    search.finish()
    row.lost, row.again, row.agrees = search.lost(), search.repeated(), search.facts() == expected.facts()
    return row


def _held(search: FaultySearch, node: Node) -> list[list[int]]:
    """Return the genomes whose evaluation has begun on a node and has not ended."""
    processes = {process.pid for process in node.processes()}
    latest = {note["process"]: note["genome"] for note in search.begun() if note["process"] in processes}
    return [genome for genome in latest.values() if search.outcome_of(genome) is None]


def _start_trained(run: Path, words: list[str]) -> subprocess.Popen[bytes]:
    began = (run / "journal.jsonl").exists()
    command = [EVONAS, "resume", str(run)] if began else [EVONAS, "run", str(QUICKSTART), *words, "--run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _trained(run: Path, words: list[str]) -> tuple[str, str]:
    """Search to the end, and return the hashes of evaluations and front."""
    if _start_trained(run, words).wait() != 0:
        raise Lost(f"the search in {run} failed")
    result = json.loads((run / "front.json").read_text())
    return result["evaluations_hash"], result["front_hash"]


FAULTS: Mapping[str, Callable[[Faults], Iterator[Row]]] = {
    "driver-killed": Faults.driver_killed,
    "driver-interrupted": Faults.driver_interrupted,
    "actor-killed": Faults.actor_killed,
    "actor-memory": Faults.actor_memory,
    "evaluation-hangs": Faults.evaluation_hangs,
    "evaluator-raises": Faults.evaluator_raises,
    "evaluator-broken": Faults.evaluator_broken,
    "metrics-not-finite": Faults.metrics_not_finite,
    "node-leaves": Faults.node_leaves,
    "node-joins": Faults.node_joins,
    "cluster-gone": Faults.cluster_gone,
    "disk-full": Faults.disk_full,
    "trained": Faults.trained,
}


@contextmanager
def cluster(cpus: int = 2) -> Iterator[Head]:
    """Start a head on loopback; it is gone afterwards."""
    head = Head(free_port(), cpus)
    try:
        yield head
    finally:
        head.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help=", ".join(FAULTS)
    )
    parser.add_argument("--quick", action="store_true", help="fewer times")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(asdict(full_disk(chosen.inside))))
        return
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    faults, good = Faults(folder, chosen.quick), True
    print(LINE.format("fault", "where", "times", "lost", "again", "recovery", "as if nothing had been"), flush=True)
    for name in chosen.only:
        try:
            for row in FAULTS[name](faults):
                good &= row.good
                print(row, flush=True)
        except NotHere as error:
            print(f"{name}: not here: {error}", flush=True)
        except Lost as error:
            good = False
            print(f"{name}: LOST: {error}; see {folder}", flush=True)
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    print("nothing was lost" if good else f"SOMETHING WAS LOST, see {folder}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
