"""The 1,797 handwritten digits, 1 x 8 x 8, that come with scikit-learn."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from evonas.dataset import Dataset
from evonas.errors import DataError


def digits(
    *,
    valid_fraction: float = 0.2,
    test_fraction: float = 0.2,
    train_size: int | None = None,
    split_seed: int = 0,
) -> Dataset:
    """Return the digits of the UCI test set (Alpaydin and Kaynak 1998): 10 classes, uint8 from 0 to 16. No download."""
    table = np.loadtxt(_file(), delimiter=",")
    return Dataset.from_arrays(
        "digits",
        table[:, :-1].reshape(-1, 8, 8).astype("uint8"),
        table[:, -1].astype(int),
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        train_size=train_size,
        split_seed=split_seed,
    )


def _file() -> Path:
    """Return where scikit-learn keeps the digits, without its import, which takes longer than all else at the start."""
    package = importlib.util.find_spec("sklearn")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (file := Path(folder) / "datasets" / "data" / "digits.csv.gz").exists():
            return file
    raise DataError("the digits come with scikit-learn, which is not installed here, or keeps them elsewhere now")
