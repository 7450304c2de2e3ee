"""Kendall's tau of evolved proxies, and of the best single one, on cells of NAS-Bench-201 that they were not chosen by.

    python experiments/benchmarks/proxies.py nasbench201      # scores of all single proxies, a line a cell
    python experiments/benchmarks/evolved_proxies.py [--seeds 5] [--tables FOLDER] [--save FOLDER]

The cells are those of proxies.py, in the published skeleton on synthetic images of CIFAR's shape with the validation
accuracy of the published table; cells that are one network count once. Statistics of their layers are kept, a line a
network, in the file `--statistics`: a benchmark that is stopped goes on there. Each seed draws another half of the
networks, on which a proxy is evolved and the best single one chosen; both are reported on the other half, where a
network without a finite score ranks last. Single proxies are compared on networks that the file `--rows` has.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from kept_rows import kept_rows
from predictor_tables import REFERENCE
from proxies import Task, nasbench201
from scipy.stats import kendalltau

from evonas.proxies.deap_evolution import Evolved, evolved, tau
from evonas.proxies.expression import STATISTICS, Expression, Layers
from evonas.space import Genome
from evonas.workers.proxies.layer_statistics import layer_statistics
from evonas.workers.training import seeded
from evonas.workers.zero_cost import ZeroCost

KNOWN = {
    "synflow": ["sum", "flow"],
    "snip": ["sum", "saliency"],
    "grad_norm": ["sum", "gradient_norm"],
    "fisher": ["sum", "fisher"],
    "l2_norm": ["sum", "weight_norm"],
    "params": ["sum", "weights"],
    "macs": ["sum", ["multiply", "weights", "outputs"]],
}
"""Known proxies, or what is like them, as expressions: evolution begins with them."""


@dataclass(frozen=True)
class Networks:
    """Networks: statistics of their layers, accuracies, and the scores of single proxies, NaN where nobody has them."""

    layers: Layers
    accuracies: np.ndarray
    scores: Mapping[str, np.ndarray]

    def rows(self, index: np.ndarray) -> Networks:
        """Return these networks."""
        scores = {name: column[index] for name, column in self.scores.items()}
        return Networks(self.layers.rows(index), self.accuracies[index], scores)

    def single(self) -> dict[str, float]:
        """Return the tau of each single proxy on the networks that have its score."""
        known = {name: ~np.isnan(column) for name, column in self.scores.items()}
        return {
            name: float(kendalltau(column[known[name]], self.accuracies[known[name]]).statistic)
            for name, column in self.scores.items()
            if known[name].sum() > 1
        }


def statistics(task: Task, batch_size: int, file: Path) -> dict[Genome, np.ndarray]:
    """Return the statistics of each network, and write those that the file lacks."""
    known = {tuple(row["genome"]): np.array(row["statistics"]) for row in kept_rows(file)}
    evaluator = ZeroCost(task.space, task.data, 0, batch_size=batch_size)
    inputs, labels = evaluator.minibatch()
    with file.open("a") as out:
        for genome in dict.fromkeys(map(task.space.canonical, task.genomes)):
            if genome in known:
                continue
            with seeded(evaluator.seed_for(genome), inputs.device):
                network = task.space.build(genome)
            began = time.process_time()
            table = layer_statistics(network, inputs, labels)
            line = {"genome": genome, "seconds": time.process_time() - began, "statistics": table.tolist()}
            out.write(json.dumps(line) + "\n")
            out.flush()
            known[genome] = table
    return known


def networks(task: Task, known: Mapping[Genome, np.ndarray], rows: Path) -> Networks:
    """Return the networks of a task, with the scores that the file `rows` of proxies.py has of them."""
    lines = kept_rows(rows)
    scores = {task.space.canonical(tuple(line["genome"])): line["scores"] for line in lines}
    accuracies: dict[Genome, float] = {}
    for cell in task.genomes:
        accuracies.setdefault(task.space.canonical(cell), task.accuracies(cell)["accuracy"])
    names = lines[0]["scores"] if lines else {}
    return Networks(
        Layers.of(STATISTICS, [known[genome] for genome in accuracies]),
        np.array(list(accuracies.values())),
        {name: np.array([_score(scores.get(genome, {}), name) for genome in accuracies]) for name in names},
    )


def compare(all_of_them: Networks, seed: int) -> Evolved:
    """Evolve a proxy on one half, and print what it and single proxies are worth on the other."""
    order = np.random.default_rng(seed).permutation(len(all_of_them.accuracies))
    fit, held_out = (all_of_them.rows(half) for half in np.array_split(order, 2))
    began = time.process_time()
    found = evolved(fit.layers, fit.accuracies, [Expression.parsed(known) for known in KNOWN.values()], seed)
    seconds = time.process_time() - began
    scores = found.expression.scores(held_out.layers)
    held = tau(scores, held_out.accuracies)
    line = f"seed {seed}: evolved {held:.3f} (on its own half {found.tau:.3f}, {seconds:.0f} s)"
    chosen, here = fit.single(), held_out.single()
    for said, name in (("chosen on the other half", _best(chosen)), ("best on this half", _best(here))):
        if name is not None:
            there = ~np.isnan(held_out.scores[name])
            same = tau(scores[there], held_out.accuracies[there])
            line += f"\n  single, {said}: {name} {here[name]:.3f}, evolved on the same {there.sum()}: {same:.3f}"
    print(f"{line}\n  {found.expression}", flush=True)
    return found


def report(all_of_them: Networks) -> None:
    """Print the tau of each single proxy on all networks that have its score."""
    print(f"{len(all_of_them.accuracies)} networks; tau of single proxies, and on how many:")
    for name, value in sorted(all_of_them.single().items(), key=lambda item: -item[1]):
        print(f"  {name:10} {value:6.3f} {(~np.isnan(all_of_them.scores[name])).sum():5}")


def _best(taus: Mapping[str, float]) -> str | None:
    return max(taus, key=taus.__getitem__, default=None)


def _score(scores: Mapping[str, float | None], name: str) -> float:
    value = scores.get(name, math.nan)
    return -math.inf if value is None else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=500, help="how many cells")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--tables", type=Path, default=REFERENCE, help="folder of the published table")
    parser.add_argument("--rows", type=Path, help="file of proxies.py (proxies-nasbench201-batch32.jsonl)")
    parser.add_argument("--statistics", type=Path, help="where they are kept (layer-statistics-batch32.jsonl)")
    parser.add_argument("--save", type=Path, help="folder for files of the evolved expressions")
    given = parser.parse_args()
    torch.set_num_threads(1)
    task = nasbench201(given.networks, given.tables)
    batch = f"batch{given.batch_size}"
    known = statistics(task, given.batch_size, given.statistics or Path(f"layer-statistics-{batch}.jsonl"))
    all_of_them = networks(task, known, given.rows or Path(f"proxies-nasbench201-{batch}.jsonl"))
    report(all_of_them)
    for seed in range(given.seeds):
        found = compare(all_of_them, seed)
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            found.expression.save(given.save / f"evolved_{seed}.json", {"seed": seed, "tau": found.tau})


if __name__ == "__main__":
    main()
