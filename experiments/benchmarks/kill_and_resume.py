"""The same front however a search is run: uninterrupted, killed and resumed, on 1, 2 and 4 workers.

    python experiments/benchmarks/kill_and_resume.py [EXPERIMENT] [KEY=VALUE ...]

The driver is ended with SIGKILL at five random moments of its run. Prints a row for each way of running it: seconds,
evaluations, the hash of all evaluations (timings aside) and of the front, which must agree. Ends with 1 if they do not.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVONAS = str(Path(sys.executable).with_name("evonas"))
QUICKSTART = Path(__file__).parents[1] / "quickstart.yaml"
KILLS = 5


def evonas(*words: str) -> subprocess.Popen[bytes]:
    """Start a command of evonas, without its output."""
    return subprocess.Popen([EVONAS, *words], stdout=subprocess.DEVNULL)


def whole(experiment: list[str], run: Path, *overrides: str) -> float:
    """Search without interruption; return the seconds."""
    started = time.monotonic()
    if evonas("run", *experiment, "tracking=null", *overrides, "--run", str(run)).wait() != 0:
        raise SystemExit(f"the search in {run} failed")
    return time.monotonic() - started


def killed(experiment: list[str], run: Path, seconds: float) -> tuple[float, list[int]]:
    """Search, killed at random moments; return the seconds, and how many outcomes were there at each kill."""
    started, moments, had = time.monotonic(), random.Random(0), list[int]()
    driver = evonas("run", *experiment, "tracking=null", "--run", str(run))
    while len(had) < KILLS:
        time.sleep(moments.uniform(0.1, 0.5) * seconds)
        if driver.poll() is not None:
            break
        driver.kill()
        driver.wait()
        journal = run / "journal.jsonl"
        had.append(journal.read_bytes().count(b'"event":"finished"') if journal.exists() else 0)
        again = ["resume", str(run)] if journal.exists() else ["run", *experiment, "tracking=null", "--run", str(run)]
        driver = evonas(*again)
    if driver.wait() != 0:
        raise SystemExit(f"the resumed search in {run} failed")
    return time.monotonic() - started, had


def main() -> None:
    experiment = sys.argv[1:] or [str(QUICKSTART)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("uninterrupted", "killed", "1 worker", "2 workers", "4 workers"):
            run = Path(folder) / name.replace(" ", "-")
            if name == "killed":
                seconds, had = killed(experiment, run, rows[0][1])
                name = f"killed after {', '.join(map(str, had))} outcomes"
            else:
                workers = [f"pool.workers={name[0]}"] if name[0].isdigit() else []
                seconds = whole(experiment, run, *workers)
            result = json.loads((run / "front.json").read_text())
            hashes = result["evaluations_hash"], result["front_hash"]
            rows.append((name, seconds, result["counts"]["evaluated"], *hashes, result["hypervolume"]))
            print(f"{name:45} {seconds:6.0f} s {rows[-1][2]:5} evaluations {hashes[0]} front {hashes[1]} "
                  f"hypervolume {rows[-1][5]:.6f}", flush=True)  # fmt: skip
    agree = len({row[2:] for row in rows}) == 1
    print("all agree" if agree else "THEY DIFFER")
    sys.exit(not agree)


if __name__ == "__main__":
    main()
