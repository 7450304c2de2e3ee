"""Networks of NAS-Bench-101: every graph of at most seven vertices and nine edges, through Cell101.canonical.

python experiments/benchmarks/cell101_networks.py
"""

from __future__ import annotations

import time
from collections import Counter
from itertools import product

from evonas.spaces.cell101 import Cell101
from evonas.spaces.cell101_graph import OPERATIONS, VERTICES, whole_graphs


def main() -> None:
    started, space = time.perf_counter(), Cell101()
    networks: dict[tuple[int, ...], int] = {}
    graphs = 0
    for edges, used in whole_graphs():
        for operations in product(range(len(OPERATIONS)), repeat=used):
            graphs += 1
            networks[space.canonical((*edges, *operations, *(0,) * (VERTICES - 2 - used)))] = used
    print(f"{graphs:,} graphs, {len(networks):,} networks (published: 423,624)")
    sizes = Counter(2 + used for used in networks.values())
    print("by vertices:", ", ".join(f"{size}: {count:,}" for size, count in sorted(sizes.items())))
    params = [space.costs(network)["params"] for network in networks]
    print(f"params from {min(params):,.0f} to {max(params):,.0f} (published: 227,274 to 49,979,274)")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
