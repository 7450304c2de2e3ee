"""The graphs of NAS-Bench-101: which of them are equal, which belong to the space, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import lru_cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from evonas.space import Genome

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""What an inner vertex can be, in the order of the published code."""

VERTICES = 7
"""The input (vertex 0), five inner vertices, and the output (vertex 6)."""

MOST_EDGES = 9
"""Edges that a graph may have, counted after pruning."""

EDGES = tuple((source, target) for target in range(1, VERTICES) for source in range(target))
"""(source, target) of a genome's first 21 genes, each 1 where the edge exists; the other genes are operations."""

Edge = tuple[int, int]

_OUTPUT = VERTICES - 1
_INNER = range(1, _OUTPUT)


class Graph(NamedTuple):
    """A pruned graph: `matrix[source][target]` says whether the edge exists; inner vertices have `operations`."""

    matrix: tuple[tuple[bool, ...], ...]
    operations: tuple[str, ...]


def graph_of(genome: Genome) -> Graph:
    """Return the graph of a genome that has a path from the input to the output."""
    edges = live_edges(genome)
    vertices = _used(edges)
    matrix = tuple(tuple((source, target) in edges for target in vertices) for source in vertices)
    return Graph(matrix, tuple(OPERATIONS[genome[len(EDGES) + vertex - 1]] for vertex in vertices[1:-1]))


def genome_of(edges: Set[Edge], operations: Sequence[int]) -> Genome:
    """Return the genome of edges and of the first inner vertices' operations; those of the others are 0."""
    unused = (0,) * (len(_INNER) - len(operations))
    return (*(int(edge in edges) for edge in EDGES), *operations, *unused)


def live_edges(genome: Genome) -> frozenset[Edge]:
    """Return the edges on paths from the input to the output: what is left after pruning."""
    present = [edge for edge, chosen in zip(EDGES, genome, strict=False) if chosen]
    reached, leading = {0}, {_OUTPUT}
    for source, target in present:  # by target
        if source in reached:
            reached.add(target)
    for source, target in sorted(present, reverse=True):  # by source, the last first
        if target in leading:
            leading.add(source)
    return frozenset((source, target) for source, target in present if source in reached and target in leading)


def belongs(genome: Genome) -> bool:
    """Say whether the input reaches the output, over at most nine edges that matter."""
    return 0 < len(live_edges(genome)) <= MOST_EDGES


@lru_cache(maxsize=65_536)
def canonical(genome: Genome) -> Genome:
    """Return the genome that stands for all graphs isomorphic to that of one that belongs: see Cell101.canonical."""
    edges = live_edges(genome)
    vertices = _used(edges)
    number = {vertex: position for position, vertex in enumerate(vertices)}
    positions, edge_keys, operation_keys = _orders(len(vertices))
    operations = {number[vertex]: genome[len(EDGES) + vertex - 1] for vertex in vertices[1:-1]}
    keys = np.zeros(len(positions), dtype=np.int64)
    for source, target in edges:
        keys += edge_keys[number[source], number[target]]
    for vertex, operation in operations.items():
        keys += operation_keys[vertex] * operation
    best = dict(enumerate(positions[keys.argmin()].tolist()))
    place = {vertex: best[number[vertex]] for vertex in vertices} | {_OUTPUT: _OUTPUT}
    ordered = sorted(operations, key=best.__getitem__)
    return genome_of({(place[s], place[t]) for s, t in edges}, [operations[vertex] for vertex in ordered])


def draw(rng: np.random.Generator) -> Genome:
    """Return a canonical genome, each of the space's networks as likely as another.

    Drawn is a graph without anything to prune, each as likely; it is kept if it is the one that stands for its network.
    """
    graphs, likely = whole_graphs(), _likely()
    while True:
        edges, used = graphs[int(np.searchsorted(likely, rng.random(), side="right"))]
        genome = (*edges, *rng.integers(len(OPERATIONS), size=used).tolist(), *(0,) * (len(_INNER) - used))
        if canonical(genome) == genome:
            return genome


def repaired(genome: Genome, rng: np.random.Generator) -> Genome:
    """Return a genome that belongs: an edge is added if there is no path; if edges are many, one by one is taken away.

    Each time chance decides among the edges that serve and, when they are taken away, leave the most others a path.
    """
    edges: Set[Edge] = live_edges(genome)
    if not edges:
        present = {edge for edge, chosen in zip(EDGES, genome, strict=False) if chosen}
        joined = [whole for edge in EDGES if (whole := live_edges(genome_of(present | {edge}, ())))]
        edges = joined[rng.integers(len(joined))]
    while len(edges) > MOST_EDGES:
        smaller = [live_edges(genome_of(edges - {edge}, ())) for edge in sorted(edges)]
        most = max(map(len, smaller))
        largest = [rest for rest in smaller if len(rest) == most]
        edges = largest[rng.integers(len(largest))]
    return genome_of(edges, genome[len(EDGES) :])


@lru_cache(maxsize=1)
def whole_graphs() -> tuple[tuple[tuple[int, ...], int], ...]:
    """Return all sets of edges that belong with nothing to prune and their used inner vertices first.

    Each is the genes of its edges, and how many inner vertices it uses.
    """
    sets = np.arange(2 ** len(EDGES), dtype=np.int32)
    sets = sets[np.bitwise_count(sets) <= MOST_EDGES]
    chosen = {edge: (sets >> bit & 1).astype(bool) for bit, edge in enumerate(EDGES)}
    reads = [np.any([chosen[edge] for edge in EDGES if edge[1] == v] or [sets < 0], axis=0) for v in range(VERTICES)]
    leads = [np.any([chosen[edge] for edge in EDGES if edge[0] == v] or [sets < 0], axis=0) for v in range(VERTICES)]
    whole = leads[0] & reads[_OUTPUT]
    for vertex in _INNER:
        whole &= reads[vertex] == leads[vertex]
        if vertex > 1:
            whole &= reads[vertex - 1] | ~reads[vertex]
    used = np.sum(reads[1:_OUTPUT], axis=0)[whole].tolist()
    edges = np.stack([chosen[edge][whole] for edge in EDGES], axis=1).astype(int).tolist()
    return tuple((tuple(genes), count) for genes, count in zip(edges, used, strict=True))


@lru_cache(maxsize=1)
def _likely() -> np.ndarray:
    """Return how likely one of the first `whole_graphs` is, for each of them: they count once for each labelling."""
    labellings = np.cumsum([len(OPERATIONS) ** used for _, used in whole_graphs()])
    shares: np.ndarray = labellings / labellings[-1]
    return shares


@lru_cache(maxsize=VERTICES)
def _orders(count: int) -> tuple[np.ndarray, dict[Edge, np.ndarray], list[np.ndarray]]:
    """Return the positions of vertices in each of their orders, shape (orders, count), and what makes up the keys.

    For each order, that is what an edge adds, and what operation 1 of a vertex adds. An edge downwards adds more than
    all edges upwards, an edge more than all operations.
    """
    positions = np.array([(0, *inner, count - 1) for inner in permutations(range(1, count - 1))])
    operation_keys = [len(OPERATIONS) ** (count - 1 - positions[:, vertex]) for vertex in range(count)]
    edge_keys = {}
    for source, target in product(range(count), repeat=2):
        low, high = positions[:, source], positions[:, target]
        bit = np.where(low < high, low + high * (high - 1) // 2, len(EDGES))
        edge_keys[source, target] = len(OPERATIONS) ** count * 2**bit
    return positions, edge_keys, operation_keys


def _used(edges: Set[Edge]) -> list[int]:
    return sorted({vertex for edge in edges for vertex in edge})
