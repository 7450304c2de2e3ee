"""Rank correlations of zero-cost proxies with the accuracy of trained networks, and the seconds that they take.

    python experiments/benchmarks/proxies.py nasbench201 [--networks 500] [--tables FOLDER] [--rows FILE.jsonl]
    python experiments/benchmarks/proxies.py digits [--networks 100] [--rows FILE.jsonl]

`nasbench201`: cells of the published table of NAS-Bench-201 in the published skeleton (16 channels, 5 cells a stage),
scored on synthetic images of CIFAR's shape, with the accuracies that the table has of them: on the validation split,
after training on half of the images, and on the test split, after as many epochs on all of them. `digits`: networks of
experiments/quickstart.yaml, which are trained as it says. Networks are drawn with the seed 0, and built in canonical
form. Each that is done is a line of the file `--rows`: a benchmark that is stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import torch
from kept_rows import kept_rows
from predictor_tables import REFERENCE
from scipy.stats import kendalltau, spearmanr
from torch.nn import functional

from evonas import config
from evonas.compose import prepare
from evonas.dataset import Dataset, Split
from evonas.seeds import derive_seed
from evonas.space import Genome, SearchSpace
from evonas.spaces.cell201 import EDGES, Cell201
from evonas.workers.zero_cost import PROXIES, ZeroCost

QUICKSTART = Path(__file__).resolve().parents[1] / "quickstart.yaml"


@dataclass(frozen=True)
class Task:
    """Networks to rank: their space, the data of the minibatch, and the accuracies of each by name."""

    space: SearchSpace
    data: Dataset
    genomes: Sequence[Genome]
    accuracies: Callable[[Genome], dict[str, float]]


def nasbench201(networks: int, tables: Path) -> Task:
    """Return cells of the published table, with their accuracies on CIFAR-10."""
    table = parquet.read_table(tables / "nasbench201_12epochs.parquet").to_pydict()
    rows = np.random.default_rng(0).permutation(len(table["params"]))[:networks].tolist()
    cells = {tuple(table[f"e{edge}"][row] for edge in range(len(EDGES))): row for row in rows}
    columns = {"accuracy": "cifar10_valid_accuracy", "test_accuracy": "cifar10_test_accuracy"}

    def accuracies(cell: Genome) -> dict[str, float]:
        return {name: float(table[column][cells[cell]]) for name, column in columns.items()}

    return Task(Cell201(), images(), list(cells), accuracies)


def digits(networks: int) -> Task:
    """Return networks of the quickstart, trained as it trains them."""
    search = prepare(config.load(QUICKSTART))
    space, rng = search.space, np.random.default_rng(0)
    genomes: dict[Genome, None] = {}
    while len(genomes) < networks:
        genomes.setdefault(space.canonical(space.sample(rng)))
    assert search.data is not None

    def accuracies(genome: Genome) -> dict[str, float]:
        return {"accuracy": 100 * search.evaluator.measure(genome, None)["valid_accuracy"]}

    return Task(space, search.data, list(genomes), accuracies)


def images(count: int = 640, classes: int = 10, seed: int = 0) -> Dataset:
    """Return synthetic images, 3 x 32 x 32: a smooth pattern of the class, a smooth one of the image, and noise."""
    torch_seed = torch.Generator().manual_seed(seed)

    def smooth(rows: int) -> torch.Tensor:
        coarse = [torch.randn(rows, 3, side, side, generator=torch_seed) for side in (4, 8, 16)]
        return sum((functional.interpolate(c, size=32, mode="bicubic") for c in coarse), start=torch.zeros(()))

    labels = torch.arange(count) % classes
    inputs = smooth(classes)[labels] + smooth(count) + 0.3 * torch.randn(count, 3, 32, 32, generator=torch_seed)
    split = Split(inputs.numpy(), labels.numpy())
    return Dataset("synthetic", split, split, split, [str(number) for number in range(classes)])


def scored(task: Task, batch_size: int, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each genome that `rows` lacks: genome, accuracies, scores (None where not finite) and seconds.

    Scores are those of the evaluator ZeroCost with the seed 0; genomes that are one network are scored once.
    """
    evaluator = ZeroCost(task.space, task.data, 0, proxies=PROXIES, batch_size=batch_size)
    done = {tuple(row["genome"]) for row in rows}
    known = {
        task.space.canonical(tuple(row["genome"])): {key: row[key] for key in ("scores", "seconds")} for row in rows
    }
    for genome in task.genomes:
        if genome in done:
            continue
        canonical = task.space.canonical(genome)
        if canonical not in known:
            seconds: dict[str, float] = {}
            scores = {**task.space.costs(canonical), **evaluator.scores(canonical, seconds)}
            finite = {name: score if math.isfinite(score) else None for name, score in scores.items()}
            known[canonical] = {"scores": finite, "seconds": seconds}
        yield {"genome": list(genome), **task.accuracies(genome), **known[canonical]}


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Print, for each proxy, its rank correlations and its seconds; networks without a finite score rank last."""
    accuracy = np.array([row["accuracy"] for row in rows])
    test = np.array([row.get("test_accuracy", math.nan) for row in rows])
    print(f"{len(rows)} networks, accuracy {accuracy.min():.2f} to {accuracy.max():.2f}")
    print(f"{'proxy':10} {'Spearman':>9} {'+-':>6} {'Kendall':>8} {'on test':>8} {'not finite':>11} {'CPU s':>8}")
    lines = []
    for name in rows[0]["scores"]:
        scores = np.array([-math.inf if row["scores"][name] is None else row["scores"][name] for row in rows])
        finite = np.isfinite(scores)
        scores[~finite] = scores[finite].min() - 1.0
        seconds = np.mean([row["seconds"].get(name, 0.0) for row in rows])
        rho, tau = spearmanr(scores, accuracy).statistic, kendalltau(scores, accuracy).statistic
        on_test = spearmanr(scores, test).statistic if np.isfinite(test).all() else math.nan
        numbers = f"{rho:9.3f} {_deviation(scores, accuracy):6.3f} {tau:8.3f} {on_test:8.3f}"
        lines.append((rho, f"{name:10} {numbers} {int((~finite).sum()):11} {seconds:8.4f}"))
    for _, line in sorted(lines, reverse=True):
        print(line)


def _deviation(scores: np.ndarray, accuracy: np.ndarray) -> float:
    """Return the standard deviation of Spearman's correlation over bootstrap samples."""
    rng = np.random.default_rng(derive_seed(0, "bootstrap"))
    samples = [rng.integers(len(scores), size=len(scores)) for _ in range(200)]
    return float(np.std([spearmanr(scores[rows], accuracy[rows]).statistic for rows in samples]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["nasbench201", "digits"])
    parser.add_argument("--networks", type=int, help="how many; 500 cells, or 100 networks of digits")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--tables", type=Path, default=REFERENCE, help="folder of the published table")
    parser.add_argument("--rows", type=Path, help="where rows are kept (proxies-TASK-batch32.jsonl)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {"digits": lambda: digits(given.networks or 100)}
    tasks["nasbench201"] = lambda: nasbench201(given.networks or 500, given.tables)
    task = tasks[given.task]()
    file: Path = given.rows or Path(f"proxies-{given.task}-batch{given.batch_size}.jsonl")
    rows = kept_rows(file)
    with file.open("a") as out:
        for row in scored(task, given.batch_size, list(rows)):
            rows.append(row)
            out.write(json.dumps(row) + "\n")
            out.flush()
    wanted = set(task.genomes)
    report([row for row in rows if tuple(row["genome"]) in wanted])


if __name__ == "__main__":
    main()
