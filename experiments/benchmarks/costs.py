"""Genomes a second: the analytic counter of Cell201 against building each network on torch's meta device and counting.

python experiments/benchmarks/costs.py
"""

from __future__ import annotations

import numpy as np
from torch_counts import counted, rate

from evonas.space import Genome, Metrics
from evonas.spaces.cell201 import Cell201


def main() -> None:
    space, rng = Cell201(), np.random.default_rng(0)

    def built(genome: Genome) -> Metrics:
        return counted(space.build, genome, space.input_shape)

    genomes = [space.sample(rng) for _ in range(50_000)]
    assert all(dict(space.costs(g)) == dict(built(g)) for g in genomes[:20]), "the two must count the same"
    space.canonical(genomes[0])  # builds its table
    slow = rate(built, genomes[:40])
    print(f"{'':22} genomes/s   times")
    print(f"{'built and counted':22} {slow:9,.0f} {1.0:7,.0f}")
    for name, count in (("costs", space.costs), ("canonical", space.canonical)):
        fast = rate(count, genomes)
        print(f"{name:22} {fast:9,.0f} {fast / slow:7,.0f}")


if __name__ == "__main__":
    main()
