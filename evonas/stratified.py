"""Stratified, shuffled, disjoint rows of a train, a valid and a test split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.errors import DataError
from evonas.seeds import generator


def split_rows(
    name: str,
    labels: np.ndarray,
    classes: Sequence[str],
    fractions: tuple[float, float],
    train_size: int | None,
    split_seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of train, valid and test; `fractions` are the shares of valid and test, 0 for no test.

    Each split has its classes in the proportions of `labels`, shape (examples,), and at least one example of each
    class. Valid and test do not depend on `train_size`. Raises DataError where a class has too few examples.
    """
    counts = np.bincount(labels, minlength=len(classes))
    valid_counts, test_counts = (
        portion(counts, max(len(classes), round(fraction * len(labels)))) if fraction else np.zeros_like(counts)
        for fraction in fractions
    )
    train_counts = counts - valid_counts - test_counts
    if (scarce := np.flatnonzero(train_counts < 1)).size:
        raise DataError(
            f"{name}: every class needs an example in each split, and class '{classes[scarce[0]]}' has only "
            f"{counts[scarce[0]]} in all: add some, leave the class out, or choose smaller fractions"
        )
    if train_size is not None:
        available = int(train_counts.sum())
        if not len(classes) <= train_size <= available:
            raise DataError(
                f"{name}: train_size must lie between {len(classes)}, one a class, and {available}, what is left "
                f"beside the other splits, and is {train_size}"
            )
        train_counts = portion(train_counts, train_size)

    rng = generator(split_seed, "split")
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in range(len(classes)):
        order = rng.permutation(np.flatnonzero(labels == label))
        first, second = valid_counts[label], valid_counts[label] + test_counts[label]
        parts[0].append(order[:first])
        parts[1].append(order[first:second])
        parts[2].append(order[second : second + train_counts[label]])
    # train is shuffled last: its size must not touch the order of the others
    valid, test, train = (rng.permutation(np.concatenate(part)) for part in parts)
    return train, valid, test


def portion(counts: np.ndarray, total: int) -> np.ndarray:
    """Share `total` out in proportion to `counts`, shape (classes,): at least 1 each, by largest remainders.

    Ties go to the lowest label, so that the shares depend on the counts alone.
    """
    exact = counts * (total / counts.sum())
    shares = np.maximum(1, np.floor(exact).astype(np.int64))
    while shares.sum() < total:
        shares[np.argmax(exact - shares)] += 1
    while shares.sum() > total:
        shares[np.argmax(np.where(shares > 1, shares - exact, -np.inf))] -= 1
    return np.asarray(shares)
