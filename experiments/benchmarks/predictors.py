"""Kendall's tau on rows that were not learnt, of each predictor on each table, and the seconds that it takes.

    python experiments/benchmarks/predictors.py [--tables FOLDER] [--rows 50 100 200 400] [--seeds 5] [--predictors ...]

Tables are two published ones (left out if FOLDER lacks them), and synthetic ones of 28 genes in three kinds of space,
in four forms of the accuracy each: see predictor_tables.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from predictor_tables import REFERENCE, Table, published, synthetic
from scipy.stats import kendalltau

from evonas.component import Component
from evonas.predictor import Predictor

PREDICTORS = {
    "ridge": Component("evonas.predictors.ridge:Ridge"),
    "gp": Component("evonas.predictors.gp:GP"),
    "gbdt": Component("evonas.predictors.gbdt:GBDT"),
    "forest": Component("evonas.predictors.forest:Forest"),
    "ensemble": Component("evonas.predictors.ensemble:Ensemble"),
    "auto": Component("evonas.predictors.auto:Auto"),
}
ASKED = 1500
"""Rows whose ranks are predicted."""

UNLABELLED = 1000
"""Rows without targets that may be learnt from before."""


@dataclass(frozen=True)
class Score:
    """How one predictor did on one table: Kendall's tau, share of errors within a deviation, seconds."""

    tau: float
    within: float
    fit_seconds: float
    predict_seconds: float


def score(component: Component, table: Table, rows: int, seed: int) -> Score:
    """Learn `rows` rows of a table and predict others; the predictions are scaled to 10,000 rows."""
    order = np.random.default_rng(seed).permutation(len(table.targets))
    learnt, asked = order[:rows], order[rows : rows + ASKED]
    predictor: Predictor = component.build({"seed": seed})
    predictor.pretrain(table.features.rows(order[-UNLABELLED:]))
    started = time.process_time()
    predictor.fit(table.features.rows(learnt), table.targets[learnt])
    fitted = time.process_time()
    prediction = predictor.predict(table.features.rows(asked))
    predicted = time.process_time()
    truth = table.targets[asked]
    tau = float(kendalltau(prediction.mean, truth).statistic)
    within = float(np.mean(np.abs(prediction.mean - truth) < prediction.std))
    return Score(tau, within, fitted - started, (predicted - fitted) * 10_000 / len(asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=REFERENCE, help="folder of the published tables")
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 100, 200, 400], help="rows to learn")
    parser.add_argument("--seeds", type=int, default=5, help="draws of those rows")
    parser.add_argument("--predictors", nargs="+", default=list(PREDICTORS), choices=list(PREDICTORS))
    parser.add_argument("--only", default="", help="tables whose name has this")
    given = parser.parse_args()
    tables = synthetic(3000)
    if given.tables.is_dir():
        tables += published(given.tables)
    else:
        print(f"{given.tables} is not there: the published tables are left out")
    compare([table for table in tables if given.only in table.name], given.predictors, given.rows, given.seeds)


def compare(tables: Sequence[Table], predictors: Sequence[str], sizes: Sequence[int], seeds: int) -> None:
    """Print a line a table and number of rows, as soon as it is known, and then the means."""
    print(
        f"{'table':20} {'rows':>4} " + " ".join(f"{name:>8}" for name in predictors) + "  best      auto - best single"
    )
    found: dict[int, list[list[Score]]] = {rows: [] for rows in sizes}
    for table in tables:
        for rows in sizes:
            scores = [
                _mean([score(PREDICTORS[name], table, rows, seed) for seed in range(seeds)]) for name in predictors
            ]
            found[rows].append(scores)
            taus = {name: mean.tau for name, mean in zip(predictors, scores, strict=True)}
            singles = {name: tau for name, tau in taus.items() if name != "auto"}
            best = max(singles, key=lambda name: singles[name], default="auto")
            behind = f"{taus['auto'] - taus[best]:+.3f}" if "auto" in taus else ""
            print(
                f"{table.name:20} {rows:4} " + _line([mean.tau for mean in scores]) + f"  {best:9} {behind}", flush=True
            )
    for title, value in (
        ("mean tau", lambda mean: mean.tau),
        ("within a deviation", lambda mean: mean.within),
        ("fit, CPU s", lambda mean: mean.fit_seconds),
        ("predict 10,000, CPU s", lambda mean: mean.predict_seconds),
    ):
        print(f"\n{title}")
        for rows in sizes:
            columns = [[value(scores[number]) for scores in found[rows]] for number in range(len(predictors))]
            print(f"{'':20} {rows:4} " + _line([float(np.mean(column)) for column in columns]))


def _mean(scores: Sequence[Score]) -> Score:
    columns = np.array([[one.tau, one.within, one.fit_seconds, one.predict_seconds] for one in scores]).mean(axis=0)
    return Score(*(float(column) for column in columns))


def _line(values: Sequence[float]) -> str:
    return " ".join(f"{value:8.3f}" for value in values)


if __name__ == "__main__":
    main()
