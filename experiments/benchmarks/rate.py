"""The rate that matters: how much sooner a search with a predictor finds what NSGA-II finds, training each network.

    python experiments/benchmarks/rate.py [--seeds 3] [--strategy YAML] [--runs FOLDER] [key=value ...]

For each seed NSGA-II (population 20; no gate, no predictor, as NSGA-Net searches) spends its evaluations on
`experiments/fashion_mnist.yaml`, and then the strategy searches with the same seed, recipe and workers until its
hypervolume is that of NSGA-II's whole search, or as many evaluations are spent. All networks are really trained, one
that both propose to the same weights. Seconds are those of the journals, from the start of the pool. `key=value`
replaces values of either experiment.

A search that is finished stays in `--runs` and is not run again, one that was interrupted goes on, so the benchmark can
be cut at any time. With its defaults it takes at most 40 minutes on two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evonas import config, journal, search
from evonas.compose import prepare
from evonas.config import Experiment
from evonas.errors import EvonasError
from evonas.evaluation import Evaluation, Outcome
from evonas.history import JOURNAL, History
from evonas.tracking.base import Tracker

EXPERIMENT = Path(__file__).resolve().parents[1] / "fashion_mnist.yaml"
SETTINGS = ("evaluator.epochs=2", "evaluations=100", "tracking=null", "pool.workers=2")
NSGA_NET = "{use: evonas.strategies.pymoo_nsga2:NSGA2, population: 20}"
SURROGATE = "evonas.strategies.expected_hypervolume:ExpectedHypervolume"

GOAL = 3.0


class Reached(BaseException):
    """Raised by a tracker to end a search as an interrupt does: the journal is whole, and the search could go on."""


class Target(Tracker):
    """Ends the search when its front has the hypervolume."""

    def __init__(self, hypervolume: float) -> None:
        self.hypervolume = hypervolume

    def outcome(self, history: History, outcome: Outcome) -> None:
        """End the search if that is reached."""
        if history.front.hypervolume >= self.hypervolume:
            raise Reached


@dataclass(frozen=True)
class Arrival:
    """When a search first had a hypervolume: seconds since it began, and evaluations finished by then."""

    seconds: float
    evaluations: int


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    print(f"{'seed':>4} {'hypervolume':>12}{'NSGA-II: s':>12}{'evaluations':>12}{'s each':>8}{'strategy: s':>13}"
          f"{'evaluations':>12}{'s each':>8}{'ratio':>8}{'first had':>11}")  # fmt: skip
    ratios = [ratio for seed in range(options.seeds) if (ratio := _race(options, seed)) is not None]
    missed = options.seeds - len(ratios)
    if ratios:
        print(f"\nmean ratio {statistics.mean(ratios):.2f}, least {min(ratios):.2f}; goal {GOAL:g}")
    if missed:
        print(f"not reached in {missed} of {options.seeds}; they are not in the mean")


def _race(options: argparse.Namespace, seed: int) -> float | None:
    """Search both ways, print a row, and return how much sooner the strategy was; None if it did not get there."""
    folder: Path = options.runs / f"seed-{seed}"
    baseline = _searched(folder / "nsga2", _experiment(NSGA_NET, seed, options.overrides))
    hypervolume = baseline.front.hypervolume
    rival = _searched(folder / "strategy", _experiment(options.strategy, seed, options.overrides), hypervolume)
    first = arrival(folder / "nsga2", hypervolume)
    reached = arrival(folder / "strategy", hypervolume)
    assert first is not None
    ratio = None if reached is None else baseline.elapsed / reached.seconds
    ended = reached or Arrival(rival.elapsed, len(rival.outcomes))
    print(f"{seed:4} {hypervolume:12.4f}{baseline.elapsed:12.0f}{len(baseline.outcomes):12}{baseline.mean_seconds:8.1f}"
          f"{ended.seconds:13.0f}{ended.evaluations:12}{rival.mean_seconds:8.1f}"
          f"{'never' if ratio is None else f'{ratio:.2f}':>8}{first.seconds:9.0f} s", flush=True)  # fmt: skip
    return ratio


def arrival(path: Path, hypervolume: float) -> Arrival | None:
    """Return when the search of a run folder first had the hypervolume, None if it never had."""
    header, *events = journal.read(path / JOURNAL)
    history = History.replay([header])
    for event in events:
        history.apply(event)
        if history.front.hypervolume >= hypervolume:
            evaluated = sum(isinstance(outcome, Evaluation) for outcome in history.outcomes.values())
            return Arrival(history.elapsed, evaluated)
    return None


def _searched(path: Path, experiment: Experiment, hypervolume: float | None = None) -> History:
    """Search, to the end or to the hypervolume, unless that was done before; return what happened."""
    if (path / JOURNAL).is_file() and (history := History.read(path)).header.config_hash == experiment.identity():
        reached = hypervolume is not None and history.front.hypervolume >= hypervolume
        if reached or len(history.outcomes) == experiment.evaluations:
            return history
    print(f"{path}: searching", file=sys.stderr)
    watch = [] if hypervolume is None else [Target(hypervolume)]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return search.run_or_resume(experiment, path, lambda search, path: watch)
    except Reached:
        return History.read(path)


def _experiment(strategy: str, seed: int, overrides: Sequence[str]) -> Experiment:
    """Return the experiment, complete: with what its space takes from the data."""
    settings = [*SETTINGS, f"strategy={strategy}", f"seed={seed}", *overrides]
    return prepare(config.load(EXPERIMENT, settings)).experiment


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategy", default=SURROGATE,
                        metavar="YAML", help="import path, or mapping as in an experiment (%(default)s)")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs/rate"), help="where searches are kept (%(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except EvonasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
