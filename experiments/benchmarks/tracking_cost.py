"""What MLflow costs the driver of a search whose evaluations cost nothing: evaluations a second, and memory.

    python experiments/benchmarks/tracking_cost.py [EVALUATIONS] [KEY=VALUE ...]

Searches with and without tracking, in turns, each in a process and a run folder of its own; the store is embedded.
Prints evaluations a second of the search proper and its seconds, the share of them for which MLflow's thread had the
processor, the seconds of what comes before and after the search, and by how much the driver's memory has grown between
the first evaluation and the last one, and at most when all was drawn and sent.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import psutil

from evonas import config, search
from evonas.evaluation import Evaluator, Metric, Outcome, Source
from evonas.history import History
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.tracking.base import Tracker

TURNS = 3
WAYS = {
    "without": "tracking=null",
    "children: front": "tracking.children=front",
    "children: all": "tracking.children=all",
}


class Wide(SearchSpace):
    """16 million genomes with formulas for costs."""

    genes = tuple(Gene(f"gene_{i}", tuple(range(8))) for i in range(8))

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("there is nothing to build")

    def costs(self, genome: Genome) -> Metrics:
        return {"params": float(1 + sum(genome)), "macs": float(1 + genome[0] * genome[1])}


class Free(Evaluator):
    """An error that costs nothing to compute."""

    source = Source.TABULAR
    metrics = (Metric("valid_error", worst=1.0),)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {"valid_error": (1 + genome[0] ^ genome[3]) / (10.0 + sum(genome[4:]))}


class Weigh(Tracker):
    """Notes the driver's memory at the first outcome, and the most since."""

    def __init__(self) -> None:
        self.first = self.last = self.most = 0
        self.thread_seconds = 0.0

    def outcome(self, history: History, outcome: Outcome) -> None:
        """Look at every thousandth."""
        if len(history.outcomes) % 1_000 == 1:
            self.last = psutil.Process().memory_info().rss
            self.first = self.first or self.last
            self.most = max(self.most, self.last)
            mine = [thread.native_id for thread in threading.enumerate() if thread.name == "evonas-mlflow"]
            times = [thread for thread in psutil.Process().threads() if thread.id in mine]
            self.thread_seconds = sum(thread.user_time + thread.system_time for thread in times)


def once(words: list[str]) -> None:
    """Search here, and print what it took as JSON."""
    experiment = config.parse(
        {
            "space": "tracking_cost:Wide", "evaluator": "tracking_cost:Free", "data": None,
            "strategy": "evonas.strategies.random_search:RandomSearch",
            "pool": "evonas.workers.local_pool:LocalPool",
        },
        words,
    )  # fmt: skip
    weigh, began = Weigh(), time.monotonic()
    _, history = search.run(experiment, watch=lambda search, path: [weigh])
    whole, mib = time.monotonic() - began, 1 << 20
    print(
        json.dumps(
            {
                "rate": len(history.outcomes) / history.elapsed,
                "search": history.elapsed,
                "thread": 100 * weigh.thread_seconds / history.elapsed,
                "around": whole - history.elapsed,
                "grown": (weigh.last - weigh.first) / mib,
                "most": (max(weigh.most, psutil.Process().memory_info().rss) - weigh.first) / mib,
            }
        )
    )


def main() -> None:
    if sys.argv[1:2] == ["--once"]:
        once(sys.argv[2:])
        return
    words = sys.argv[1:] or ["20000"]
    overrides = [f"evaluations={words[0]}", *words[1:]]
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way, tracking in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, __file__, "--once", *overrides, tracking, f"runs={folder}/runs"]
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
                rows[way].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{words[0]} evaluations, medians of {TURNS}")
    print(f"{'':16} evaluations/s  search  thread  around it  memory grown by  at most")
    for way, taken in rows.items():
        rate, seconds, thread, around, grown, most = (statistics.median(row[key] for row in taken) for key in taken[0])
        print(f"{way:16} {rate:13,.0f} {seconds:6.1f}s {thread:6.1f}% {around:9.1f}s {grown:12.0f} MiB {most:5.0f} MiB")


if __name__ == "__main__":
    main()
