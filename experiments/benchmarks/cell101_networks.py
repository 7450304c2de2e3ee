"""Networks of NAS-Bench-101: every graph of at most seven vertices and nine edges, through Cell101.canonical.

python experiments/benchmarks/cell101_networks.py
"""

from __future__ import annotations

import time
from collections import Counter
from itertools import product

import numpy as np

from evonas.spaces.cell101 import EDGES, MOST_EDGES, OPERATIONS, VERTICES, Cell101


def whole_graphs() -> np.ndarray:
    """Return the sets of edges, shape (n, 21), in which every vertex used lies on a path and unused ones are the last.

    The published count is over such graphs; all others are pruned to one of them.
    """
    sets = np.arange(2 ** len(EDGES))
    chosen = {edge: (sets >> bit & 1).astype(bool) for bit, edge in enumerate(EDGES)}
    inner = range(1, VERTICES - 1)
    reads = {v: np.any([chosen[source, v] for source in range(v)], axis=0) for v in range(1, VERTICES)}
    leads = {v: np.any([chosen[v, target] for target in range(v + 1, VERTICES)], axis=0) for v in range(VERTICES - 1)}
    whole = leads[0] & reads[VERTICES - 1] & (np.sum(list(chosen.values()), axis=0) <= MOST_EDGES)
    for vertex in inner:
        whole &= reads[vertex] == leads[vertex]
        if vertex > 1:
            whole &= reads[vertex - 1] | ~reads[vertex]
    return np.stack([chosen[edge][whole] for edge in EDGES], axis=1).astype(int)


def main() -> None:
    started, space = time.perf_counter(), Cell101()
    networks: set[tuple[int, ...]] = set()
    graphs = 0
    for edges in whole_graphs().tolist():
        used = sum(any(edges[EDGES.index((source, v))] for source in range(v)) for v in range(1, VERTICES - 1))
        for operations in product(range(len(OPERATIONS)), repeat=used):
            graphs += 1
            networks.add(space.canonical((*edges, *operations, *(0,) * (VERTICES - 2 - used))))
    sizes = Counter(
        2 + sum(any(network[EDGES.index((source, v))] for source in range(v)) for v in range(1, VERTICES - 1))
        for network in networks
    )
    print(f"{graphs:,} graphs, {len(networks):,} networks (published: 423,624)")
    print("by vertices:", ", ".join(f"{size}: {count:,}" for size, count in sorted(sizes.items())))
    params = [space.costs(network)["params"] for network in networks]
    print(f"params from {min(params):,.0f} to {max(params):,.0f} (published: 227,274 to 49,979,274)")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
