"""What a candidate costs inherited from a supernet, against trained for the experiment's epochs; same candidates.

    python experiments/benchmarks/inherited.py [--supernet FOLDER] [--networks N] [EXPERIMENT [KEY=VALUE ...]]

The experiment is fashion_mnist.yaml unless another is named. Without `--supernet`, a folder that `evonas supernet` has
trained on the experiment's space and data, the weights are those that a supernet begins with: they cost the same, and
their ranking means nothing. With it, Kendall's tau says how far both rank the candidates alike. Seconds are those of
the process's CPU, on one thread; each candidate is trained and inherited in turn, after one that does not count. What
is inherited is recalibrated on some examples of the training split, and scored on all of the valid split or some.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

from evonas import config
from evonas.component import Component
from evonas.compose import Search, prepare
from evonas.evaluation import Evaluator
from evonas.seeds import generator
from evonas.space import Genome
from evonas.supernet_folder import WEIGHTS, SupernetHeader
from evonas.workers.inherited import Inherited
from evonas.workers.supernets import files
from evonas.workers.training import seeded

EXPERIMENT = Path(__file__).resolve().parents[1] / "fashion_mnist.yaml"
SUPERNET = Component("evonas.spaces.cell201_supernet:Cell201Supernet")
EXAMPLES = ((1024, None), (4096, None), (1024, 2000), (256, 2000))
"""Of the training split, to recalibrate batch norms on, and of the valid split, to be scored on; None is all."""

GOAL = 20


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    search = prepare(config.load(options.experiment, [*options.changes, "tracking=null"]))
    with tempfile.TemporaryDirectory() as folder:
        supernet = options.supernet or untrained(search, Path(folder))
        ways: dict[str, Evaluator] = {"trained": search.evaluator}
        for calibration, valid in EXAMPLES:
            name = f"inherited, {calibration} and {valid or 'all'} examples"
            ways[name] = inherited(search, supernet, calibration, valid)
        drawn = genomes(search, options.networks)
        seconds = {name: np.zeros(options.networks) for name in ways}
        errors = {name: np.zeros(options.networks) for name in ways}
        for name, evaluator in ways.items():
            evaluator.prepare()
            evaluator.measure(drawn[0], 1 if name == "trained" else None)
        for number, genome in enumerate(drawn):
            for name, evaluator in ways.items():
                began = time.process_time()
                errors[name][number] = evaluator.measure(genome, None)["valid_error"]
                seconds[name][number] = time.process_time() - began
            took = ", ".join(f"{name} {each[number]:.2f} s" for name, each in seconds.items())
            print(f"{number + 1}/{options.networks}: {took}", flush=True)
    print(f"{'':36}{'s a network':>12}{'cheaper':>9}{'tau':>7}")
    for name in ways:
        ratio = seconds["trained"].sum() / seconds[name].sum()
        tau = kendalltau(errors["trained"], errors[name]).statistic if options.supernet and name != "trained" else None
        said = "" if tau is None else f"{tau:.2f}"
        print(f"{name:36}{seconds[name].mean():12.2f}{ratio:8.1f}x{said:>7}")
    print(f"goal: {GOAL} times cheaper than the experiment's {search.evaluator.recipe.epochs} epochs")  # type: ignore[attr-defined]


def genomes(search: Search, count: int) -> list[Genome]:
    """Return different networks, uniform over genomes."""
    rng, found = generator(0, "inherited"), dict[Genome, None]()
    while len(found) < count:
        found.setdefault(search.space.canonical(search.space.sample(rng)))
    return list(found)


def inherited(search: Search, supernet: Path, calibration: int, valid: int | None) -> Inherited:
    assert search.data is not None
    return Inherited(
        search.space, search.data, 0,
        supernet=supernet, calibration_examples=calibration, valid_examples=valid,
    )  # fmt: skip


def untrained(search: Search, folder: Path) -> Path:
    """Write a supernet with the weights that it begins with."""
    assert search.data is not None
    with seeded(0, torch.device("cpu")):
        module: torch.nn.Module = SUPERNET.build({"space": search.space})
    parts = {"space": search.experiment.space, "data": search.experiment.data, "supernet": SUPERNET}
    method = Component("evonas.workers.supernets.single_path:SinglePath")
    plain = {name: part.plain() for name, part in {**parts, "method": method}.items() if part is not None}
    header = SupernetHeader("untrained", {**plain, "seed": 0}, "", search.data.fingerprint(), {}, "")
    weights = {f"{files.WEIGHT}{name}": value.numpy() for name, value in module.state_dict().items()}
    files.write(folder / WEIGHTS, weights, {"header": header.plain()})
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--supernet", type=Path)
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("experiment", type=Path, nargs="?", default=EXPERIMENT)
    parser.add_argument("changes", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    main()
