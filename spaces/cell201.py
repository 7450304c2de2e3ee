"""The cell space of NAS-Bench-201: six edges, five operations, one cell repeated through a residual skeleton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby, permutations, product
from typing import TYPE_CHECKING

from evonas.errors import ConfigError
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces.sizes import image_shape, whole_number

if TYPE_CHECKING:
    from torch import Tensor, nn

OPERATIONS = ("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3")
"""The options of every gene, in the order of the published table."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source node, target node) of every gene; node 0 is the input of the cell and node 3 its output."""

PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""The genes of the edges of every way from node 0 to node 3."""

_NONE, _SKIP, _CONV_1X1, _CONV_3X3, _POOL = range(5)


@dataclass(frozen=True, kw_only=True)
class Cell201(SearchSpace):
    """The 15,625 cells of NAS-Bench-201 (Dong & Yang, ICLR 2020), in a skeleton of any size.

    A node is the sum of its incoming edges; a convolution is ReLU, convolution without bias, batch norm. The published
    skeleton is the default: stem to 16 channels, three stages of five equal cells, a residual block between stages that
    halves the image (rounding up) and doubles the channels. Deviation: images of odd size work too.

    `input_shape` is (channels, height, width) in pixels. Raises ConfigError for what cannot be built.
    """

    stem_channels: int = 16
    cells_per_stage: int = 5
    stages: int = 3
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10

    genes = tuple(Gene(f"edge_{source}_{target}", OPERATIONS) for source, target in EDGES)

    def __post_init__(self) -> None:
        for name in ("stem_channels", "cells_per_stage", "stages", "classes"):
            whole_number(name, getattr(self, name), 1)
        object.__setattr__(self, "input_shape", image_shape(self.input_shape))
        halvings, side = self.stages - 1, min(self.input_shape[1:])
        if side.bit_length() <= halvings:  # side < 2 ** halvings, without building a huge number
            raise ConfigError(
                f"'stages: {self.stages}' halves the image {halvings} times, but its shorter side has {side} pixels: "
                f"use at most {side.bit_length()} stages, or larger images"
            )

    def build(self, genome: Genome) -> nn.Module:
        """Return the network: float images (batch, *input_shape) to logits (batch, classes)."""
        from evonas.spaces.cell201_network import Cell, Cell201Network

        operations = [OPERATIONS[index] for index in self.validate(genome)]
        return Cell201Network(
            lambda channels: Cell(operations, channels),
            stem_channels=self.stem_channels,
            cells_per_stage=self.cells_per_stage,
            stages=self.stages,
            input_channels=self.input_shape[0],
            classes=self.classes,
        )

    def costs(self, genome: Genome) -> Metrics:
        """Return trainable `params` and `macs` of one image (convolutions and the linear layer, dead ones included)."""
        fixed, conv_1x1, conv_3x3 = self._prices
        ones, threes = genome.count(_CONV_1X1), genome.count(_CONV_3X3)
        return {
            "params": float(fixed[0] + ones * conv_1x1[0] + threes * conv_3x3[0]),
            "macs": float(fixed[1] + ones * conv_1x1[1] + threes * conv_3x3[1]),
        }

    def features(self, genome: Genome) -> Metrics:
        """Return how many edges of an operation lie on an open path (one without `none`), and what open paths are like.

        That is how many there are, and the most and the fewest convolutions that one of them has, -1 if none is open.
        """
        open_paths = [path for path in PATHS if _NONE not in [genome[edge] for edge in path]]
        operations = [genome[edge] for edge in {edge for path in open_paths for edge in path}]
        convolutions = [[genome[edge] in (_CONV_1X1, _CONV_3X3) for edge in path].count(True) for path in open_paths]
        return {
            **{f"open_{name}": float(operations.count(kind)) for kind, name in enumerate(OPERATIONS) if kind},
            "open_paths": float(len(open_paths)),
            "deepest_path": float(max(convolutions, default=-1)),
            "shallowest_path": float(min(convolutions, default=-1)),
        }

    def activations(self, genome: Genome) -> int:
        """Return the exact number of elements that autograd keeps of one image, see SearchSpace.

        A tensor is as large as the cell's input, a node. A convolution keeps two: what its ReLU returns and what its
        batch norm is given. A pool keeps its source, once for all pools of a node; sums and `skip_connect` nothing.
        The residual block keeps two at its input's size (ReLU, pool), three and a half at its output's. What never
        reaches the output is freed before the forward pass ends, and so is all that comes before a cell that ignores
        its input.
        """
        tensors, sees_input = _kept(self.validate(genome))
        skeleton, head, cells, last_cell = self._sizes
        return head + (skeleton + tensors * cells if sees_input else tensors * last_cell)

    def morph(
        self, parent: Genome, child: Genome, weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return the state that a child starts from, see SearchSpace and `cell201_morphism`."""
        from evonas.spaces.cell201_morphism import morphed

        return morphed(parent, child, weights, fresh)

    def canonical(self, genome: Genome) -> Genome:
        """Return the cheapest genome with the same network: fewest params, then macs, then the smallest tuple.

        Two networks are the same if their convolutions that matter can be paired so that, whatever weights and
        batch-norm statistics a pair shares, the outputs agree, in training as in evaluation. Used for that:

        - a node is a multiset of terms: `skip_connect` hands on its source's terms, `none` adds nothing;
        - a convolution is one term with weights of its own: two convolutions of one source are not twice the same one;
        - a convolution of an empty node is not dead: it is the bias of its batch norm, whatever its kernel size;
        - average pooling is linear, and leaves a bias as it is (padding is not counted);
        - edges whose result never reaches the output are dead.

        5,234 networks remain of 15,625 genomes, whatever the skeleton (7 of them ignore their input). The paper counts
        6,466 by comparing strings. Strings keep equal networks apart that differ in a zero (`x+#` and `x`), in the
        grouping of a sum or in pooling before or after it; and they merge different ones: twice one convolution with
        two convolutions, the convolution of zero with zero. On images of 1 or 2 pixels a side still more cells agree;
        they are kept apart.
        """
        return _representatives()[self.validate(genome)]

    def smallest(self) -> Genome:
        """Return the cheapest genome that sees its input: an exact minimum of params and of macs."""
        return (_NONE, _NONE, _NONE, _SKIP, _NONE, _NONE)

    @cached_property
    def _prices(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """(params, macs) of the skeleton, and of one `conv_1x1` and one `conv_3x3` edge in all cells together."""
        channels, (image_channels, height, width) = self.stem_channels, self.input_shape
        params = _conv_bn_params(image_channels, channels, 3)
        macs = 9 * image_channels * channels * height * width
        edge_params, edge_macs = {1: 0, 3: 0}, {1: 0, 3: 0}
        for stage in range(self.stages):
            if stage > 0:  # the residual block: two 3x3 convolutions, a 1x1 without batch norm on the shortcut
                height, width = (height + 1) // 2, (width + 1) // 2
                doubled = 2 * channels
                params += _conv_bn_params(channels, doubled, 3) + _conv_bn_params(doubled, doubled, 3)
                params += channels * doubled
                macs += (9 * channels * doubled + 9 * doubled**2 + channels * doubled) * height * width
                channels = doubled
            for kernel in (1, 3):
                edge_params[kernel] += self.cells_per_stage * _conv_bn_params(channels, channels, kernel)
                edge_macs[kernel] += self.cells_per_stage * kernel**2 * channels**2 * height * width
        params += 2 * channels + (channels + 1) * self.classes
        macs += channels * self.classes
        return (params, macs), (edge_params[1], edge_macs[1]), (edge_params[3], edge_macs[3])

    @cached_property
    def _sizes(self) -> tuple[int, int, int, int]:
        """Elements of one image that the skeleton keeps, the head keeps, a node has in all cells, and in the last."""
        channels, (image_channels, height, width) = self.stem_channels, self.input_shape
        node = channels * height * width
        skeleton, cells = image_channels * height * width + node, self.cells_per_stage * node
        for _ in range(self.stages - 1):
            height, width = (height + 1) // 2, (width + 1) // 2
            pooled = channels * height * width
            channels *= 2
            skeleton += 2 * node + pooled
            node = channels * height * width
            skeleton += 3 * node
            cells += self.cells_per_stage * node
        return skeleton, 2 * node + channels, cells, node


def _conv_bn_params(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel**2 + 2 * outputs


def _kept(genome: Genome) -> tuple[int, bool]:
    """Return how many tensors a cell keeps for the backward pass, and whether its output depends on its input.

    Autograd sees no gradient in an empty node: pools of it keep nothing, and convolutions of it still keep theirs.
    """
    tensors = [0, 1, 2, 3]  # node: the tensor that it is; a node with one term, a skip, is its source's
    differentiable, sees_input = [True, False, False, False], [True, False, False, False]
    for node in (1, 2, 3):
        terms = [(source, genome[edge]) for edge, (source, target) in enumerate(EDGES) if target == node]
        terms = [(source, operation) for source, operation in terms if operation != _NONE]
        if len(terms) == 1 and terms[0][1] == _SKIP:
            tensors[node] = tensors[terms[0][0]]
        differentiable[node] = any(op in (_CONV_1X1, _CONV_3X3) or differentiable[source] for source, op in terms)
        sees_input[node] = any(sees_input[source] for source, _ in terms)
    live, convolutions, pooled = {3}, 0, set[int]()
    for (source, target), operation in reversed(list(zip(EDGES, genome, strict=True))):
        if target in live and operation != _NONE:
            live.add(source)
            convolutions += operation in (_CONV_1X1, _CONV_3X3)
            if operation == _POOL and differentiable[source]:
                pooled.add(tensors[source])
    return 2 * convolutions + len(pooled), sees_input[3]


@lru_cache(maxsize=1)
def _representatives() -> dict[Genome, Genome]:
    """Map every genome to the cheapest of its network.

    A class has a member without dead convolutions and with `conv_1x1` for every bias: it has the fewest convolutions
    and, among these, the fewest `conv_3x3`, so that no skeleton can make another member cheaper.
    """
    genomes = product(range(len(OPERATIONS)), repeat=len(EDGES))
    cheapest_first = sorted(
        genomes, key=lambda genome: (genome.count(_CONV_1X1) + genome.count(_CONV_3X3), genome.count(_CONV_3X3), genome)
    )
    first: dict[object, Genome] = {}
    return {genome: first.setdefault(_network_key(genome), genome) for genome in cheapest_first}


_INPUT = -1  # a term is (the edge of a convolution or _INPUT, how often it is pooled); a node is a tuple of terms
_BIAS = _NONE  # the kind of a convolution that sees an empty node

_Node = tuple[tuple[int, int], ...]
_Convolutions = dict[int, tuple[int, _Node]]  # edge: kind, source


def _network_key(genome: Genome) -> object:
    """Return a value that is equal for equal networks only: the convolutions that matter, renumbered, and the output.

    Convolutions are numbered in the order of their expressions; where expressions tie, the smallest result wins.
    """
    convolutions, output = _expressions(genome)
    trees: dict[int, object] = {}
    _grow(output, convolutions, trees)
    order = sorted(trees, key=trees.__getitem__)  # type: ignore[arg-type]
    ties = [tuple(group) for _, group in groupby(order, key=trees.__getitem__)]
    return min(
        _renumbered([edge for tie in numbering for edge in tie], convolutions, output)
        for numbering in product(*map(permutations, ties))
    )


def _expressions(genome: Genome) -> tuple[_Convolutions, _Node]:
    """Return all convolutions of the cell and its output node."""
    nodes: list[_Node] = [((_INPUT, 0),), (), (), ()]
    convolutions: _Convolutions = {}
    biases: set[int] = set()
    for edge, ((source, target), operation) in enumerate(zip(EDGES, genome, strict=True)):
        terms = nodes[source]
        if operation == _NONE:
            continue
        if operation == _POOL:
            terms = tuple((atom, pools + (atom not in biases)) for atom, pools in terms)
        elif operation != _SKIP:
            convolutions[edge] = (operation if terms else _BIAS, terms)
            if not terms:
                biases.add(edge)  # a conv_1x1 of a bias is constant too, but no edge is left to pool it
            terms = ((edge, 0),)
        nodes[target] += terms
    return convolutions, nodes[3]


def _grow(node: _Node, convolutions: _Convolutions, trees: dict[int, object]) -> object:
    """Return the expression of a node; collect those of the convolutions it reads, directly or not."""
    terms = []
    for atom, pools in node:
        if atom != _INPUT and atom not in trees:
            kind, source = convolutions[atom]
            trees[atom] = (kind, _grow(source, convolutions, trees))
        terms.append((pools, trees.get(atom, ())))
    return tuple(sorted(terms))


def _renumbered(
    numbering: list[int], convolutions: _Convolutions, output: _Node
) -> tuple[_Node, tuple[tuple[int, _Node], ...]]:
    number = {edge: position for position, edge in enumerate(numbering)} | {_INPUT: _INPUT}

    def renamed(node: _Node) -> _Node:
        return tuple(sorted((number[atom], pools) for atom, pools in node))

    return renamed(output), tuple((convolutions[edge][0], renamed(convolutions[edge][1])) for edge in numbering)
