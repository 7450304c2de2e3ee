"""Faults of the driver and of its disk."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fault_bench import Bench, NotHere, Row
from fault_nodes import cluster
from fault_search import EVONAS, LOCAL, RAY, STRATEGIES, Fault, FaultySearch, Lost

QUICKSTART = Path(__file__).parents[1] / "quickstart.yaml"
UNSHARE = ["unshare", "--map-root-user", "--mount"]


def driver_killed(bench: Bench) -> Iterator[Row]:
    """`kill -9` of the driver: while it starts, in the middle, at the end, and when it is resumed for nothing."""
    for strategy in STRATEGIES:
        yield _killed(bench, strategy, "LocalPool", LOCAL, starts=3, middles=3 if bench.quick else 10, ends=2)
    for strategy in list(STRATEGIES)[: 1 if bench.quick else 2]:
        yield _killed(bench, strategy, "RayPool", RAY, starts=1, middles=1 if bench.quick else 3, ends=1)
    with cluster() as head:
        pool = {**RAY, "address": head.address}
        yield _killed(
            bench, "AgingEvolution", "RayPool, cluster", pool, starts=0, middles=1 if bench.quick else 4, ends=0
        )


def driver_interrupted(bench: Bench) -> Iterator[Row]:
    """SIGTERM to the driver; SIGINT to the driver and all its children, as Ctrl-C sends it."""
    for name, number in (("SIGTERM", signal.SIGTERM), ("Ctrl-C", signal.SIGINT)):
        for where, pool, times in (("LocalPool", LOCAL, 3), ("RayPool", RAY, 2)):
            search = bench.search(pool=pool)
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
            yield bench.ended(row, search)


def disk_full(bench: Bench) -> Iterator[Row]:
    """The disk of the run folder fills while journaling: a small tmpfs, which is then made larger."""
    folder = bench.folder / "disk"
    folder.mkdir()
    allowed = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    if allowed.returncode:
        raise NotHere(f"mounts of one's own are not allowed ({allowed.stderr.decode().strip()})")
    again = [*UNSHARE, sys.executable, Path(__file__).with_name("faults.py"), "--inside", folder]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Lost(done.stderr)
    yield Row(**json.loads(done.stdout.splitlines()[-1]))


def trained(bench: Bench) -> Iterator[Row]:
    """Real training: the quickstart killed at random moments, and on 1 and 4 workers instead of 2."""
    words = ["evaluations=40", "tracking=null"]
    expected = _trained(bench.folder / "trained-whole", words)
    for workers in (1, 4):
        row = Row("other number of workers", f"quickstart, {workers} of RayPool", 1)
        row.agrees = _trained(bench.folder / f"trained-{workers}", [*words, f"pool.workers={workers}"]) == expected
        yield row
    kills, rng, run = 2 if bench.quick else 4, random.Random(0), bench.folder / "trained-killed"
    row = Row("driver killed", "quickstart, 2 of RayPool", kills)
    for kill in range(kills):
        journal = run / "journal.jsonl"
        driver = _start_trained(run, words)
        target = (kill + rng.random()) * 40 / kills
        while driver.poll() is None and (not journal.exists() or journal.read_bytes().count(b'"finished"') < target):
            time.sleep(0.02)
        driver.kill()
        driver.wait()
    row.agrees = _trained(run, words) == expected
    yield row


def _killed(
    bench: Bench, strategy: str, where: str, pool: str | Mapping[str, Any], *, starts: int, middles: int, ends: int
) -> Row:
    """Kill a driver so many seconds after its start, after so many outcomes, and around its end."""
    evaluations, rng = 120, random.Random(strategy + where)
    search = bench.search(strategy=strategy, pool=pool, evaluations=evaluations)
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
    row.agrees = search.facts() == bench.expected(strategy, evaluations)
    return row


def full_disk(folder: Path) -> Row:
    """Search on a disk that is too small, make it a little larger and resume; again and again."""
    row = Row("disk full while journaling", "LocalPool, small tmpfs", remark="recovery: from the moment of more room")
    expected = FaultySearch(folder / "whole", evaluations=120, pause=0.0)
    expected.finish()
    search = FaultySearch(folder / "search", evaluations=120)
    search.run.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", search.run], check=True)
    search.start()
    for size in ("16k", "20k", "24k", "28k", "2m"):
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
