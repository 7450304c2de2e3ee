"""The kernel of the Gaussian process, and its most probable hyper-parameters."""

from __future__ import annotations

import numpy as np

from evonas.predictors.columns import Columns

_STEPS = 60
"""Steps of the search for hyper-parameters; it mostly ends before."""

_LEAST_NOISE = 1e-4
"""The least variance of the noise, with which equal rows leave the covariance invertible."""


class Kernel:
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
        apart = [np.add.outer(squares(left[:, part]) / 2, squares(right[:, part]) / 2) for part in parts]
        apart[0] -= genes
        apart[1] -= numbers
        return self._sum(logs, genes, numbers, *apart)[0]

    def diagonal(self, logs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the covariance of every row with itself, without noise."""
        weighed, linear = rows * np.sqrt(self._relevance(logs))[self.group], np.exp(logs[:2])
        genes, numbers = squares(weighed[:, self.group < self.genes]), squares(weighed[:, self.group >= self.genes])
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
        lengths = [squares(own) / 2 for own in columns]
        distances = np.array([half[:, None] + half for half in lengths]) - products
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
        smooth, smooth_numbers, covariance = -rate[0] * genes_apart, -rate[2] * numbers_apart, variance[0] * genes
        smooth -= rate[1] * numbers_apart  # in place, for the sake of the processor's cache
        for part, of in ((smooth, variance[2]), (smooth_numbers, variance[3])):
            np.exp(part, out=part)
            part *= of
        covariance += variance[1] * numbers
        covariance += smooth
        covariance += smooth_numbers
        return covariance, smooth, smooth_numbers

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


def squares(rows: np.ndarray) -> np.ndarray:
    """Return the squared length of every row."""
    lengths: np.ndarray = np.einsum("ij,ij->i", rows, rows)
    return lengths
