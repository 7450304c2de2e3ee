"""Data that notes the process of each load."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Noise with two labels; the process is noted in `loads` of the current folder."""
    with Path("loads").open("a") as file:
        file.write(f"{os.getpid()}\n")
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60, 6, 6)).astype(np.uint8), rng.integers(2, size=60)
