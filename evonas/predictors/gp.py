"""A Gaussian process whose kernel weighs genes and costs by what they matter."""

from __future__ import annotations

import numpy as np

from evonas.errors import require
from evonas.predictor import Features
from evonas.predictors.base import Arrays, Regressor
from evonas.predictors.columns import Columns
from evonas.predictors.gp_kernel import Kernel, squares
from evonas.seeds import generator


class GP(Regressor):
    """Gaussian process with linear and smooth parts, and a relevance for every gene, cost and measured column.

    The kernel is a sum: linear in the genes, linear in the numbers, smooth (Gaussian) in genes and numbers, and smooth
    in the numbers alone. Relevances weigh genes and numbers in all four (automatic relevance determination, Neal 1996).
    The hyper-parameters are the most probable ones under log-normal priors (a few rows do not determine so many) given
    `tuning_rows` rows at most, drawn at random. Of more than `rows` rows a random subset is learnt. The deviation is
    the posterior's, noise included, stretched so that errors of leaving one row out have it.
    """

    def __init__(self, seed: int, tuning_rows: int = 200, rows: int = 2000) -> None:
        require("tuning_rows", tuning_rows, tuning_rows >= 2, "2 or more")
        require("rows", rows, rows >= 2, "2 or more")
        super().__init__(seed)
        self.tuning_rows = tuning_rows
        self.rows = rows

    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        from scipy.linalg import cholesky, solve_triangular

        order = generator(self.seed, "gp").permutation(len(targets))[: self.rows]
        columns = Columns.of(features.rows(order))
        known, targets = columns(features.rows(order)), targets[order]
        kernel = Kernel(columns)
        logs = kernel.tuned(known[: self.tuning_rows], targets[: self.tuning_rows])
        covariance = kernel(logs, known, known) + kernel.noise(logs) * np.eye(len(known))
        inverse = solve_triangular(cholesky(covariance, lower=True), np.eye(len(known)), lower=True)
        weights = inverse.T @ (inverse @ targets)
        left_out = weights / np.sqrt((inverse**2).sum(axis=0))  # errors over their deviations (Rasmussen 2006, 5.4.2)
        stretch = np.clip(np.sqrt(np.mean(left_out**2)), 0.5, 2.0)
        fitted = {"logs": logs, "known": known, "inverse": inverse, "weights": weights, "stretch": stretch}
        return {**columns.arrays(), **fitted}

    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        columns = Columns.from_arrays(learnt)
        kernel, logs, rows = Kernel(columns), learnt["logs"], columns(features)
        covariance = kernel(logs, rows, learnt["known"])
        explained = squares(covariance @ learnt["inverse"].T)
        variance = np.maximum(kernel.diagonal(logs, rows) - explained, 0.0) + kernel.noise(logs)
        return covariance @ learnt["weights"], learnt["stretch"] * np.sqrt(variance)
