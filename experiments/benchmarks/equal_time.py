"""One search on Fashion-MNIST by seven methods at equal wall time: which finds the best front, and how soon?

    python experiments/benchmarks/equal_time.py [--seeds 2] [--seconds 240] [--only NAME ...] [--runs FOLDER] [...]

All search networks of `--space` (10,000 training images; error and MACs) on 2 workers for so many seconds: the cells of
`experiments/fashion_mnist.yaml`, or the small MobileNetV3s of `experiments/mobile_fashion.yaml`.

  random            networks drawn uniformly, each trained
  trained NSGA-II   population 20; no gate, no predictor, as NSGA-Net searches
  surrogate         ExpectedHypervolume, networks trained
  multi-fidelity    MO-ASHA: trained for an epoch, and for all epochs where that was promising; ExpectedHypervolume
                    chooses new networks by what an epoch has shown
  inherited         NSGA-II on weights of a supernet, whose training counts (`experiments/supernet_fashion.yaml`, or
                    `supernet_mobile_fashion.yaml`)
  zero-cost         NSGA-II on naswot and MACs, `--scored` networks, and nothing is trained
  warm surrogate    the surrogate, whose initial networks are the best of zero-cost, whose time counts

What a search took for its front after an eighth, a quarter, half and all of the time is then trained again in the same
way, whatever found it: from scratch, with another seed, and measured on the test split, which no search has seen. Of a
front of more members than `--members`, those that span the most hypervolume are taken. The table has the hypervolume of
the fronts so trained, and the share of the time after which a method's front was first as good as that of trained
NSGA-II at the end: an eighth is the goal.

A finished search stays in `--runs`, and so does every network that was trained again: the benchmark can be cut. It
wants two cores that do nothing else, for seeds x methods x seconds and about a third more.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ended_search import searched
from equal_time_runs import PROBLEMS, after, experiment, goals, history_at, retrained, supernet, trained

from evonas.errors import EvonasError
from evonas.goals import Goals
from evonas.history import History
from evonas.pareto import normalised_hypervolume
from evonas.space import Genome, Metrics

SHARES = (0.125, 0.25, 0.5, 1.0)
BASELINE = "trained NSGA-II"
NSGA2 = "strategy={use: evonas.strategies.pymoo_nsga2:NSGA2, population: 20}"
SURROGATE = "strategy={use: evonas.strategies.expected_hypervolume:ExpectedHypervolume}"
TRAINED = {
    "random": ["strategy={use: evonas.strategies.random_search:RandomSearch}"],
    BASELINE: [NSGA2],
    "surrogate": [SURROGATE],
    "multi-fidelity": [
        "strategy={use: evonas.strategies.mo_asha:MOASHA, proposals: model, lag: 4}",
        "evaluator.rungs=[1]",
    ],
}
ZERO_COST = [
    NSGA2,
    "evaluator={use: evonas.workers.zero_cost:ZeroCost, proxies: [naswot]}",
    "objectives=[naswot, macs]",
]
INHERITED, SCORED, WARM = "inherited", "zero-cost", "warm surrogate"
CONTESTANTS = (*TRAINED, INHERITED, SCORED, WARM)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    problem = PROBLEMS[options.space]
    fronts = {(name, seed): _search(options, name, seed) for seed in range(options.seeds) for name in options.only}
    chosen = {key: [_spread(history, options.members) for history in at] for key, at in fronts.items()}
    wanted = {genome for fronts_ in chosen.values() for front in fronts_ for genome in front}
    again = retrained(problem, options.runs / options.space, wanted, options.epochs)
    if failed := wanted - again.keys():
        print(f"{len(failed)} networks failed when they were trained again, and are left out", file=sys.stderr)
    by = goals(problem, options.epochs)
    reached = {key: [_hypervolume(front, again, by) for front in at] for key, at in chosen.items()}
    _print(options, fronts, reached)


def _search(options: argparse.Namespace, name: str, seed: int) -> list[History]:
    """Search, unless that was done, and return what was known after each share of the time."""
    problem = PROBLEMS[options.space]
    folder = options.runs / options.space / f"{options.seconds:g}-seconds-{options.epochs}-epochs" / f"seed-{seed}"
    settings, spent = [f"seed={seed}"], 0.0
    if name in TRAINED:
        settings += [trained(options.epochs), *TRAINED[name]]
    elif name == INHERITED:
        training = [f"seed={seed}", f"recipe.epochs={options.supernet_epochs}", "cpus=2"]
        weights, spent = supernet(
            problem,
            folder / f"supernet-{options.supernet_epochs}-epochs",
            [*training, f"curves.every={options.supernet_epochs}"],
        )
        evaluator = f"{{use: evonas.workers.inherited:Inherited, supernet: {weights}, valid_examples: 2000}}"
        settings += [NSGA2, f"evaluator={evaluator}"]
    else:
        settings += [*ZERO_COST, f"evaluations={options.scored}"]
        if name == WARM:
            scored = _path(folder, SCORED, settings)
            spent = searched(experiment(problem, settings), scored, after(options.seconds)).elapsed
            settings = [f"seed={seed}", trained(options.epochs), SURROGATE, f"warm_start={scored}"]
    path = _path(folder, name, settings)
    searched(experiment(problem, settings), path, after(options.seconds - spent))
    return [history_at(path, share * options.seconds - spent) for share in SHARES]


def _path(folder: Path, name: str, settings: Sequence[str]) -> Path:
    """Return the run folder of a search, which no other settings share."""
    return folder / f"{name.replace(' ', '-')}-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:6]}"


def _spread(history: History, members: int) -> list[Genome]:
    """Return at most so many members of a front, each the one that adds most hypervolume to those before it."""
    front, chosen = list(history.front.members), list[int]()
    losses = history.front.losses
    while len(chosen) < min(members, len(front)):
        left = [number for number in range(len(front)) if number not in chosen]
        chosen.append(max(left, key=lambda n: normalised_hypervolume(losses[[*chosen, n]], history.goals)))
    return [front[number].candidate.genome for number in chosen]


def _hypervolume(front: Sequence[Genome], again: Mapping[Genome, Metrics], goals: Goals) -> float:
    losses = [goals.losses(again[genome]) for genome in front if genome in again]
    return normalised_hypervolume(np.array(losses), goals) if losses else 0.0


def _print(
    options: argparse.Namespace,
    fronts: Mapping[tuple[str, int], list[History]],
    reached: Mapping[tuple[str, int], list[float]],
) -> None:
    shares = "".join(f"{share:>9.3g}" for share in SHARES)
    print(f"\nhypervolume on the test split after a share of {options.seconds:.0f} s, networks trained again\n")
    print(f"{'method':<16}{'seed':>5}{'networks':>10}{'front':>7}{shares}{'as NSGA-II after':>18}")
    for seed, name in itertools.product(range(options.seeds), options.only):
        last, values = fronts[name, seed][-1], reached[name, seed]
        share = None
        if BASELINE in options.only:
            target = reached[BASELINE, seed][-1]
            share = next((share for share, value in zip(SHARES, values, strict=True) if value >= target), None)
        columns = "".join(f"{value:9.4f}" for value in values)
        print(f"{name:<16}{seed:5}{len(last.evaluations):10}{len(last.front.members):7}{columns}"
              f"{'never' if share is None else f'{share:.3g}':>18}")  # fmt: skip
    print()
    for name in options.only:
        mean = [statistics.mean(reached[name, seed][i] for seed in range(options.seeds)) for i in range(len(SHARES))]
        columns = "".join(f"{value:9.4f}" for value in mean)
        print(f"{name:<16}{'mean':>5}{'':17}{columns}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", choices=PROBLEMS, default="cells", help="that is searched (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=240, help="of every search (%(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="of a trained network (%(default)s)")
    parser.add_argument("--supernet-epochs", type=int, default=4, help="of a supernet (%(default)s)")
    parser.add_argument("--scored", type=int, default=200, help="networks of zero-cost (%(default)s)")
    parser.add_argument("--members", type=int, default=8, help="of a front, to be trained again (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME",
                        help=", ".join(CONTESTANTS))  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs/equal_time"), help="what is kept (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except EvonasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
