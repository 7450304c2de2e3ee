"""Microseconds of CPU that each strategy takes for a candidate: asked for and told, and replayed.

    python experiments/benchmarks/strategies_cost.py [EVALUATIONS]

The space has 20 genes of five options and two objectives with a formula; outcomes come in random order from eight
workers. The cost of the formula is not counted.
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from typing import Any

import numpy as np

from evonas.controller import replay
from evonas.early_exit import EarlyExit
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.goals import Goals, Objective
from evonas.journal import Asked, Event, Finished
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.strategies.aging_evolution import AgingEvolution
from evonas.strategies.base import Strategy
from evonas.strategies.deap_mu_plus_lambda import MuPlusLambda
from evonas.strategies.local_search import LocalSearch
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.pymoo_nsga3 import NSGA3
from evonas.strategies.pymoo_sms_emoa import SMSEMOA
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.random_search import RandomSearch

STRATEGIES = (RandomSearch, NSGA2, NSGA3, SMSEMOA, MuPlusLambda, SteadyStateNSGA2, AgingEvolution, LocalSearch)
POPULATIONS = (40, 100, 400)
WORKERS = 8
GENES = 20


class Formula(SearchSpace):
    """Two objectives that trade off: every option is worth something and costs something."""

    genes = tuple(Gene(f"gene_{number}", tuple(range(5))) for number in range(GENES))
    worth = np.random.default_rng(0).random((GENES, 5)).tolist()

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("a formula has no weights")

    def costs(self, genome: Genome) -> Metrics:
        error = 1 - sum(row[option] for row, option in zip(self.worth, genome, strict=True)) / GENES
        return {"valid_error": error, "params": float(1 + sum(genome))}


def new(kind: Any, population: int) -> Strategy:
    """Return a strategy over the formula."""
    space = Formula()
    goals = Goals((Objective("valid_error", False, 1.0), Objective("params", False, 1.0 + 4 * GENES)))
    options = {"block" if kind is RandomSearch else "population": population}
    strategy: Strategy = kind(space, goals, EarlyExit(space, ()).admit, 0, **options)
    return strategy


def search(strategy: Strategy, evaluations: int) -> tuple[float, list[Event]]:
    """Play a search; return the seconds that the strategy took, and the events."""
    events, queue, running, rng, seconds = list[Event](), deque[Candidate](), list[Candidate](), random.Random(0), 0.0
    told = 0
    while told < evaluations:
        while len(running) < WORKERS:
            if not queue:
                started = time.process_time()
                candidates = strategy.ask(WORKERS - len(running))
                seconds += time.process_time() - started
                if not candidates:
                    break
                events.append(Asked(candidates))
                queue.extend(candidates)
            running.append(queue.popleft())
        candidate = running.pop(rng.randrange(len(running)))
        outcome = Evaluation(candidate, strategy.space.costs(candidate.genome), Source.TABULAR, 0.0, 0)
        events.append(Finished(outcome, 0.0))
        started = time.process_time()
        strategy.tell(outcome)
        seconds += time.process_time() - started
        told += 1
    return seconds, events


def main() -> None:
    evaluations = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"microseconds of CPU, {evaluations:,} evaluations\n")
    print(f"{'':18}{'population':>12}{'ask + tell':>12}{'replayed':>12}")
    for kind in STRATEGIES:
        for population in POPULATIONS:
            searching, events = search(new(kind, population), evaluations)
            resumed = new(kind, population)
            started = time.process_time()
            replay(resumed, events)
            resumed.ask(1)
            replaying = time.process_time() - started
            costs = (f"{seconds / evaluations * 1e6:12.1f}" for seconds in (searching, replaying))
            print(f"{kind.__name__:18}{population:12}{''.join(costs)}", flush=True)


if __name__ == "__main__":
    main()
