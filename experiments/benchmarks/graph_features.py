"""What graph features are worth: Kendall's tau of a predictor that sees them, and of one that does not.

    python experiments/benchmarks/graph_features.py [--tables FOLDER] [--rows 50 100] [--seeds 3]

Gaussian processes learn the validation error of so many random cells of NAS-Bench-201, of the 5,234 canonical ones and
of all 15,625 raw genomes, and are scored on the others; a line each with the features of `Cell201` and without them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from efficiency_problems import TABLES, Problem, problem
from scipy.stats import kendalltau

from evonas.predictor import Encoding, Features
from evonas.predictors.gp import GP
from evonas.seeds import generator

CELLS = {"canonical": "folded", "raw": "latency"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of the parquet files (%(default)s)")
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 100], help="that are learnt")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"| cells | features |{'|'.join(f' {rows} rows ' for rows in options.rows)}|")
    print(f"|---|---|{'---|' * len(options.rows)}")
    for cells, name in CELLS.items():
        known = problem(name, options.tables)
        for told in (True, False):
            taus = [np.mean([tau(known, rows, seed, told) for seed in range(options.seeds)]) for rows in options.rows]
            print(
                f"| {cells} | {'with' if told else 'without'} |{'|'.join(f' {each:.3f} ' for each in taus)}|",
                flush=True,
            )


def tau(known: Problem, rows: int, seed: int, told: bool) -> float:
    """Return Kendall's tau on the cells that are not among the random `rows` that are learnt."""
    genomes, errors = list(known.rows), known.losses[list(known.rows.values()), 0]
    features = Encoding(known.space)(genomes)
    if not told:
        kept = [name not in known.space.features(genomes[0]) for name in features.names]
        names = tuple(name for name, keep in zip(features.names, kept, strict=True) if keep)
        features = Features(features.choices, features.sizes, features.numbers[:, kept], names, features.ordinals)
    order = generator(seed, "rows to learn").permutation(len(genomes))
    learnt, others = order[:rows], order[rows:]
    predictor = GP(seed)
    predictor.fit(features.rows(learnt), errors[learnt])
    return float(kendalltau(predictor.predict(features.rows(others)).mean, errors[others]).statistic)


if __name__ == "__main__":
    main()
