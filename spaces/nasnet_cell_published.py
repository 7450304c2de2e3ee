"""Published cells of the NASNet cell space, with the parameters that their authors count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evonas.space import Genome
from evonas.spaces.nasnet_cell import OPERATIONS, NASNetCell


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCells:
    """Cells as the literature writes them: 'operation input' twice a block, blocks separated by commas.

    Inputs 0 and 1 are the cell before the last and the last cell, 2 and on the blocks. `channels` and `increment` are
    those of the final network of 20 cells, `millions` are its parameters without the auxiliary head.
    """

    normal: str
    reduction: str
    operations: Literal["eeea", "nsga"]
    concatenate: Literal["loose_ends", "all"] = "loose_ends"
    channels: int = 36
    increment: int = 0
    millions: float

    def space(self) -> NASNetCell:
        """Return the space that holds them, with their final network."""
        return NASNetCell(
            operations=self.operations,
            blocks=self.normal.count(",") + 1,
            concatenate=self.concatenate,
            final_channels=self.channels,
            final_increment=self.increment,
        )

    def genome(self) -> Genome:
        """Return them as a genome of the space, not in canonical form."""
        names = OPERATIONS[self.operations]
        words = f"{self.normal} {self.reduction}".replace(",", " ").split()
        pairs = zip(words[::2], words[1::2], strict=True)
        return self.space().validate([index for name, source in pairs for index in (names.index(name), int(source))])


PUBLISHED = {
    "DARTS (second order)": PublishedCells(
        normal="sep_conv_3x3 0 sep_conv_3x3 1, sep_conv_3x3 0 sep_conv_3x3 1, "
        "sep_conv_3x3 1 skip_connect 0, skip_connect 0 dil_conv_3x3 2",
        reduction="max_pool_3x3 0 max_pool_3x3 1, skip_connect 2 max_pool_3x3 1, "
        "max_pool_3x3 0 skip_connect 2, skip_connect 2 max_pool_3x3 1",
        operations="nsga",
        concatenate="all",
        millions=3.3,
    ),
    "NSGA-Net": PublishedCells(
        normal="skip_connect 0 max_pool_3x3 0, dil_conv_5x5 0 max_pool_3x3 0, dil_conv_5x5 1 sep_conv_3x3 3, "
        "max_pool_3x3 1 sep_conv_5x5 3, sep_conv_3x3 1 sep_conv_3x3 0",
        reduction="avg_pool_3x3 0 sep_conv_3x3 1, dil_conv_3x3 1 max_pool_3x3 0, skip_connect 2 dil_conv_5x5 1, "
        "skip_connect 2 avg_pool_3x3 1, dil_conv_5x5 1 dil_conv_3x3 1",
        operations="nsga",
        channels=34,
        increment=4,
        millions=2.20,
    ),
    "EEEA-Net A": PublishedCells(
        normal="max_pool_3x3 0 inv_res_3x3 0, dil_conv_3x3 1 max_pool_3x3 0, skip_connect 2 inv_res_3x3 0, "
        "avg_pool_3x3 2 skip_connect 3, avg_pool_3x3 4 skip_connect 3",
        reduction="skip_connect 0 dil_conv_3x3 0, max_pool_3x3 1 avg_pool_3x3 0, dil_conv_3x3 0 avg_pool_3x3 0, "
        "skip_connect 2 skip_connect 3, dil_conv_3x3 3 dil_conv_5x5 0",
        operations="eeea",
        millions=1.8,
    ),
    "EEEA-Net B": PublishedCells(
        normal="skip_connect 0 max_pool_3x3 0, max_pool_3x3 1 skip_connect 1, skip_connect 1 skip_connect 2, "
        "dil_conv_3x3 3 sep_conv_3x3 1, max_pool_3x3 4 sep_conv_3x3 4",
        reduction="skip_connect 0 inv_res_5x5 0, avg_pool_3x3 0 dil_conv_3x3 1, inv_res_3x3 1 skip_connect 1, "
        "max_pool_3x3 1 avg_pool_3x3 1, avg_pool_3x3 2 dil_conv_3x3 3",
        operations="eeea",
        millions=1.9,
    ),
    "EEEA-Net C": PublishedCells(
        normal="dil_conv_5x5 0 max_pool_3x3 0, inv_res_5x5 0 inv_res_3x3 0, dil_conv_5x5 2 inv_res_3x3 2, "
        "sep_conv_5x5 1 skip_connect 2, sep_conv_3x3 1 avg_pool_3x3 4",
        reduction="inv_res_3x3 0 dil_conv_3x3 0, avg_pool_3x3 0 inv_res_3x3 0, dil_conv_5x5 1 max_pool_3x3 1, "
        "skip_connect 3 max_pool_3x3 3, inv_res_5x5 4 inv_res_3x3 2",
        operations="eeea",
        millions=3.6,
    ),
}
"""By name. The literature gives 1.8 or 1.9 million for EEEA-Net B."""
