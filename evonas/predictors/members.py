"""Several models of one kind, each learnt without some of the rows, and the deviation that follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOLDS = 5
"""Into how many parts the rows are dealt at a time."""


def held_out(rows: int, members: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return which rows each member does not learn, a mask each: rows are dealt into folds again and again.

    Fewer than four rows are all learnt by every member.
    """
    folds = min(FOLDS, rows // 2)
    if folds < 2:
        return [np.zeros(rows, dtype=bool) for _ in range(members)]
    deals = [rng.permutation(rows) % folds for _ in range(-(-members // folds))]
    return [deals[member // folds] == member % folds for member in range(members)]


def errors_of(predictions: np.ndarray, left_out: Sequence[np.ndarray], targets: np.ndarray) -> np.ndarray:
    """Return two numbers for `pooled`: the mean squared error, and the mean variance of members, at rows left out.

    `predictions` are of shape (members, rows). A row's prediction is the mean over members that did not learn it.
    Where no row was left out, the error is taken to be the variance of targets.
    """
    absent = np.array(left_out)
    counts = absent.sum(axis=0)
    if not counts.any():
        return np.array([1.0, 0.0])
    told = counts > 0
    means = np.sum(predictions * absent, axis=0)[told] / counts[told]
    squares = np.sum((predictions[:, told] - means) ** 2 * absent[:, told], axis=0)
    variances = squares[counts[told] > 1] / (counts[told][counts[told] > 1] - 1)
    return np.array([np.mean((means - targets[told]) ** 2), variances.mean() if len(variances) else 0.0])


def pooled(predictions: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of every row from those of members, shape (members, rows), and from `errors_of`.

    The variance is the mean squared error, half of it in proportion to how much members differ about the row.
    """
    error, spread = errors
    doubt = np.minimum(predictions.var(axis=0) / spread, 10.0) if spread > 0 else 1.0
    return predictions.mean(axis=0), np.sqrt(error * (1 + doubt) / 2) * np.ones(predictions.shape[1])
