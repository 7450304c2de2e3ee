"""One run of the benchmark: a contestant, a problem and a seed; runs are kept in a file, a line of JSON each."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from efficiency_problems import Problem, problem
from efficiency_rivals import RIVALS, Evaluate, Spent

from evonas.component import Component
from evonas.config import checked_options
from evonas.early_exit import EarlyExit
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.strategies.base import Strategy

ASKED = 10
"""How many candidates a strategy may hand out at a time; what ours propose does not depend on it."""


@dataclass(frozen=True)
class Contestant:
    """A strategy of ours (`use` and options) or a rival (`rival`: its name), under the name that tables give it."""

    name: str
    recipe: dict[str, Any]

    def search(self, problem: Problem, seed: int, evaluate: Evaluate) -> None:
        """Search until `evaluate` raises `Spent`, or nothing is left to propose."""
        if "rival" in self.recipe:
            RIVALS[self.recipe["rival"]](problem.space.genes, seed, evaluate)
        else:
            _ask_and_tell(self.strategy(problem, seed), problem, evaluate)

    def strategy(self, problem: Problem, seed: int) -> Strategy:
        """Return the strategy of ours."""
        admit = EarlyExit(problem.space, ()).admit
        supplies = {"space": problem.space, "goals": problem.goals, "admit": admit, "seed": seed}
        strategy: Strategy = Component.of(self.recipe).build(supplies)
        return strategy


def ours(name: str, strategy: str | Mapping[str, Any]) -> Contestant:
    """Return a strategy of ours, as an experiment names it, with its defaults written out: others make another run."""
    return Contestant(name, checked_options(Component.of(strategy), name).plain())


@dataclass(frozen=True)
class Run:
    """What a contestant proposed, as rows of the table, and the seconds of CPU that proposing took."""

    problem: str
    contestant: str
    recipe: dict[str, Any]
    seed: int
    evaluations: int
    rows: list[int]
    seconds: float


def run(name: str, tables: Path, contestant: Contestant, seed: int, evaluations: int) -> Run:
    """Search a problem; the time of the table look-ups, microseconds each, is counted in."""
    table, rows = problem(name, tables), list[int]()
    losses = [tuple(row) for row in table.losses.tolist()]

    def evaluate(genome: tuple[int, ...]) -> tuple[float, ...]:
        if len(rows) == evaluations:
            raise Spent
        rows.append(table.row(genome))
        return losses[rows[-1]]

    table.goals  # noqa: B018  # read once, not in the contestant's time
    began = time.process_time()
    with suppress(Spent):
        contestant.search(table, seed, evaluate)
    seconds = time.process_time() - began
    for thread in threading.enumerate():  # what was computed ahead for naught counts in nobody's time
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    return Run(name, contestant.name, contestant.recipe, seed, evaluations, rows, seconds)


def kept(path: Path) -> list[Run]:
    """Return the runs of a file; a line that was cut short is none."""
    runs = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            runs.append(Run(**json.loads(line)))
        except (json.JSONDecodeError, TypeError):
            continue
    return runs


def keep(path: Path, run: Run) -> None:
    """Append a run."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(run)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def find(runs: Iterable[Run], name: str, contestant: Contestant, seed: int, evaluations: int) -> Run | None:
    """Return the run among these that was just this one."""
    wanted = (name, contestant.recipe, seed, evaluations)
    return next((r for r in runs if (r.problem, r.recipe, r.seed, r.evaluations) == wanted), None)


def batch_seconds(name: str, tables: Path, contestant: Contestant, archive: int, batches: int) -> list[float]:
    """Return what each of several batches of `ASKED` takes of CPU, told outcomes included, with an archive that large.

    The archive is of uniform genomes, which the strategy adopts as a resumed search does.
    """
    table = problem(name, tables)
    strategy = contestant.strategy(table, seed=0)
    drawn: dict[tuple[int, ...], None] = {}
    rng = strategy.generator(-1)
    while len(drawn) < archive:
        drawn[table.space.canonical(table.space.sample(rng))] = None
    candidates = [Candidate(number, genome, number // ASKED) for number, genome in enumerate(drawn)]
    _tell(strategy, table, candidates, adopt=True)
    seconds = []
    for _ in range(batches):
        began, told = time.process_time(), 0
        while told < ASKED:
            asked = strategy.ask(ASKED - told)
            assert asked, "a space that small is no place to measure this"
            _tell(strategy, table, asked)
            told += len(asked)
        seconds.append((time.process_time() - began) * ASKED / told)
    return seconds


def _ask_and_tell(strategy: Strategy, problem: Problem, evaluate: Evaluate) -> None:
    while asked := strategy.ask(ASKED):
        for candidate in asked:
            evaluate(candidate.genome)
        _tell(strategy, problem, asked)


def _tell(strategy: Strategy, problem: Problem, candidates: Sequence[Candidate], *, adopt: bool = False) -> None:
    if adopt:
        strategy.adopt(candidates)
    for candidate in candidates:
        metrics = problem.metrics(candidate.genome)
        strategy.tell(Evaluation(candidate, metrics, Source.TABULAR, seconds=0.0, seed=0))
