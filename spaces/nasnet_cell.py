"""The NASNet cell space of NSGA-Net and EEEA-Net: a normal and a reduction cell, stacked to any size."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from evonas.errors import ConfigError
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.spaces.nasnet_cell_costs import Skeleton
from evonas.spaces.nasnet_cell_form import canonical_cell
from evonas.spaces.sizes import image_shape, whole_number

if TYPE_CHECKING:
    from torch import nn

    from evonas.spaces.nasnet_cell_network import CellGenes

_COMMON = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)

OPERATIONS = {
    "eeea": (*_COMMON, "conv_7x1_1x7", "inv_res_3x3", "inv_res_5x5"),
    "nsga": (*_COMMON, "sep_conv_7x7", "conv_7x1_1x7"),
}
"""The ten operations of EEEA-Net and the nine of NSGA-Net, in the order of their published code."""

COSTS = ("params", "macs", "final_params", "final_macs")


@dataclass(frozen=True, kw_only=True)
class NASNetCell(SearchSpace):
    """The normal and reduction cells of NSGA-Net and EEEA-Net, in the networks of DARTS.

    Lu et al., "NSGA-Net" (GECCO 2019); Termritthikun et al., "EEEA-Net" (Engineering Applications of Artificial
    Intelligence 2021); Liu et al., "DARTS" (ICLR 2019). A cell has `blocks` blocks, each the sum of two operations on
    the outputs of the last two cells or of earlier blocks; its genes are operation and input twice. The genome holds
    the normal cell, then the reduction cell. A cell concatenates the blocks that no other block reads (`loose_ends`) or
    all of them. An operation of a reduction cell has stride 2 if it reads another cell.

    A genome is two networks. `build` builds the one that a search trains: `layers` cells of `channels` (a block's, in
    the first cell), and with `auxiliary` a second head on the second reduction cell. The other is the one that the
    search is for: `final_layers` cells of `final_channels`, which costs `final_params` and `final_macs`. Channels
    double at the two reductions, after 1/3 and 2/3 of the cells, or grow by `increment` (`final_increment`) from
    cell to cell (Han et al., "Deep Pyramidal Residual Networks", CVPR 2017).

    Deviations: images of odd size work too, and the pool of the auxiliary head fits any size. The inputs of block b are
    0 to b+1 as in NSGA-Net; the released code of EEEA-Net stops at b. Paths are dropped as the network's class says.
    `input_shape` is (channels, height, width) in pixels. Raises ConfigError for what cannot be built.
    """

    operations: Literal["eeea", "nsga"] = "eeea"
    blocks: int = 5
    concatenate: Literal["loose_ends", "all"] = "loose_ends"
    channels: int = 16
    layers: int = 8
    increment: int = 0
    final_channels: int = 36
    final_layers: int = 20
    final_increment: int = 0
    auxiliary: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    genes: tuple[Gene, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, known in (("operations", tuple(OPERATIONS)), ("concatenate", ("loose_ends", "all"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"'{name}' must be {' or '.join(known)}, not {getattr(self, name)!r}")
        least = {"blocks": 1, "channels": 2, "final_channels": 2, "layers": 3, "final_layers": 3, "classes": 1}
        for name, number in {**least, "increment": 0, "final_increment": 0}.items():
            whole_number(name, getattr(self, name), number)
        object.__setattr__(self, "input_shape", image_shape(self.input_shape))
        object.__setattr__(self, "genes", tuple(self._genes()))

    @property
    def skeleton(self) -> Skeleton:
        """The stack of the network that a search trains."""
        return self._skeletons[0]

    def build(self, genome: Genome) -> nn.Module:
        """Return the search network: float images (batch, *input_shape) to logits (batch, classes).

        With `auxiliary` it returns (logits, auxiliary logits) in training mode.
        """
        return self._network(genome, self.skeleton)

    def build_final(self, genome: Genome) -> nn.Module:
        """Return the final network, without auxiliary head."""
        return self._network(genome, self._skeletons[1])

    def costs(self, genome: Genome) -> Metrics:
        """Return `params` and `macs` of one image of the search network, `final_params` and `final_macs` of the other.

        Parameters are the trainable ones. An auxiliary head counts in `params`, because it is built, but neither in
        `macs`, because it only serves training, nor in the final network, as in the papers.
        """
        normal, reduction, frames = self._prices
        half = 4 * self.blocks
        normal_sources, reduction_sources = genome[1:half:2], genome[half + 1 :: 2]
        prices = [normal[index] for index in genome[:half:2]]
        prices += [
            reduction[index][source < 2] for index, source in zip(genome[half::2], reduction_sources, strict=True)
        ]
        prices.append(frames[self._width(normal_sources), self._width(reduction_sources)])
        return {name: float(sum(column)) for name, column in zip(COSTS, zip(*prices, strict=True), strict=True)}

    def canonical(self, genome: Genome) -> Genome:
        """Return the genome that stands for all that differ in nothing but notation, see `canonical_cell`.

        No block is ever dead: one that no other block reads is concatenated. Genomes of one canonical form have equal
        costs, in any skeleton.
        """
        valid = self.validate(genome)
        half = 4 * self.blocks
        operations = OPERATIONS[self.operations]
        skip, average, largest = map(operations.index, ("skip_connect", "avg_pool_3x3", "max_pool_3x3"))
        merges = self.concatenate == "loose_ends"
        cells = [
            canonical_cell(cell, skip=skip, average=average, largest=largest, identities=first, merges=merges)
            for cell, first in ((valid[:half], 0), (valid[half:], 2))
        ]
        return cells[0] + cells[1]

    def cells(self, genome: Genome) -> tuple[CellGenes, CellGenes]:
        """Return the normal and the reduction cell by the names of their operations."""
        from evonas.spaces.nasnet_cell_network import CellGenes

        valid, names = self.validate(genome), OPERATIONS[self.operations]
        both = []
        for cell in (valid[: 4 * self.blocks], valid[4 * self.blocks :]):
            pairs = [(names[index], source) for index, source in zip(cell[::2], cell[1::2], strict=True)]
            read = set(cell[1::2]) if self.concatenate == "loose_ends" else set()
            both.append(CellGenes(pairs, [state for state in range(2, self.blocks + 2) if state not in read]))
        return both[0], both[1]

    def _genes(self) -> list[Gene]:
        genes = []
        for cell in ("normal", "reduction"):
            for block in range(self.blocks):
                sources = ("cell_k-2", "cell_k-1", *(f"block_{earlier}" for earlier in range(block)))
                for side in ("left", "right"):
                    genes.append(Gene(f"{cell}_{block}_{side}", OPERATIONS[self.operations]))
                    genes.append(Gene(f"{cell}_{block}_{side}_input", sources))
        return genes

    def _network(self, genome: Genome, skeleton: Skeleton) -> nn.Module:
        from evonas.spaces.nasnet_cell_network import NASNetCellNetwork

        return NASNetCellNetwork(*self.cells(genome), skeleton)

    def _width(self, sources: tuple[int, ...]) -> int:
        """Return how many blocks a cell concatenates whose operations read these states."""
        return self.blocks - (len(set(sources) - {0, 1}) if self.concatenate == "loose_ends" else 0)

    @cached_property
    def _skeletons(self) -> tuple[Skeleton, Skeleton]:
        shape, classes = self.input_shape, self.classes
        return (
            Skeleton(self.channels, self.layers, self.increment, shape, classes, self.auxiliary),
            Skeleton(self.final_channels, self.final_layers, self.final_increment, shape, classes, auxiliary=False),
        )

    @cached_property
    def _prices(self) -> tuple[list[_Prices], list[tuple[_Prices, _Prices]], dict[tuple[int, int], _Prices]]:
        """What an operation adds to all costs in the normal cells, in the reduction cells, and what the rest costs."""
        small, large = self._skeletons
        names = OPERATIONS[self.operations]
        (small_normal, small_reduction), (large_normal, large_reduction) = (
            skeleton.operation_prices(names) for skeleton in (small, large)
        )
        widths = range(1, self.blocks + 1)
        return (
            [a + b for a, b in zip(small_normal, large_normal, strict=True)],
            [(a[0] + b[0], a[1] + b[1]) for a, b in zip(small_reduction, large_reduction, strict=True)],
            {(n, r): small.frame_price(n, r) + large.frame_price(n, r) for n in widths for r in widths},
        )


_Prices = tuple[int, ...]
"""One number for each of COSTS."""
