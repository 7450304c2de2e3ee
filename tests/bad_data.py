"""Data sets that no search can use."""

from __future__ import annotations

import numpy as np

from evonas.dataset import Dataset


def empty() -> tuple[np.ndarray, np.ndarray]:
    """No examples at all."""
    return np.zeros((0, 1, 8, 8), dtype=np.uint8), np.zeros(0, dtype=np.int64)


def labels_out_of_range() -> Dataset:
    """Ten classes by declaration, and a label 12."""
    labels = np.arange(200) % 10
    labels[7] = 12
    return Dataset.from_arrays("broken", np.zeros((200, 1, 8, 8), dtype=np.uint8), labels, classes=10)


def not_data() -> str:
    """Neither a Dataset nor arrays."""
    return "images"
