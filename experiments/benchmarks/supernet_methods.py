"""Kendall's tau between inherited and stand-alone accuracy, of each method of supernet training after equal time.

    python experiments/benchmarks/supernet_methods.py [--problem digits|fashion|digits-mobile|fashion-mobile]
        [--seconds 120] [--networks 40] [--seeds 1] [--only METHOD ...] [--out FOLDER]

Networks are drawn one from each of equally probable ranges of MACs, and each is trained alone, once for each of the
stand-alone seeds; its accuracy is their mean. Each method trains a supernet for each seed, for about as many seconds of
CPU, on one thread: how many epochs that makes follows from a short rehearsal, so that learning rates have their whole
schedule. `preferred` first scores random networks by naswot, which counts. Then all networks inherit, batch norms
recalibrated on training examples, and are scored on the validation split. What is finished is kept in FOLDER, a line of
JSON each, and not computed again. Numbers are means over the supernets, intervals 95 %, by bootstrap over the networks.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kept_rows import kept_rows
from scipy import stats
from torch import nn

from evonas.component import Component
from evonas.dataset import Dataset
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.spaces.cell201 import Cell201
from evonas.spaces.cell201_supernet import Cell201Supernet
from evonas.spaces.mobile import Mobile
from evonas.spaces.mobile_supernet import MobileSupernet
from evonas.spaces.sizes import image_shape
from evonas.workers.batch_norm import recalibrate
from evonas.workers.datasets import digits, fashion_mnist
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.method import subnet_of
from evonas.workers.supernets.training import Training
from evonas.workers.trained import Trained
from evonas.workers.training import score, seeded
from evonas.workers.zero_cost import ZeroCost

CPU = torch.device("cpu")
BATCH_SIZE = 64
REHEARSED = 512
"""How many examples a rehearsal trains on, for 8 epochs."""
CALIBRATED = 512

METHODS: dict[str, dict[str, Any]] = {
    "single path": {"use": "evonas.workers.supernets.single_path:SinglePath"},
    "sandwich": {"use": "evonas.workers.supernets.sandwich:Sandwich"},
    "AlphaNet": {"use": "evonas.workers.supernets.alphanet:AlphaNet"},
    "attentive, worst": {"use": "evonas.workers.supernets.attentive:AttentiveNAS", "pick": "worst"},
    "attentive, best": {"use": "evonas.workers.supernets.attentive:AttentiveNAS", "pick": "best"},
    "progressive": {"use": "evonas.workers.supernets.progressive_shrinking:ProgressiveShrinking"},
    "importance": {"use": "evonas.workers.supernets.importance:ImportanceSampling"},
    "few-shot": {"use": "evonas.workers.supernets.few_shot:FewShot"},
    "preferred": {"use": "evonas.workers.supernets.preferred:Preferred", "proxy": "naswot"},
}
SCORED = 200
"""Networks of which `preferred` prefers 40: the best 10 of each quarter by MACs."""
CELL_PHASES = [["edge_0_*"], ["edge_*"]]
MOBILE_PHASES = [["kernel*"], ["depth*"], ["expansion*", "width*"]]


@dataclass(frozen=True)
class Problem:
    """Data, space, supernet, and what suits them: epochs of a network alone, phases of progressive shrinking."""

    data: Dataset
    space: SearchSpace
    supernet: Callable[[Any], nn.Module]
    standalone_epochs: int
    phases: list[list[str]]

    def method(self, name: str) -> dict[str, Any]:
        """Return a method as a component, plain."""
        return {**METHODS[name], **({"phases": self.phases} if name == "progressive" else {})}

    def scores(self, file: Path, seed: int) -> float:
        """Write the scores of random networks, a table; return the seconds of CPU that they took."""
        rng, began = generator(seed, "scored networks"), time.process_time()
        networks = sorted({self.space.canonical(self.space.sample(rng)) for _ in range(SCORED)})
        evaluator = ZeroCost(self.space, self.data, seed, proxies=["naswot"], device="cpu")
        genes = self.space.genes
        lines = [",".join([*(gene.name for gene in genes), "naswot"])]
        for genome in networks:
            options = [gene.options[choice] for gene, choice in zip(genes, genome, strict=True)]
            if math.isfinite(naswot := evaluator.measure(genome, None)["naswot"]):
                lines.append(",".join(map(str, [*options, naswot])))
        file.write_text("\n".join(lines) + "\n")
        return time.process_time() - began


def _problem(data: Dataset, epochs: int, *, mobile: bool) -> Problem:
    shape = image_shape(data.input_shape)
    if mobile:
        return Problem(data, Mobile(skeleton="tiny", input_shape=shape), MobileSupernet, epochs, MOBILE_PHASES)
    cells = Cell201(stem_channels=4, cells_per_stage=1, input_shape=shape)
    return Problem(data, cells, Cell201Supernet, epochs, CELL_PHASES)


def digits_problem(*, mobile: bool) -> Problem:
    """Return 898 training images of 8 x 8; networks alone learn for 3 epochs, after which they still differ."""
    return _problem(digits(valid_fraction=0.4, test_fraction=0.1), 3, mobile=mobile)


def fashion_problem(*, mobile: bool) -> Problem:
    """Return 4,000 training images of Fashion-MNIST, and 3,000 to validate."""
    return _problem(fashion_mnist(train_size=4000, valid_fraction=0.05), 2, mobile=mobile)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "digits": partial(digits_problem, mobile=False),
    "fashion": partial(fashion_problem, mobile=False),
    "digits-mobile": partial(digits_problem, mobile=True),
    "fashion-mobile": partial(fashion_problem, mobile=True),
}


class Kept:
    """What is finished: lines of JSON, each with the `key` that says what it is."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self.rows = {_text(row["key"]): row for row in kept_rows(file)}

    def get(self, key: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the line of a key; compute and keep it if there is none."""
        if (known := self.rows.get(_text(key))) is None:
            known = self.rows[_text(key)] = {"key": key, **compute()}
            with self.file.open("a") as kept:
                kept.write(json.dumps(known) + "\n")
        return known


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def stratified(space: SearchSpace, count: int) -> list[Genome]:
    """Return different networks, one from each of `count` equally probable ranges of MACs, in their order."""
    rng = generator(0, "stratified networks")
    drawn = sorted({space.canonical(space.sample(rng)) for _ in range(100 * count)})
    drawn.sort(key=lambda genome: space.costs(genome)["macs"])
    return [drawn[rng.choice(part)] for part in np.array_split(np.arange(len(drawn)), count)]


def alone(problem: Problem, genome: Genome, seed: int) -> dict[str, float]:
    """Train a network alone."""
    recipe = {"epochs": problem.standalone_epochs, "batch_size": BATCH_SIZE, "learning_rate": 0.1, "device": "cpu"}
    began = time.process_time()
    metrics = Trained(problem.space, problem.data, seed, **recipe).measure(genome, None)  # type: ignore[arg-type]
    return {"accuracy": metrics["valid_accuracy"], "seconds": time.process_time() - began}


def inherited(
    problem: Problem, method: str, networks: list[Genome], seconds: float, seed: int, folder: Path
) -> dict[str, Any]:
    """Train a supernet for about so many seconds, and score the networks on its weights."""
    own, scoring = problem.method(method), 0.0
    if method == "preferred":
        scores = folder / f"naswot-{problem.data.fingerprint()}-{seed}.csv"
        scoring = problem.scores(scores, seed)
        own["scores"] = str(scores)
    train, valid = (Examples.of(problem.data, split, CPU) for split in (problem.data.train, problem.data.valid))

    def trained(examples: Examples, epochs: int, component: dict[str, Any] = own) -> tuple[Training, list[float]]:
        recipe = Recipe(epochs=epochs, batch_size=BATCH_SIZE, learning_rate=0.1, weight_decay=1e-4, gradient_clip=5.0)
        with seeded(seed, CPU):
            supernet = problem.supernet(problem.space)
        built = Component.of(component).build({"space": problem.space, "seed": seed})
        training = Training(supernet, built, examples, recipe, seed)
        spent = []
        for _ in range(epochs):
            began = time.process_time()
            training.epoch()
            spent.append(time.process_time() - began)
        return training, spent

    trained(train.first(REHEARSED), 1, METHODS["single path"])  # what runs for the first time is slow
    _, rehearsed = trained(train.first(REHEARSED), 8)
    once = max(rehearsed)  # the epoch in which a method does what it does once
    an_epoch = (sum(rehearsed) - once) / 7
    steps = math.ceil(len(train) / BATCH_SIZE) / math.ceil(REHEARSED / BATCH_SIZE)
    epochs = max(4, round((seconds - scoring - (once - an_epoch)) / (an_epoch * steps)))
    training, spent = trained(train, epochs)
    scores = []
    for genome in networks:
        network = subnet_of(training.supernet, genome)
        recalibrate(network, train.first(CALIBRATED), Recipe(epochs=1, batch_size=BATCH_SIZE, learning_rate=1.0))
        scores.append(score(network, valid, Recipe(epochs=1, batch_size=256, learning_rate=1.0)))
    accuracies = [1 - each.error for each in scores]
    seconds = scoring + sum(spent)
    return {"epochs": epochs, "seconds": seconds, "accuracies": accuracies, "losses": [each.loss for each in scores]}


def interval(statistic: Callable[[np.ndarray, np.ndarray], float], rows: np.ndarray, truth: np.ndarray) -> str:
    """Return the mean of a statistic over the rows, and its bootstrap interval over their columns, the networks."""

    def mean(columns: np.ndarray) -> float:
        return float(np.mean([statistic(row[columns], truth[columns]) for row in rows]))

    everything = np.arange(len(truth))
    low, high = stats.bootstrap(
        (everything,), mean, vectorized=False, n_resamples=2000, method="percentile", rng=0
    ).confidence_interval
    return f"{mean(everything):.2f} [{low:.2f}, {high:.2f}]"


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Return Kendall's tau-b."""
    return float(stats.kendalltau(one, other).statistic)


def rho(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation."""
    return float(stats.spearmanr(one, other).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, default="digits")
    parser.add_argument("--seconds", type=float, default=120.0, help="of CPU, for each supernet")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--standalone-seeds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="supernets of each method")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--out", type=Path, default=Path("supernet_methods"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    problem, kept = PROBLEMS[chosen.problem](), Kept(chosen.out / f"{chosen.problem}.jsonl")
    facts = {"data": problem.data.fingerprint(), "space": repr(problem.space)}
    networks = stratified(problem.space, chosen.networks)

    runs = []
    for seed in range(chosen.standalone_seeds):
        key = {**facts, "epochs": problem.standalone_epochs, "seed": seed}
        runs.append([kept.get({**key, "genome": list(g)}, partial(alone, problem, g, seed)) for g in networks])
    by_seed = np.array([[record["accuracy"] for record in records] for records in runs])
    truth, seconds = by_seed.mean(axis=0), sum(record["seconds"] for records in runs for record in records)
    print(f"{chosen.problem}: {len(networks)} networks, accuracy alone {truth.min():.3f} to {truth.max():.3f}")
    print(f"trained alone in {seconds:.0f} s of CPU, {seconds / truth.size / len(runs):.1f} s each")
    if len(by_seed) > 1:
        print(f"tau between the first two of {len(runs)} stand-alone seeds: {interval(tau, by_seed[:1], by_seed[1])}")
    macs = np.array([problem.space.costs(genome)["macs"] for genome in networks])
    print(f"tau of MACs, which need no supernet: {interval(tau, macs[None], truth)}")
    print(f"\n| method | tau | Spearman | tau of losses | epochs | seconds | best found |\n|{' --- |' * 7}")
    for name in chosen.only:
        records = []
        for seed in range(chosen.seeds):
            key = {**facts, "method": problem.method(name), "seconds": chosen.seconds, "seed": seed}
            key["networks"] = [list(genome) for genome in networks]
            records.append(kept.get(key, partial(inherited, problem, name, networks, chosen.seconds, seed, chosen.out)))
        accuracies, losses, epochs, spent = (
            np.array([record[column] for record in records]) for column in ("accuracies", "losses", "epochs", "seconds")
        )
        print(
            f"| {name} | {interval(tau, accuracies, truth)} | {interval(rho, accuracies, truth)} | "
            f"{np.mean([tau(-row, truth) for row in losses]):.2f} | {epochs.mean():.0f} | {spent.mean():.0f} | "
            f"{truth[losses.argmin(axis=1)].mean():.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
