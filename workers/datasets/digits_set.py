"""The 1,797 handwritten digits, 1 x 8 x 8, that come with scikit-learn."""

from __future__ import annotations

from evonas.dataset import Dataset


def digits(
    *,
    valid_fraction: float = 0.2,
    test_fraction: float = 0.2,
    train_size: int | None = None,
    split_seed: int = 0,
) -> Dataset:
    """Return the digits of the UCI test set (Alpaydin and Kaynak 1998): 10 classes, uint8 from 0 to 16. No download."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Dataset.from_arrays(
        "digits",
        bunch.images.astype("uint8"),
        bunch.target,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        train_size=train_size,
        split_seed=split_seed,
    )
