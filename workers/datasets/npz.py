"""A data set in one .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evonas.dataset import Dataset
from evonas.errors import DataError

_INPUTS = ("inputs", "x", "images")
_LABELS = ("labels", "y")
_TEST_INPUTS = ("test_inputs", "test_x", "test_images")
_TEST_LABELS = ("test_labels", "test_y")


def arrays(
    *,
    path: str,
    valid_fraction: float = 0.2,
    test_fraction: float = 0.2,
    train_size: int | None = None,
    split_seed: int = 0,
    shrink: int = 1,
) -> Dataset:
    """Return the data set of an .npz file with the arrays `inputs` (or `x`, `images`) and `labels` (or `y`).

    If it holds `test_inputs` and `test_labels` (or `test_x`, `test_images`, `test_y`) too, these are the test split
    and `test_fraction` does not count. Pickled objects are never loaded. Write such a file with
    `numpy.savez(path, inputs=..., labels=...)`.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise DataError(f"there is no file {file}: give the path of an .npz file that every worker can read")
    content = _read(file)
    inputs, labels = _one_of(_INPUTS, content, file), _one_of(_LABELS, content, file)
    test = None
    if any(key in content for key in (*_TEST_INPUTS, *_TEST_LABELS)):
        test = _one_of(_TEST_INPUTS, content, file), _one_of(_TEST_LABELS, content, file)
    return Dataset.from_arrays(
        file.stem,
        inputs,
        labels,
        test=test,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        train_size=train_size,
        split_seed=split_seed,
        shrink=shrink,
    )


def _read(file: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file} is no .npz file: write one with numpy.savez(path, inputs=..., labels=...)")
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except ValueError as error:
        raise DataError(
            f"{file} holds something other than plain arrays ({error}): unpickling objects would run code from the "
            f"file, so save arrays of numbers only"
        ) from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is damaged ({error}): write it again") from error


def _one_of(keys: tuple[str, ...], content: Mapping[str, np.ndarray], file: Path) -> np.ndarray:
    found = [key for key in keys if key in content]
    if len(found) != 1:
        rule = f"must hold one array named {' or '.join(repr(key) for key in keys)}"
        raise DataError(f"{file} {rule}; it holds {', '.join(content) or 'none at all'}")
    return content[found[0]]
