"""Genomes a second: the analytic counter of Cell201 against building each network on torch's meta device and counting.

python experiments/benchmarks/costs.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from evonas.space import Genome, Metrics
from evonas.spaces.cell201 import Cell201


def built(space: Cell201, genome: Genome) -> Metrics:
    """Count a network as it is built, without memory for its weights."""
    with torch.device("meta"):
        network = space.build(genome).eval()
        inputs = torch.empty(1, *space.input_shape)
    with FlopCounterMode(display=False) as counter:
        network(inputs)
    return {"params": sum(p.numel() for p in network.parameters()), "macs": counter.get_total_flops() / 2}


def rate(count: Callable[[Genome], object], genomes: list[Genome]) -> float:
    """Return calls a second."""
    started = time.perf_counter()
    for genome in genomes:
        count(genome)
    return len(genomes) / (time.perf_counter() - started)


def main() -> None:
    space, rng = Cell201(), np.random.default_rng(0)
    genomes = [space.sample(rng) for _ in range(50_000)]
    assert all(dict(space.costs(g)) == dict(built(space, g)) for g in genomes[:20]), "the two must count the same"
    space.canonical(genomes[0])  # builds its table
    slow = rate(lambda genome: built(space, genome), genomes[:40])
    print(f"{'':22} genomes/s   times")
    print(f"{'built and counted':22} {slow:9,.0f} {1.0:7,.0f}")
    for name, count in (("costs", space.costs), ("canonical", space.canonical)):
        fast = rate(count, genomes)
        print(f"{name:22} {fast:9,.0f} {fast / slow:7,.0f}")


if __name__ == "__main__":
    main()
