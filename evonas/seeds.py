"""Seeds and generators that derive from the run's seed and from names, never from a clock or a worker."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

_to_json = json.JSONEncoder(separators=(",", ":")).encode


def derive_seed(run_seed: int, *names: object) -> int:
    """Return a seed in [0, 2**32) that depends on the run's seed and on `names` (JSON-plain values) only."""
    return int.from_bytes(hashlib.sha256(_to_json([run_seed, *names]).encode()).digest()[:4], "big")


def generator(run_seed: int, *names: object) -> np.random.Generator:
    """Return a fresh numpy generator for the purpose that `names` spell out."""
    return np.random.default_rng(derive_seed(run_seed, *names))


@contextmanager
def drawing_from(rng: np.random.Generator, modules: Sequence[Any]) -> Iterator[random.Random]:
    """Let modules that draw from Python's global `random` draw from `rng`: meanwhile they have one of their own."""
    chance = random.Random(int(rng.integers(2**63)))
    for module in modules:
        module.random = chance
    try:
        yield chance
    finally:
        for module in modules:
            module.random = random
