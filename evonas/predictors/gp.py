"""A Gaussian process whose kernel weighs genes and costs by what they matter."""

from __future__ import annotations

import numpy as np

from evonas.errors import require
from evonas.predictor import Features
from evonas.predictors.base import Arrays, Regressor
from evonas.predictors.columns import Columns
from evonas.seeds import generator

_STEPS = 60
"""Steps of the search for hyper-parameters; it mostly ends before."""

_LEAST_NOISE = 1e-4
"""The least variance of the noise, with which equal rows leave the covariance invertible."""


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
        kernel = _Kernel(columns)
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
        kernel, logs, rows = _Kernel(columns), learnt["logs"], columns(features)
        covariance = kernel(logs, rows, learnt["known"])
        explained = ((covariance @ learnt["inverse"].T) ** 2).sum(axis=1)
        variance = np.maximum(kernel.diagonal(logs, rows) - explained, 0.0) + kernel.noise(logs)
        return covariance @ learnt["weights"], learnt["stretch"] * np.sqrt(variance)


class _Kernel:
    """The covariance of rows of columns, under the logarithms of hyper-parameters.

    They are four variances (linear in genes, linear in numbers, smooth, smooth in numbers), the noise, three inverse
    squared lengths (of genes and of numbers in the smooth part, of numbers in the last), and a relevance a group.
    """

    def __init__(self, columns: Columns) -> None:
        self.group, self.genes = columns.group, columns.genes
        self.groups = max(int(columns.group.max()) + 1, self.genes)
        self.sizes = np.array([self.genes] * self.genes + [self.groups - self.genes] * (self.groups - self.genes))
        self.expected = np.array([-1.0, -1.0, -1.0, -2.0, -2.5, 0.5, 0.0, -1.0] + [0.0] * self.groups)
        self.doubt = np.array([1.5] * 4 + [1.0] * (4 + self.groups))

    def __call__(self, logs: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return the covariance of two sets of rows, without noise."""
        weight = np.sqrt(self._relevance(logs))[self.group]
        left, right, parts = left * weight, right * weight, (self.group < self.genes, self.group >= self.genes)
        genes, numbers = (left[:, part] @ right[:, part].T for part in parts)
        squares = [(_squares(left[:, part])[:, None] + _squares(right[:, part])) / 2 for part in parts]
        return self._sum(logs, genes, numbers, squares[0] - genes, squares[1] - numbers)[0]

    def diagonal(self, logs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the covariance of every row with itself, without noise."""
        weighed, linear = rows * np.sqrt(self._relevance(logs))[self.group], np.exp(logs[:2])
        genes, numbers = _squares(weighed[:, self.group < self.genes]), _squares(weighed[:, self.group >= self.genes])
        variance: np.ndarray = linear[0] * genes + linear[1] * numbers + np.exp(logs[2]) + np.exp(logs[3])
        return variance

    def noise(self, logs: np.ndarray) -> float:
        """Return the variance of the noise."""
        return float(np.exp(logs[4])) + _LEAST_NOISE

    def tuned(self, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the most probable hyper-parameters."""
        from scipy.optimize import minimize

        columns = [rows[:, self.group == group] for group in range(self.groups)]
        products = np.array([own @ own.T for own in columns])
        squares = [_squares(own) / 2 for own in columns]
        distances = np.array([half[:, None] + half for half in squares]) - products
        improbable = lambda logs: self._improbability(logs, products, distances, targets)  # noqa: E731
        bounds = np.column_stack([self.expected - 4 * self.doubt, self.expected + 4 * self.doubt])
        options = {"maxiter": _STEPS}
        found = minimize(improbable, self.expected, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return np.asarray(found.x)

    def _relevance(self, logs: np.ndarray) -> np.ndarray:
        relevance: np.ndarray = np.exp(logs[8:]) / self.sizes
        return relevance

    def _sum(
        self,
        logs: np.ndarray,
        genes: np.ndarray,
        numbers: np.ndarray,
        genes_apart: np.ndarray,
        numbers_apart: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the covariance and its two smooth parts, from weighed inner products and distances."""
        variance, rate = np.exp(logs[:4]), np.exp(logs[5:8])
        smooth = variance[2] * np.exp(-rate[0] * genes_apart - rate[1] * numbers_apart)
        smooth_numbers = variance[3] * np.exp(-rate[2] * numbers_apart)
        return variance[0] * genes + variance[1] * numbers + smooth + smooth_numbers, smooth, smooth_numbers

    def _improbability(
        self, logs: np.ndarray, products: np.ndarray, distances: np.ndarray, targets: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return the negative logarithm of posterior probability, up to a constant, and its gradient."""
        from scipy.linalg import cho_factor, cho_solve

        relevance = self._relevance(logs)
        of_genes, of_numbers = slice(0, self.genes), slice(self.genes, self.groups)
        halves = [
            np.tensordot(relevance[part], stack[part], 1)
            for stack in (products, distances)
            for part in (of_genes, of_numbers)
        ]
        covariance, smooth, smooth_numbers = self._sum(logs, *halves)
        noise = self.noise(logs)
        factor = cho_factor(covariance + noise * np.eye(len(targets)), lower=True)
        weights = cho_solve(factor, targets)
        loss = targets @ weights / 2 + np.log(np.diag(factor[0])).sum()
        slope = (cho_solve(factor, np.eye(len(targets))) - np.outer(weights, weights)) / 2  # by the covariance
        linear, rate = np.exp(logs[:2]), np.exp(logs[5:8])
        genes, numbers, genes_apart, numbers_apart = halves
        smooth, smooth_numbers = slope * smooth, slope * smooth_numbers
        falling = (rate[0] * smooth, rate[1] * smooth + rate[2] * smooth_numbers)
        gradient = np.empty_like(logs)
        gradient[:5] = (
            linear[0] * np.vdot(slope, genes), linear[1] * np.vdot(slope, numbers), smooth.sum(), smooth_numbers.sum(),
            np.exp(logs[4]) * np.trace(slope),
        )  # fmt: skip
        gradient[5:8] = -rate * (
            np.vdot(smooth, genes_apart), np.vdot(smooth, numbers_apart), np.vdot(smooth_numbers, numbers_apart)
        )  # fmt: skip
        for part, variance, fall in zip((of_genes, of_numbers), linear, falling, strict=True):
            rise = variance * np.tensordot(products[part], slope, 2) - np.tensordot(distances[part], fall, 2)
            gradient[8:][part] = relevance[part] * rise
        surprise = (logs - self.expected) / self.doubt
        return float(loss + surprise @ surprise / 2), gradient + surprise / self.doubt


def _squares(rows: np.ndarray) -> np.ndarray:
    squares: np.ndarray = np.einsum("ij,ij->i", rows, rows)
    return squares
