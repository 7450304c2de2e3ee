"""The rate that matters: how much sooner a search with a predictor finds what NSGA-II finds, training each network.

    python experiments/benchmarks/rate.py [--seeds 3] [--strategy YAML] [--scored 200] [--runs FOLDER] [key=value ...]

For each seed three searches of the same networks, with the same recipe and workers, all of whose networks are trained:

  NSGA-II   population 20, no gate, no predictor, as NSGA-Net searches: to the end of its evaluations
  strategy  until its hypervolume is that of NSGA-II at the end, or as many evaluations are spent
  warm      the same strategy, whose initial networks are the best of `--scored` ones that NSGA-II met by their score
            before training (naswot), which takes seconds that count

The networks are those of `--experiment`, by default the cells of `experiments/nsga_net_fashion.yaml` on 10,000 images
of Fashion-MNIST, shrunk to 14 x 14. Seconds are those of the journals, from the start of the pool. `key=value`
replaces values of all experiments.

A search that is finished stays in `--runs` and is not run again, one that was interrupted goes on, so the benchmark can
be cut at any time. With its defaults it takes about an hour on two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from evonas import config, journal, search
from evonas.compose import prepare
from evonas.config import Experiment
from evonas.errors import EvonasError
from evonas.evaluation import Outcome
from evonas.history import JOURNAL, History
from evonas.tracking.base import Tracker

EXPERIMENT = Path(__file__).resolve().parents[1] / "nsga_net_fashion.yaml"
SETTINGS = ("tracking=null", "pool.workers=2")
PARAMS = "{metric: final_params, worst: 5.0e+6}"
LARGER = (
    "data.train_size=10000",
    "data.valid_fraction=0.1",
    "data.shrink=2",
    "evaluator.batch_size=64",
    f"objectives=[{{metric: valid_error, worst: 0.25}}, {PARAMS}]",
    "evaluations=120",
)
"""What differs from the file if no other is given.

The hypervolume's reference is close to the front: from that of the file, an error of 1 and 10 million parameters, the
smallest network of all has more of it than anything that NSGA-II finds, whatever its error.
"""

NSGA_NET = "{use: evonas.strategies.pymoo_nsga2:NSGA2, population: 20, crossover: two_point}"
SURROGATE = "evonas.strategies.expected_hypervolume:ExpectedHypervolume"
SCORED = (
    "evaluator={use: evonas.workers.zero_cost:ZeroCost, proxies: [naswot]}",
    f"objectives=[naswot, {PARAMS}]",
)

GOALS = {"strategy": 3.0, "warm": 8.0}


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


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    rivals = [name for name in GOALS if name == "strategy" or options.scored]
    print(f"{'seed':>4}{'search':>10}{'hypervolume':>13}{'networks':>10}{'s each':>8}{'seconds':>9}{'ratio':>8}")
    ratios = [_race(options, rivals, seed) for seed in range(options.seeds)]
    for name in rivals:
        reached = [each[name] for each in ratios if name in each]
        if reached:
            print(f"{name}: mean ratio {statistics.mean(reached):.2f}, least {min(reached):.2f}; goal {GOALS[name]:g}")
        if len(reached) < options.seeds:
            print(f"{name}: not reached with {options.seeds - len(reached)} of {options.seeds} seeds, not in the mean")


def _race(options: argparse.Namespace, rivals: Sequence[str], seed: int) -> dict[str, float]:
    """Search in each way, print a row each, and return how much sooner rivals were; those that got there."""
    folder: Path = options.runs / f"seed-{seed}"
    baseline = _searched(folder / "nsga2", _experiment(options, seed, NSGA_NET))
    hypervolume = baseline.front.hypervolume
    _print(seed, "NSGA-II", baseline, baseline.elapsed, "1")
    ratios = dict[str, float]()
    for name in rivals:
        spent, settings = 0.0, list[str]()
        if name == "warm":
            scored = _experiment(options, seed, NSGA_NET, *SCORED, f"evaluations={options.scored}")
            spent = _searched(folder / "scored", scored).elapsed
            settings.append(f"warm_start={folder / 'scored'}")
        history = _searched(folder / name, _experiment(options, seed, options.strategy, *settings), hypervolume)
        reached = arrival(folder / name, hypervolume)
        seconds = spent + (history.elapsed if reached is None else reached)
        if reached is not None:
            ratios[name] = baseline.elapsed / seconds
        _print(seed, name, history, seconds, f"{ratios[name]:.2f}" if name in ratios else "never")
    return ratios


def _print(seed: int, name: str, history: History, seconds: float, ratio: str) -> None:
    print(f"{seed:4}{name:>10}{history.front.hypervolume:13.4f}{len(history.evaluations):10}{history.mean_seconds:8.1f}"
          f"{seconds:9.0f}{ratio:>8}", flush=True)  # fmt: skip


def arrival(path: Path, hypervolume: float) -> float | None:
    """Return the seconds after which the search of a run folder first had the hypervolume, None if it never had."""
    header, *events = journal.read(path / JOURNAL)
    history = History.replay([header])
    for event in events:
        history.apply(event)
        if history.front.hypervolume >= hypervolume:
            return history.elapsed
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


def _experiment(options: argparse.Namespace, seed: int, strategy: str, *settings: str) -> Experiment:
    """Return the experiment, complete: with what its space takes from the data."""
    larger = LARGER if options.experiment == EXPERIMENT else ()
    changed = [*SETTINGS, *larger, f"seed={seed}", f"strategy={strategy}", *options.overrides, *settings]
    return prepare(config.load(options.experiment, changed)).experiment


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategy", default=SURROGATE,
                        metavar="YAML", help="import path, or mapping as in an experiment (%(default)s)")  # fmt: skip
    parser.add_argument("--experiment", type=Path, default=EXPERIMENT, metavar="FILE")
    parser.add_argument("--scored", type=int, default=200, metavar="NETWORKS",
                        help="of warm, scored before its search; 0: leave warm out (%(default)s)")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs/rate"), help="where searches are kept (%(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except EvonasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
