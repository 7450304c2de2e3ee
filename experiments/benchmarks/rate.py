"""The rate that matters: how much sooner a search with a predictor finds what NSGA-II finds, training each network.

    python experiments/benchmarks/rate.py [--seeds 3] [--strategy YAML] [--scored 200] [--runs FOLDER] [key=value ...]

For each seed NSGA-II (population 20; no gate, no predictor, as NSGA-Net searches) spends all its evaluations. Then
others search with the same seed, recipe and workers until their hypervolume is what NSGA-II's was in the end, or as
many evaluations are spent:

  strategy      a search with a predictor inside
  warm NSGA-II  NSGA-II, whose first population is the best of `--scored` networks, by counted costs and by their score
                before training (naswot), that another NSGA-II met, which takes seconds that count
  warm          the strategy, with the same beginning

All of their networks are trained. The ratio is of the seconds after which NSGA-II first had its last hypervolume to
those after which they had it. Seconds are those of the journals, from when the workers are ready, which takes some
seconds more.

The networks are those of `--experiment`, by default the cells of `experiments/nsga_net_fashion.yaml` on 10,000 images
of Fashion-MNIST, shrunk to 14 x 14. `key=value` replaces values of all experiments; give each setting, also of workers,
a `--runs` of its own. A search that is finished stays there and is not run again, one that was interrupted goes on (and
loses the seconds of what was under way). With its defaults it takes an hour on two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from ended_search import searched

from evonas import config, journal
from evonas.compose import Search, prepare
from evonas.errors import EvonasError
from evonas.history import JOURNAL, History

EXPERIMENT = Path(__file__).resolve().parents[1] / "nsga_net_fashion.yaml"
SETTINGS = ("tracking=null", "pool.workers=2")
LARGER = (
    "data.train_size=10000",
    "data.valid_fraction=0.1",
    "data.shrink=2",
    "evaluator.batch_size=64",
    "objectives=[{metric: valid_error, worst: 0.25}, {metric: final_params, worst: 5.0e+6}]",
    "evaluations=120",
)
"""What differs from the file if no other is given.

The hypervolume's reference is close to the front: from that of the file, an error of 1 and 10 million parameters, the
smallest network of all has more of it, with an error of 25 %, than all that NSGA-II finds.
"""

NSGA_NET = "{use: evonas.strategies.pymoo_nsga2:NSGA2, population: 20, crossover: two_point}"
SURROGATE = "evonas.strategies.expected_hypervolume:ExpectedHypervolume"
SCORE = "evaluator={use: evonas.workers.zero_cost:ZeroCost, proxies: [naswot]}"
GOALS = {"strategy": 3.0, "warm": 8.0}
WARM = ("warm NSGA-II", "warm")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    rivals = ["strategy", *(WARM if options.scored else ())]
    print(f"{'seed':>4}{'search':>14}{'hypervolume':>13}{'networks':>10}{'s each':>8}{'seconds':>9}{'ratio':>8}")
    ratios = [_race(options, rivals, seed) for seed in range(options.seeds)]
    for name in rivals:
        reached = [each[name] for each in ratios if name in each]
        goal = f"; the goal is {GOALS[name]:g}" if name in GOALS else ""
        if len(reached) == options.seeds:
            print(f"{name}: mean ratio {statistics.mean(reached):.2f}, least {min(reached):.2f}{goal}")
        else:
            print(f"{name}: never with {options.seeds - len(reached)} of {options.seeds} seeds{goal}")


def _race(options: argparse.Namespace, rivals: Sequence[str], seed: int) -> dict[str, float]:
    """Search in each way, print a row each, and return how much sooner rivals were; those that got there."""
    folder: Path = options.runs / f"seed-{seed}"
    baseline = searched(_prepared(options, seed, NSGA_NET).experiment, folder / "nsga2")
    target = baseline.front.hypervolume
    first = arrival(folder / "nsga2", target)
    if not target or first is None:
        raise EvonasError(f"with seed {seed} NSGA-II finds nothing that is better than the objectives' worst values")
    _print(seed, "NSGA-II", baseline, first, "1")
    scored = folder / f"scored-{options.scored}"
    scoring = searched(_scoring(options, seed).experiment, scored).elapsed if options.scored else 0.0
    ratios = dict[str, float]()
    for name in rivals:
        path, spent, settings = folder / name, 0.0, list[str]()
        if name in WARM:
            path, spent, settings = folder / f"{name}-{options.scored}", scoring, [f"warm_start={scored}"]
        strategy = NSGA_NET if name == "warm NSGA-II" else options.strategy
        experiment = _prepared(options, seed, strategy, *settings).experiment
        history = searched(experiment, path, lambda history: history.front.hypervolume >= target)
        reached = arrival(path, target)
        seconds = spent + (history.elapsed if reached is None else reached)
        if reached is not None:
            ratios[name] = first / seconds
        _print(seed, name, history, seconds, f"{ratios[name]:.2f}" if name in ratios else "never")
    return ratios


def _print(seed: int, name: str, history: History, seconds: float, ratio: str) -> None:
    print(f"{seed:4}{name:>14}{history.front.hypervolume:13.4f}{len(history.evaluations):10}{history.mean_seconds:8.1f}"
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


def _prepared(options: argparse.Namespace, seed: int, strategy: str, *settings: str) -> Search:
    """Return the search, whose experiment is complete: with what its space takes from the data."""
    larger = LARGER if options.experiment.resolve() == EXPERIMENT else ()
    own = [f"seed={seed}", f"strategy={strategy}", "cache=null", *settings]
    return prepare(config.load(options.experiment, [*SETTINGS, *larger, *options.overrides, *own]))


def _scoring(options: argparse.Namespace, seed: int) -> Search:
    """Return the search for a high score and for what is counted of the objectives; raise EvonasError without any."""
    found = _prepared(options, seed, NSGA_NET)
    counted = [o for o in found.goals.objectives if o.metric in found.space.costs(found.space.smallest())]
    if not counted:
        raise EvonasError("no objective is counted, to be traded off against the score: leave warm out by --scored 0")
    costs = ", ".join(f"{{metric: {o.metric}, worst: {o.worst}}}" for o in counted)
    return _prepared(options, seed, NSGA_NET, SCORE, f"objectives=[naswot, {costs}]", f"evaluations={options.scored}")


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
