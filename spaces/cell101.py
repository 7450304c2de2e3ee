"""The cell space of NAS-Bench-101: graphs of at most seven vertices and nine edges, the same one in every module."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evonas.errors import ConfigError, GenomeError
from evonas.seeds import generator
from evonas.space import Gene, Genome, Metrics, SearchSpace

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The options of an inner vertex, in the order of the published code."""

VERTICES = 7
"""The input (vertex 0), five inner vertices, and the output (vertex 6)."""

MOST_EDGES = 9
"""Edges that a graph may have, counted after pruning."""

EDGES = tuple((source, target) for target in range(1, VERTICES) for source in range(target))
"""(source, target) of the first 21 genes, each 1 where the edge exists."""

NEIGHBOURS = 10
"""How many genomes of the space are offered in place of one that is not in it."""

KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}

_OUTPUT = VERTICES - 1
_EDGE_SETS = 1_538_083  # of the 2**21 sets of edges, those that belong to the space


class Module(NamedTuple):
    """A pruned graph: `matrix[source][target]` says whether the edge exists; inner vertices have `operations`."""

    matrix: tuple[tuple[bool, ...], ...]
    operations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Cell101(SearchSpace):
    """The 423,624 cells of NAS-Bench-101 (Ying et al., ICML 2019), in a skeleton of any size.

    A genome is 21 edges and the operations of five inner vertices. What lies on no path from the input to the output
    is pruned; a genome belongs to the space if such a path exists and at most nine edges remain.

    A vertex is its operation on the sum of its predecessors, the output the concatenation of its own. What comes from
    the cell's input passes a projection (convolution 1x1, batch norm, ReLU); to the output it is added. The output's
    channels are split evenly among its inner predecessors, the first of which take the remainder; other vertices have
    as many as the largest vertex that they feed, which takes only its own number of them. The published skeleton is
    the default: a stem (convolution 3x3 to 128 channels, batch norm, ReLU), three stacks of three modules, before the
    second and third stack a max pool 2x2 that halves the image (rounding up) and twice the channels, global average
    pool, linear.

    The split depends on the order of the vertices, so that isomorphic graphs can have different numbers of channels.
    As in the published table one of them stands for all: `costs` and `build` are those of the canonical genome.
    Deviations: torch's momentum of batch norm (0.1, not 0.003) and its initial weights.

    `input_shape` is (channels, height, width) in pixels. Raises ConfigError for what cannot be built.
    """

    stem_channels: int = 128
    stacks: int = 3
    modules_per_stack: int = 3
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10

    genes = (
        *(Gene(f"edge_{source}_{target}", (0, 1)) for source, target in EDGES),
        *(Gene(f"op_{vertex}", OPERATIONS) for vertex in range(1, VERTICES - 1)),
    )

    def __post_init__(self) -> None:
        for name in ("stem_channels", "stacks", "modules_per_stack", "classes"):
            if not _positive(getattr(self, name)):
                raise ConfigError(f"'{name}' must be a whole number, 1 or more, not {getattr(self, name)!r}")
        if self.stem_channels < VERTICES - 2:
            raise ConfigError(f"'stem_channels' must be 5 or more, one for each inner vertex, not {self.stem_channels}")
        try:
            shape = tuple(self.input_shape)
        except TypeError:
            shape = ()
        if len(shape) != 3 or not all(map(_positive, shape)):
            raise ConfigError(
                f"'input_shape' must be an image, (channels, height, width), each 1 or more, not {self.input_shape!r}: "
                "reshape the data to images, or take a space for tables"
            )
        object.__setattr__(self, "input_shape", shape)

    def build(self, genome: Genome) -> nn.Module:
        """Return the network: float images (batch, *input_shape) to logits (batch, classes)."""
        from evonas.spaces.cell101_network import Cell101Network

        return Cell101Network(
            module(self.canonical(genome)),
            stem_channels=self.stem_channels,
            stacks=self.stacks,
            modules_per_stack=self.modules_per_stack,
            input_channels=self.input_shape[0],
            classes=self.classes,
        )

    def costs(self, genome: Genome) -> Metrics:
        """Return trainable `params`, those of the published table, and `macs` of one image (convolutions, linear)."""
        graph = module(self.canonical(genome))
        channels, (image_channels, height, width) = self.stem_channels, self.input_shape
        weights = 9 * image_channels * channels
        params, macs = weights + 2 * channels, weights * height * width
        for stack in range(self.stacks):
            outputs = channels
            if stack > 0:
                height, width, outputs = (height + 1) // 2, (width + 1) // 2, 2 * channels
            for inputs in (channels, *[outputs] * (self.modules_per_stack - 1)):
                weights, filters = _convolutions(graph, inputs, outputs)
                params += weights + 2 * filters
                macs += weights * height * width
            channels = outputs
        return {"params": float(params + (channels + 1) * self.classes), "macs": float(macs + channels * self.classes)}

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome that stands for all isomorphic graphs: vertices unused are the last, with operation 0.

        It is the one that the published table names: of all orders of the vertices with edges upwards only, that whose
        edges read as a binary number (the last gene of an edge first) are the smallest, then whose operations are.
        Exact: every order is tried. Graphs that are not isomorphic are different networks, as in the paper.
        """
        return _canonical(self.validate(genome))

    def validate(self, genome: Sequence[int]) -> Genome:
        """Return `genome` as a genome of this space; raise GenomeError if it is none."""
        valid = super().validate(genome)
        if not _belongs(valid):
            edges = ", ".join(f"{source}-{target}" for source, target in sorted(_edges(valid))) or "none"
            raise GenomeError(
                f"a graph of this space leads from vertex 0 to vertex {_OUTPUT} over at most {MOST_EDGES} edges that "
                f"matter, and this one's are {edges}: take one of those that 'nearest' returns"
            )
        return valid

    def sample(self, rng: np.random.Generator) -> Genome:
        """Draw a genome, uniform over those of the space."""
        while True:
            edges, operations = rng.integers(2, size=len(EDGES)), rng.integers(len(OPERATIONS), size=VERTICES - 2)
            if _belongs(genome := (*edges.tolist(), *operations.tolist())):
                return genome

    def nearest(self, genome: Genome) -> Sequence[Genome]:
        """Return the genome if it belongs to the space, else up to `NEIGHBOURS` with an edge more or a few less.

        Which edges, chance decides, the same for the same genome.
        """
        if _belongs(genome):
            return (genome,)
        rng = generator(0, "nearest", list(genome))
        return list(dict.fromkeys(_repaired(genome, rng) for _ in range(NEIGHBOURS)))

    def size(self) -> int:
        """Return the number of genomes whose graph belongs to the space (isomorphic ones count each time)."""
        operations: int = len(OPERATIONS) ** (VERTICES - 2)
        return _EDGE_SETS * operations

    def smallest(self) -> Genome:
        """Return the genome of the fewest params: one projection, to a quarter of the channels, and pools."""
        middle = (2, 3, 4, 5)
        return _genome(
            {(0, 1), *((1, vertex) for vertex in middle), *((vertex, _OUTPUT) for vertex in middle)}, [2] * 5
        )

    def largest(self) -> Genome:
        """Return the genome of the most params: a chain of 3x3 convolutions, and three projections more."""
        return _genome({*((vertex, vertex + 1) for vertex in range(_OUTPUT)), (0, 2), (0, 3), (0, 4)}, [0] * 5)


def module(genome: Genome) -> Module:
    """Return the pruned graph of a genome; raise GenomeError if no path leads from its input to its output."""
    edges = _edges(genome)
    vertices = sorted({vertex for edge in edges for vertex in edge})
    if not vertices:
        raise GenomeError("in this graph no path leads from the input to the output: add an edge")
    matrix = tuple(tuple((source, target) in edges for target in vertices) for source in vertices)
    return Module(matrix, tuple(OPERATIONS[genome[len(EDGES) + vertex - 1]] for vertex in vertices[1:-1]))


def vertex_channels(matrix: Sequence[Sequence[bool]], outputs: int) -> list[int]:
    """Return the channels of every vertex of a pruned graph; 0 for the input, which keeps its own."""
    last = len(matrix) - 1
    channels = [0] * last + [outputs]
    splitting = [vertex for vertex in range(1, last) if matrix[vertex][last]]
    for position, vertex in enumerate(splitting):
        share, remainder = divmod(outputs, len(splitting))
        channels[vertex] = share + (position < remainder)
    for vertex in reversed(range(1, last)):
        if not matrix[vertex][last]:
            channels[vertex] = max(channels[target] for target in range(vertex + 1, last) if matrix[vertex][target])
    return channels


@lru_cache(maxsize=65_536)
def _canonical(genome: Genome) -> Genome:
    """Return the canonical genome of one that belongs to the space."""
    edges = _edges(genome)
    vertices = sorted({vertex for edge in edges for vertex in edge})
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
    return _genome({(place[s], place[t]) for s, t in edges}, [operations[vertex] for vertex in ordered])


@lru_cache(maxsize=VERTICES)
def _orders(count: int) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray], list[np.ndarray]]:
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


def _edges(genome: Genome) -> frozenset[tuple[int, int]]:
    """Return the edges on paths from the input to the output."""
    present = [edge for edge, chosen in zip(EDGES, genome, strict=False) if chosen]
    reached, leading = {0}, {_OUTPUT}
    for source, target in present:  # by target
        if source in reached:
            reached.add(target)
    for source, target in sorted(present, reverse=True):  # by source, the last first
        if target in leading:
            leading.add(source)
    return frozenset((source, target) for source, target in present if source in reached and target in leading)


def _belongs(genome: Genome) -> bool:
    return 0 < len(_edges(genome)) <= MOST_EDGES


def _repaired(genome: Genome, rng: np.random.Generator) -> Genome:
    """Return a genome of the space: an edge is added if there is no path; if edges are many, one by one is taken away.

    Each time chance decides among the edges that serve and, when they are taken away, leave the most others a path.
    """
    edges: Set[tuple[int, int]] = _edges(genome)
    if not edges:
        present = {edge for edge, chosen in zip(EDGES, genome, strict=False) if chosen}
        joined = [whole for edge in EDGES if (whole := _edges(_genome(present | {edge}, ())))]
        edges = joined[rng.integers(len(joined))]
    while len(edges) > MOST_EDGES:
        smaller = [_edges(_genome(edges - {edge}, ())) for edge in sorted(edges)]
        most = max(map(len, smaller))
        largest = [rest for rest in smaller if len(rest) == most]
        edges = largest[rng.integers(len(largest))]
    return _genome(edges, genome[len(EDGES) :])


def _genome(edges: Set[tuple[int, int]], operations: Sequence[int]) -> Genome:
    """Return the genome of edges and of the first vertices' operations; those of the others are 0."""
    unused = (0,) * (VERTICES - 2 - len(operations))
    return (*(int(edge in edges) for edge in EDGES), *operations, *unused)


def _convolutions(graph: Module, inputs: int, outputs: int) -> tuple[int, int]:
    """Return how many weights and how many filters the convolutions of a module have together."""
    channels = vertex_channels(graph.matrix, outputs)
    projected = sum(channels[target] for target, reads in enumerate(graph.matrix[0]) if reads)
    weights, filters = inputs * projected, projected
    for vertex, operation in enumerate(graph.operations, start=1):
        if operation in KERNELS:
            weights += (KERNELS[operation] * channels[vertex]) ** 2
            filters += channels[vertex]
    return weights, filters


def _positive(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0
