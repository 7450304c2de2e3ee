"""An inherited evaluator that tells of the memory that its weights lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from evonas.evaluation import Metric
from evonas.space import Genome, Metrics
from evonas.workers.inherited import Inherited


class Watched(Inherited):
    """Adds a hash of the shared arrays after the evaluation, and whether the weights are those arrays, unwritable."""

    metrics = (*Inherited.metrics, Metric("hash"), Metric("zero_copy"), Metric("read_here"))

    def share(self) -> object:  # type: ignore[override]
        self.read_here = self._shared is None
        return super().share()

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        measured = super().measure(genome, budget)
        arrays = super().share().packed.arrays()
        addresses = {name.removeprefix("weights/"): array.ctypes.data for name, array in arrays.items()}
        shared = {name: weight.data_ptr() for name, weight in self._resident.supernet.named_parameters()}
        unwritable = not any(array.flags.writeable for array in arrays.values())
        aligned = not any(address % 64 for address in addresses.values())
        found = {"zero_copy": float(addresses == shared and unwritable and aligned), "read_here": float(self.read_here)}
        return {**measured, **found, "hash": hash_of(arrays)}


def hash_of(arrays: Mapping[str, np.ndarray]) -> float:
    """Return 48 bits of a hash of the arrays' bytes."""
    sha = hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(arrays.items())))
    return float(int(sha.hexdigest()[:12], 16))
