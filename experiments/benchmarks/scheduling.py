"""Generational and steady-state strategies on 8 to 4,096 workers whose evaluations take lognormal times (sigma 1).

    python experiments/benchmarks/scheduling.py [--quick]

Controller, strategies and journal are real, the workers are simulated on a virtual clock, and the problem is the
trivial one. Time is counted in mean evaluations, of which the budget holds 20 a worker. Utilisation is the share of all
workers' time that was spent on evaluations,

- `handing out`: until the last candidate was handed out, which is what a strategy can do something about;
- `to the end`: until the last outcome, when workers idle beside the longest evaluations, whatever the strategy;
- `at best`: `to the end` of a scheduler that had known all these durations, and begun with the longest.

`own cost` is the time of the processor for an evaluation outside strategy and workers: loop, journal and history. The
journal lies in memory where the system has such a folder: a disk's fsync is no matter of scheduling.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from timed_search import STRATEGIES

from evonas import compose, config
from evonas.controller import Controller
from evonas.early_exit import EarlyExit
from evonas.evaluation import Candidate, Outcome
from evonas.history import JOURNAL, History
from evonas.journal import Journal
from evonas.strategies.base import Strategy
from evonas.workers.simulated_pool import SimulatedPool

EVALUATIONS_A_WORKER = 20
MEDIAN_SECONDS, SIGMA = 60.0, 1.0
MEAN_SECONDS = MEDIAN_SECONDS * np.exp(SIGMA**2 / 2)
CHECKPOINTS = (5, 10, 20)
"""When the hypervolume is read, in mean evaluations."""

STEADY = {**STRATEGIES["steady-state NSGA-II"], "lag": None}
AGING = {"use": "evonas.strategies.aging_evolution:AgingEvolution", "population": 100, "deterministic": False}
MEMORY = Path("/dev/shm")


def contenders(workers: int) -> dict[str, dict[str, Any]]:
    """Return the strategies that are compared on so many workers."""
    return {
        "NSGA-II, population 100": dict(STRATEGIES["NSGA-II"]),
        "NSGA-II, population = workers": {**STRATEGIES["NSGA-II"], "population": workers},
        "steady state, lag 2 x workers": {**STEADY, "lag": 2 * workers},
        "steady state, lag 8 x workers": {**STEADY, "lag": 8 * workers},
        "steady state, as they arrive": {**STEADY, "deterministic": False},
        "aging evolution, as they arrive": AGING,
    }


class Workers(SimulatedPool):
    """A simulated pool that notes when each evaluation began and ended, and what it took itself."""

    def __init__(self, recipe: compose.ExperimentRecipe, workers: int) -> None:
        super().__init__(recipe, workers=workers, median_seconds=MEDIAN_SECONDS, sigma=SIGMA)
        self.spans: list[tuple[float, float]] = []
        self.cpu_seconds = 0.0
        self.hypervolumes: list[float] = []
        self.history: History | None = None

    def submit(self, candidates: Sequence[Candidate]) -> None:
        began = time.process_time()
        super().submit(candidates)
        self.cpu_seconds += time.process_time() - began

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        began = time.process_time()
        outcomes = super().next_outcomes(timeout)
        now = self.clock()
        self.spans += [(now - outcome.seconds, now) for outcome in outcomes]
        self.cpu_seconds += time.process_time() - began
        while len(self.hypervolumes) < len(CHECKPOINTS) and now > CHECKPOINTS[len(self.hypervolumes)] * MEAN_SECONDS:
            self.hypervolumes.append(self.history.front.hypervolume)
        return outcomes


class Clocked:
    """Adds up the time of the processor that a strategy takes."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.cpu_seconds = 0.0

    def ask(self, limit: int) -> list[Candidate]:
        began = time.process_time()
        asked = self._strategy.ask(limit)
        self.cpu_seconds += time.process_time() - began
        return asked

    def tell(self, outcome: Outcome) -> None:
        began = time.process_time()
        self._strategy.tell(outcome)
        self.cpu_seconds += time.process_time() - began


def compare(workers: int, name: str, strategy: dict[str, Any], folder: Path) -> None:
    """Search, and print a row."""
    evaluations = EVALUATIONS_A_WORKER * workers
    prepared = compose.prepare(
        config.parse(
            {
                "space": "trivial:Digits", "data": None, "evaluator": "trivial:Formula", "strategy": strategy,
                "evaluations": evaluations, "pool": "evonas.workers.simulated_pool:SimulatedPool", "tracking": None,
            }
        )
    )  # fmt: skip
    early_exit = EarlyExit(prepared.space, prepared.gates)
    clocked, pool = Clocked(prepared.strategy(early_exit)), Workers(prepared.recipe, workers)
    history = pool.history = History(prepared.header())
    journal = Journal.create(folder / f"{workers}-{name.replace(' ', '-')}-{JOURNAL}", history.header)
    controller = Controller(
        strategy=clocked, early_exit=early_exit, pool=pool, journal=journal, history=history, trackers=[],
        evaluations=evaluations, max_consecutive_failures=10,
    )  # fmt: skip
    began = time.process_time()
    controller.run()
    own = time.process_time() - began - pool.cpu_seconds - clocked.cpu_seconds
    journal.close()
    spans = np.array(pool.spans)
    whole, last_begin = spans[:, 1].max(), spans[:, 0].max()
    seconds = spans[:, 1] - spans[:, 0]
    handing_out = np.minimum(spans[:, 1], last_begin) - spans[:, 0]
    best = max(seconds.sum() / workers, seconds.max())
    shares = (
        handing_out.sum() / (workers * last_begin),
        seconds.sum() / (workers * whole),
        seconds.sum() / (workers * best),
    )
    volumes = [*pool.hypervolumes, *[history.front.hypervolume] * (len(CHECKPOINTS) - len(pool.hypervolumes))]
    print(
        f"{workers:7,} {name:33}{''.join(f'{share:9.1%}' for share in shares)}{whole / MEAN_SECONDS:9.1f}"
        f"{''.join(f'{volume:9.4f}' for volume in [*volumes, history.front.hypervolume])}"
        f"{clocked.cpu_seconds / evaluations * 1e3:10.3f}{own / evaluations * 1e3:10.3f}",
        flush=True,
    )


def main() -> None:
    print(f"{'':41}{'utilisation':>27}{'':9}{'hypervolume at':>36}{'ms each':>20}")
    head = ("handing", "to end", "at best", "takes", *(f"t={t}" for t in CHECKPOINTS), "end")
    print(f"workers {'strategy':33}{''.join(f'{word:>9}' for word in head)}{'strategy':>10}{'own cost':>10}")
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        for workers in (8, 64) if "--quick" in sys.argv else (8, 64, 512, 4_096):
            for name, strategy in contenders(workers).items():
                compare(workers, name, strategy, Path(folder))


if __name__ == "__main__":
    main()
