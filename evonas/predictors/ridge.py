"""Ridge regression on one-hot choices, numbers, and products of any two of them."""

from __future__ import annotations

from itertools import product

import numpy as np

from evonas.errors import require
from evonas.predictor import Features
from evonas.predictors.base import Arrays, Regressor
from evonas.predictors.columns import Columns
from evonas.seeds import generator

PENALTIES = np.logspace(-4, 2, 25)
"""The penalties that are tried, as shares of the mean squared length of a row."""

PAIRS = (0.0, 0.1, 0.3, 1.0)
"""How much squared length a row's pairs may have, beside 1 of single columns."""

NUMBERS = (0.2, 0.5, 0.8)
"""How much of the squared length of single columns may be the numbers', where there are numbers."""


class Ridge(Regressor):
    """Ridge regression on single and pairwise features, whose penalty is chosen by leave-one-out.

    It is solved in its dual form: the inner product of all pairs is the square of the inner product of all columns, so
    that thousands of columns cost nothing. Leaving out each row has a closed form (Allen's PRESS, 1974), by which the
    penalty, the weight of the pairs and that of the numbers are chosen on `tuning_rows` rows at most, drawn at random.
    Of more than `rows` rows a random subset is learnt. The deviation is that of the Bayesian posterior, with the noise
    that the errors of leaving one row out ask for.
    """

    def __init__(self, seed: int, tuning_rows: int = 300, rows: int = 2000) -> None:
        require("tuning_rows", tuning_rows, tuning_rows >= 2, "2 or more")
        require("rows", rows, rows >= 2, "2 or more")
        super().__init__(seed)
        self.tuning_rows = tuning_rows
        self.rows = rows

    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        order = generator(self.seed, "ridge").permutation(len(targets))[: self.rows]
        columns = Columns.of(features.rows(order))
        known, targets = columns(features.rows(order)), targets[order]
        numbers = NUMBERS if columns.numeric.any() else (0.0,)
        few, told = known[: self.tuning_rows], targets[: self.tuning_rows]
        tried = [
            (*_best_penalty(_inner(few, few, columns, share, pairs), told), share, pairs)
            for share, pairs in product(numbers, PAIRS)
        ]
        _, penalty, share, pairs = min(tried)
        inner = _inner(known, known, columns, share, pairs) + penalty * np.eye(len(known))
        precision = np.linalg.inv(inner)
        weights = precision @ targets
        noise = np.mean(weights**2 / np.diag(precision))
        fitted = {"known": known, "precision": precision, "weights": weights}
        return {**columns.arrays(), **fitted, "settings": np.array([share, pairs, penalty, noise])}

    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        columns = Columns.from_arrays(learnt)
        share, pairs, penalty, noise = learnt["settings"]
        rows = columns(features)
        inner = _inner(rows, learnt["known"], columns, share, pairs)
        explained = ((inner @ learnt["precision"]) * inner).sum(axis=1)
        own = _length(rows, columns, share)
        variance = np.maximum(1 + own + pairs * own**2 - explained, 0.0) + penalty
        return inner @ learnt["weights"], np.sqrt(noise * variance)


def _weights(columns: Columns, share: float) -> np.ndarray:
    """Return the square roots of what columns weigh, so that a row has squared length 1 in the mean."""
    genes, numbers = columns.genes, int(columns.group.max()) + 1 - columns.genes
    return np.sqrt(np.where(columns.numeric, share / max(numbers, 1), (1 - share) / max(genes, 1)))


def _inner(left: np.ndarray, right: np.ndarray, columns: Columns, share: float, pairs: float) -> np.ndarray:
    weights = _weights(columns, share)
    single = (left * weights) @ (right * weights).T
    intercept = 1.0  # without it, rows of mean 0 tell what the one that is left out was
    inner: np.ndarray = intercept + single + pairs * single**2
    return inner


def _length(rows: np.ndarray, columns: Columns, share: float) -> np.ndarray:
    weighed = rows * _weights(columns, share)
    length: np.ndarray = np.einsum("ij,ij->i", weighed, weighed)
    return length


def _best_penalty(inner: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Return the smallest mean squared error of leaving one row out, and the penalty that has it."""
    values, vectors = np.linalg.eigh(inner)
    inverse = 1 / (np.maximum(values, 0) + PENALTIES[:, None])  # (penalties, rows)
    weights = (inverse * (targets @ vectors)) @ vectors.T
    errors = np.mean((weights / (inverse @ (vectors**2).T)) ** 2, axis=1)
    best = int(errors.argmin())
    return float(errors[best]), float(PENALTIES[best])
