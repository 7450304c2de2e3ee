"""The cell space of NAS-Bench-101: graphs of at most seven vertices and nine edges, the same one in every module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evonas.errors import ConfigError, GenomeError
from evonas.seeds import generator
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces import cell101_graph
from evonas.spaces.cell101_graph import EDGES, MOST_EDGES, OPERATIONS, VERTICES, Graph, genome_of, graph_of
from evonas.spaces.sizes import image_shape, whole_number

if TYPE_CHECKING:
    from torch import nn

NEIGHBOURS = 10
"""How many genomes of the space are offered in place of one that is not in it."""

KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}

_OUTPUT = VERTICES - 1
_EDGE_SETS = 1_538_083  # of the 2**21 sets of edges, those that belong to the space


@dataclass(frozen=True, kw_only=True)
class Cell101(SearchSpace):
    """The 423,624 cells of NAS-Bench-101 (Ying et al., ICML 2019), in a skeleton of any size.

    A genome is 21 edges and the operations of five inner vertices. What lies on no path from the input to the output
    is pruned; a genome belongs to the space if such a path exists and at most nine edges remain.

    A vertex is its operation on the sum of its predecessors, the output the concatenation of its own. What comes from
    the cell's input passes a projection (convolution 1x1, batch norm, ReLU); to the output it is added. The output's
    channels are split evenly among its inner predecessors, the first of which take the remainder. Any other vertex has
    as many as the widest vertex that reads it, and each reads the first of them, as many as it has itself. The
    published skeleton is the default: a stem (convolution 3x3 to 128 channels, batch norm, ReLU), three stacks of three
    modules, before the second and third stack a max pool 2x2 that halves the image (rounding up) and twice the
    channels, global average pool, linear.

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
            whole_number(name, getattr(self, name), 1)
        if self.stem_channels < VERTICES - 2:
            raise ConfigError(f"'stem_channels' must be 5 or more, one for each inner vertex, not {self.stem_channels}")
        object.__setattr__(self, "input_shape", image_shape(self.input_shape))

    def build(self, genome: Genome) -> nn.Module:
        """Return the network: float images (batch, *input_shape) to logits (batch, classes)."""
        from evonas.spaces.cell101_network import Cell101Network

        return Cell101Network(
            graph_of(self.canonical(genome)),
            stem_channels=self.stem_channels,
            stacks=self.stacks,
            modules_per_stack=self.modules_per_stack,
            input_channels=self.input_shape[0],
            classes=self.classes,
        )

    def costs(self, genome: Genome) -> Metrics:
        """Return trainable `params`, those of the published table, and `macs` of one image (convolutions, linear)."""
        graph = graph_of(self.canonical(genome))
        channels, (image_channels, height, width) = self.stem_channels, self.input_shape
        weights = 9 * image_channels * channels
        params, macs = weights + 2 * channels, weights * height * width
        for stack in range(self.stacks):
            outputs = channels
            if stack > 0:
                height, width, outputs = (height + 1) // 2, (width + 1) // 2, 2 * channels
            projected, weights, filters = _convolutions(graph, outputs)
            weights = self.modules_per_stack * weights + projected * (channels + (self.modules_per_stack - 1) * outputs)
            params += weights + 2 * self.modules_per_stack * (projected + filters)
            macs += weights * height * width
            channels = outputs
        return {"params": float(params + (channels + 1) * self.classes), "macs": float(macs + channels * self.classes)}

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome that stands for all isomorphic graphs: vertices unused are the last, with operation 0.

        It is the one that the published table names: of all orders of the vertices with edges upwards only, that whose
        edges read as a binary number (the last gene of an edge first) are the smallest, then whose operations are.
        Exact: every order is tried. Graphs that are not isomorphic are different networks, as in the paper.
        """
        return cell101_graph.canonical(self.validate(genome))

    def validate(self, genome: Sequence[int]) -> Genome:
        """Return `genome` as a genome of this space; raise GenomeError if it is none."""
        valid = super().validate(genome)
        if not cell101_graph.belongs(valid):
            edges = (
                ", ".join(f"{source}-{target}" for source, target in sorted(cell101_graph.live_edges(valid))) or "none"
            )
            raise GenomeError(
                f"a graph of this space leads from vertex 0 to vertex {_OUTPUT} over at most {MOST_EDGES} edges that "
                f"matter, and this one's are {edges}: take one of those that 'nearest' returns"
            )
        return valid

    def sample(self, rng: np.random.Generator) -> Genome:
        """Draw a canonical genome, uniform over the 423,624 networks of the space.

        Deviation: uniform over genomes, as the published code draws, two in a thousand networks would have all seven
        vertices, as have six in seven of the space's.
        """
        return cell101_graph.draw(rng)

    def nearest(self, genome: Genome) -> Sequence[Genome]:
        """Return the genome if it belongs to the space, else up to `NEIGHBOURS` with an edge more or a few less.

        Which edges, chance decides, the same for the same genome.
        """
        if cell101_graph.belongs(genome):
            return (genome,)
        rng = generator(0, "nearest", list(genome))
        return list(dict.fromkeys(cell101_graph.repaired(genome, rng) for _ in range(NEIGHBOURS)))

    def size(self) -> int:
        """Return the number of genomes whose graph belongs to the space (isomorphic ones count each time)."""
        operations: int = len(OPERATIONS) ** (VERTICES - 2)
        return _EDGE_SETS * operations

    def smallest(self) -> Genome:
        """Return the genome of the fewest params: one projection, to a quarter of the channels, and pools."""
        middle = (2, 3, 4, 5)
        return genome_of(
            {(0, 1), *((1, vertex) for vertex in middle), *((vertex, _OUTPUT) for vertex in middle)}, [2] * 5
        )

    def largest(self) -> Genome:
        """Return the genome of the most params: a chain of 3x3 convolutions, and three projections more."""
        return genome_of({*((vertex, vertex + 1) for vertex in range(_OUTPUT)), (0, 2), (0, 3), (0, 4)}, [0] * 5)


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


def _convolutions(graph: Graph, outputs: int) -> tuple[int, int, int]:
    """Return the filters of a module's projections, and the weights and filters of its operations."""
    channels = vertex_channels(graph.matrix, outputs)
    projected = sum(channels[target] for target, reads in enumerate(graph.matrix[0]) if reads)
    weights = filters = 0
    for vertex, operation in enumerate(graph.operations, start=1):
        if operation in KERNELS:
            weights += (KERNELS[operation] * channels[vertex]) ** 2
            filters += channels[vertex]
    return projected, weights, filters
