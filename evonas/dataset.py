"""A labelled data set with fixed, disjoint train, valid and test splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evonas.errors import DataError, nearest
from evonas.stratified import split_rows

_CHUNK = 4096  # examples that are converted to float64 at a time


@dataclass(frozen=True)
class Split:
    """Inputs, shape (examples, *input_shape), any real dtype; labels, shape (examples,), int64 from 0."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, rng: np.random.Generator) -> Split:
        """Return that many random examples, in random order; all of them if there are not so many."""
        rows = rng.permutation(len(self))[:count]
        return Split(self.inputs[rows], self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    """What networks are trained on (`train`), compared on (`valid`) and, once picked, tested on (`test`).

    `input_shape` is (channels, height, width) for images and (features,) for tables. Inputs are kept as they come
    (often uint8); `mean` and `std`, one a channel or feature, come from the training split.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: Sequence[str]

    @classmethod
    def from_arrays(
        cls,
        name: str,
        inputs: np.ndarray,
        labels: np.ndarray,
        *,
        classes: Sequence[str] | int | None = None,
        test: tuple[np.ndarray, np.ndarray] | None = None,
        valid_fraction: float = 0.2,
        test_fraction: float = 0.2,
        train_size: int | None = None,
        split_seed: int = 0,
        shrink: int = 1,
    ) -> Dataset:
        """Check the arrays and split them, stratified by label and shuffled by `split_seed`; a given `test` is kept.

        Inputs are tables (examples, features) or images (examples, height, width), which get a channel axis, or
        (examples, channels, height, width). Images with 1 or 3 channels on the last axis, and not on the second,
        are moved to channels first. Labels are whole numbers from 0, or strings, which are numbered in the order of
        `classes` (sorted, if that is not given).

        `valid_fraction` and `test_fraction` are shares of `inputs`; `test_fraction` counts only without `test`.
        Every class has an example in each split carved here. `train_size` keeps that many training examples,
        stratified; valid and test do not depend on it. With `shrink` n a pixel is the mean of n x n, rounded
        where pixels are whole numbers, as in the downsampled ImageNet of Chrabaszcz et al. (2017): networks train up to
        n^2 times as fast.
        Raises DataError for anything empty, misshapen, not finite or out of range.
        """
        inputs = _shrunk(name, _checked_inputs(name, inputs), shrink)
        labels = _checked_labels(name, labels, len(inputs))
        names = _class_names(name, labels, classes)
        labels = _numbered(name, labels, names)
        _check_fractions(name, valid_fraction, test_fraction if test is None else None)
        held_out = None if test is None else _checked_test(name, test, names, inputs.shape[1:], shrink)

        fractions = (valid_fraction, test_fraction if test is None else 0.0)
        rows = split_rows(name, labels, names, fractions, train_size, split_seed)
        train, valid, carved = (Split(inputs[row], labels[row]) for row in rows)
        return cls(name, train, valid, carved if held_out is None else held_out, names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(int(n) for n in self.train.inputs.shape[1:])

    def normalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the training inputs, one a channel or feature, float32.

        A channel or feature that never changes has the standard deviation 1.
        """
        inputs = self.train.inputs
        axes = (0, *range(2, inputs.ndim))
        along = (1, -1, *[1] * (inputs.ndim - 2))
        mean = inputs.mean(axis=axes, dtype=np.float64)
        squares = np.zeros_like(mean)
        for start in range(0, len(inputs), _CHUNK):
            squares += np.square(inputs[start : start + _CHUNK] - mean.reshape(along)).sum(axis=axes)
        std = np.sqrt(squares / (inputs.size / len(mean)))
        return mean.astype(np.float32), np.where(std > 1e-12 * np.abs(mean), std, 1.0).astype(np.float32)

    def fingerprint(self) -> str:
        """Return a hash of all examples and the way they are split."""
        sha = hashlib.sha256()
        for split in (self.train, self.valid, self.test):
            for array in (split.inputs, split.labels):
                sha.update(f"{array.dtype}{array.shape}".encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]

    def describe(self) -> str:
        """Return sizes, input shape and class balance as a few lines of text."""
        shape = " x ".join(map(str, self.input_shape))
        lines = [f"{self.name}: {len(self.classes)} classes, inputs {shape} ({self.train.inputs.dtype})"]
        for part, split in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            counts = np.bincount(split.labels, minlength=len(self.classes))
            lines.append(f"  {part:5} {len(split):7,} examples, {counts.min():,} to {counts.max():,} a class")
        return "\n".join(lines)


def _checked_inputs(name: str, inputs: np.ndarray) -> np.ndarray:
    inputs = np.asarray(inputs)
    if inputs.dtype.kind not in "buif":
        raise DataError(f"{name}: inputs must be real numbers, not {inputs.dtype}: convert them to uint8 or float32")
    if not 2 <= inputs.ndim <= 4:
        raise DataError(
            f"{name}: inputs must have 2 axes (examples, features), 3 (examples, height, width) or 4 (examples, "
            f"channels, height, width), and have the shape {inputs.shape}: reshape them"
        )
    if inputs.size == 0:
        raise DataError(f"{name}: inputs must not be empty, and have the shape {inputs.shape}")
    if inputs.dtype.kind == "f" and not (finite := np.isfinite(inputs)).all():
        broken = np.flatnonzero(~finite.reshape(len(inputs), -1).all(axis=1))
        raise DataError(
            f"{name}: inputs must be finite, and {len(broken)} examples hold NaN or infinity, the first is example "
            f"{broken[0]}: drop them or fill the gaps"
        )
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    elif inputs.ndim == 4 and inputs.shape[3] in (1, 3) and inputs.shape[1] not in (1, 3):
        inputs = np.moveaxis(inputs, 3, 1)
    return inputs.astype(np.uint8) if inputs.dtype.kind == "b" else inputs


def _shrunk(name: str, inputs: np.ndarray, shrink: int) -> np.ndarray:
    """Return images whose pixels are means of shrink x shrink pixels, in the dtype that they have."""
    if not isinstance(shrink, int) or isinstance(shrink, bool) or shrink < 1:
        raise DataError(f"{name}: shrink must be a whole number of at least 1, and is {shrink!r}")
    if shrink == 1:
        return inputs
    if inputs.ndim != 4:
        raise DataError(f"{name}: shrink is for images, and inputs have the shape {inputs.shape[1:]}: leave it out")
    height, width = inputs.shape[2:]
    if height % shrink or width % shrink:
        raise DataError(f"{name}: shrink must divide the images' {height} x {width} pixels, and is {shrink}")
    tiles = inputs.reshape(*inputs.shape[:2], height // shrink, shrink, width // shrink, shrink)
    means: np.ndarray = tiles.mean(axis=(3, 5), dtype=np.float64)
    shrunk: np.ndarray = (means if inputs.dtype.kind == "f" else means.round()).astype(inputs.dtype)
    return shrunk


def _checked_labels(name: str, labels: np.ndarray, examples: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise DataError(
            f"{name}: labels must have one axis, and have the shape {labels.shape}: "
            f"use labels.ravel() for a column, labels.argmax(axis=1) for one-hot rows"
        )
    if len(labels) != examples:
        raise DataError(f"{name}: there must be one label an input, and there are {len(labels)} for {examples} inputs")
    if not _textual(labels) and labels.dtype.kind not in "buif":
        raise DataError(f"{name}: labels must be whole numbers or strings, not {labels.dtype}")
    return labels


def _class_names(name: str, labels: np.ndarray, classes: Sequence[str] | int | None) -> tuple[str, ...]:
    if isinstance(classes, int | None):
        if _textual(labels):
            names = tuple(sorted({str(label) for label in labels.ravel()}))
            if classes not in (None, len(names)):
                raise DataError(f"{name}: classes is {classes}, and the labels have {len(names)} names: {_some(names)}")
        else:
            count = _highest(labels) + 1 if classes is None else classes
            if count > labels.size:  # also keeps a stray label from making a billion names
                raise DataError(
                    f"{name}: every class needs examples, and there are {labels.size} examples of {count} classes: "
                    f"number the labels from 0 without gaps"
                )
            names = tuple(str(number) for number in range(count))
    else:
        names = tuple(str(given) for given in classes)
        if repeated := sorted({given for given in names if names.count(given) > 1}):
            raise DataError(f"{name}: names of classes must differ, and {_some(repeated)} is given twice")
    if len(names) < 2:
        raise DataError(f"{name}: there must be at least two classes, not {len(names)}")
    return names


def _highest(labels: np.ndarray) -> int:
    whole = labels[np.isfinite(labels)]
    return max(0, int(whole.max())) if whole.size else 0


def _numbered(name: str, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    if _textual(labels):
        numbers = {c: number for number, c in enumerate(names)}
        if unknown := sorted({str(label) for label in labels} - set(numbers)):
            raise DataError(f"{name}: label '{unknown[0]}' is not among the classes{nearest(unknown[0], names)}")
        return np.array([numbers[str(label)] for label in labels], dtype=np.int64)
    if (broken := labels[~(np.isfinite(labels) & (labels == np.floor(labels)))]).size:
        raise DataError(f"{name}: labels must be whole numbers, not {broken[0]}: group the values into classes")
    if (outside := labels[(labels < 0) | (labels >= len(names))]).size:
        raise DataError(
            f"{name}: labels of {len(names)} classes must lie between 0 and {len(names) - 1}, not {outside[0]:g}: "
            f"number them from 0, or raise 'classes'"
        )
    return labels.astype(np.int64)


def _textual(labels: np.ndarray) -> bool:
    if labels.dtype.kind == "O":
        return labels.size > 0 and all(isinstance(label, str) for label in labels.ravel())
    return labels.dtype.kind == "U"


def _check_fractions(name: str, valid_fraction: float, test_fraction: float | None) -> None:
    given = {"valid_fraction": valid_fraction} | ({} if test_fraction is None else {"test_fraction": test_fraction})
    for option, value in given.items():
        if not 0.0 < value < 1.0:
            raise DataError(f"{name}: {option} must lie between 0 and 1, and is {value}")
    if not sum(given.values()) < 1.0:
        raise DataError(
            f"{name}: {' and '.join(given)} must leave examples to train on, and add up to {sum(given.values()):g}"
        )


def _checked_test(
    name: str, test: tuple[np.ndarray, np.ndarray], names: Sequence[str], shape: tuple[int, ...], shrink: int
) -> Split:
    inputs = _shrunk(f"{name}, test", _checked_inputs(f"{name}, test", test[0]), shrink)
    labels = _numbered(f"{name}, test", _checked_labels(f"{name}, test", test[1], len(inputs)), names)
    if inputs.shape[1:] != shape:
        raise DataError(f"{name}: test inputs must have the shape {shape} of the others, not {inputs.shape[1:]}")
    return Split(inputs, labels)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{c}'" for c in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
