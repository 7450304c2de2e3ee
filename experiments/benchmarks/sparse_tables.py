"""What becomes of breeding where a table lacks nearly all that is bred: moved to the nearest row, or bred again.

    python experiments/benchmarks/sparse_tables.py [NASBENCH201.parquet] [SEEDS]

Shares of the true front's hypervolume after 50, 100, 200 and 400 evaluations, and how many candidates were bred from
others. The tables are a twentieth of NAS-Bench-201 (12-epoch validation error and Raspberry Pi latency, 781 networks,
another twentieth for every seed), and 3,000 networks of 28 genes of four options, made up: an error with interactions
of pairs of genes, and a latency.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from evonas.early_exit import EarlyExit
from evonas.evaluation import Evaluation, evaluate
from evonas.goals import Goals, Objective
from evonas.pareto import ParetoFront, hypervolume_of
from evonas.space import Genome
from evonas.spaces.table import Table
from evonas.strategies.aging_evolution import AgingEvolution
from evonas.strategies.base import Strategy
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.random_search import RandomSearch
from evonas.workers.tabular import Tabular

BUDGETS = (50, 100, 200, 400)
PUBLISHED = Path("../shared/data/nasbench201_12epochs.parquet")


class Refusing(Table):
    """A table that offers nothing in place of what it lacks: strategies breed again, and draw in the end."""

    def nearest(self, genome: Genome) -> Sequence[Genome]:
        return (genome,) if genome in self.table.row_of else ()


def twentieth(published: Path, folder: Path, seed: int) -> Path:
    rows = parquet.read_table(
        published, columns=[*(f"e{i}" for i in range(6)), "cifar10_valid_accuracy", "latency_ms_raspi4"]
    )
    rows = rows.rename_columns([*(f"g{i}" for i in range(6)), "accuracy", "latency"])
    chosen = np.random.default_rng(seed).choice(rows.num_rows, rows.num_rows // 20, replace=False)
    path = folder / f"twentieth-{seed}.parquet"
    parquet.write_table(rows.take(chosen), path)
    return path


def made_up(folder: Path, seed: int, networks: int = 3_000, genes: int = 28, options: int = 4) -> Path:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, options, (networks, genes))
    worth = rng.normal(size=(genes, options)) * np.exp(rng.normal(size=(genes, 1)))
    quality = sum(worth[gene][chosen[:, gene]] for gene in range(genes))
    for _ in range(20):
        one, other = rng.integers(genes, size=2)
        quality = quality + rng.normal(size=(options, options))[chosen[:, one], chosen[:, other]]
    latency = sum((chosen[:, gene] + 1) * rng.uniform(0.5, 2) for gene in range(genes))
    columns = {f"g{gene}": chosen[:, gene] for gene in range(genes)}
    path = folder / f"made-up-{seed}.parquet"
    parquet.write_table(pa.table({**columns, "accuracy": quality + 0.3 * latency, "latency": latency}), path)
    return path


def search(kind: type[Strategy], space: Table, seed: int) -> list[float]:
    """Return the share reached at each budget, and how many candidates had parents."""
    evaluator = Tabular(space, seed, metrics={"loss": {"column": "accuracy", "scale": -1}, "latency": "latency"})
    goals = Goals(tuple(Objective(metric.name, metric.maximize, metric.worst or 0.0) for metric in evaluator.metrics))
    strategy: Strategy = kind(
        space, goals, EarlyExit(space, []).admit, seed, **({} if kind is RandomSearch else {"population": 20})
    )
    evaluations: list[Evaluation] = []
    while len(evaluations) < BUDGETS[-1]:
        outcomes = [evaluate(evaluator, candidate) for candidate in strategy.ask(1)]
        for outcome in outcomes:
            assert isinstance(outcome, Evaluation)
            evaluations.append(outcome)
            strategy.tell(outcome)
    best = hypervolume_of(evaluator.known_metrics(), goals)
    reached = [ParetoFront.of(evaluations[:budget], goals).hypervolume / best for budget in BUDGETS]
    return [*reached, sum(bool(evaluation.candidate.parents) for evaluation in evaluations[: BUDGETS[-1]])]


def rows(published: Path, seeds: int, folder: Path) -> Iterator[str]:
    files = {"made up, 28 genes": [made_up(folder, seed) for seed in range(seeds)]}
    if published.exists():
        files = {"NAS-Bench-201, 5 %": [twentieth(published, folder, seed) for seed in range(seeds)], **files}
    else:
        print(f"{published} is not there: without it", file=sys.stderr)
    for name, tables in files.items():
        for kind in (RandomSearch, NSGA2, SteadyStateNSGA2, AgingEvolution):
            for lacking, space in (("nearest row", Table), ("bred again", Refusing)):
                if kind is RandomSearch and space is Refusing:
                    continue
                genes = [column for column in parquet.read_schema(tables[0]).names if column.startswith("g")]
                found = [search(kind, space(file=file, genes=genes), seed) for seed, file in enumerate(tables)]
                *reached, bred = np.mean(found, axis=0)
                shares = " | ".join(f"{share:.3f}" for share in reached)
                how = "drawn" if kind is RandomSearch else lacking
                yield f"| {name} | {kind.__name__} | {how} | {shares} | {bred:.0f} |"


def main() -> None:
    published = Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    print(f"| table | strategy | what the table lacks | {' | '.join(map(str, BUDGETS))} | bred |")
    print(f"|---|---|---|{'---|' * (len(BUDGETS) + 1)}")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(published, seeds, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
