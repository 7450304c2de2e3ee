"""Which gene of the mobile space decides what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evonas.space import Gene

NO_GENE = -1
"""The position of what has one option only: the first, which is what a 0 that is put behind the genome says."""


class BlockGenes(NamedTuple):
    """Positions in the genome of what a block is."""

    kernel: int
    expansion: int
    squeeze: int


class StageGenes(NamedTuple):
    """Positions in the genome of what a stage is; stages and blocks may share genes."""

    width: int
    depth: int
    blocks: tuple[BlockGenes, ...]


class Layout(NamedTuple):
    """Positions in the genome of all that is decided."""

    resolution: int
    stages: tuple[StageGenes, ...]

    @classmethod
    def of(cls, genes: Sequence[Gene], *, stages: int, blocks: int) -> Layout:
        """Return the layout of genes that are named as the space names them, for so many blocks in a stage."""
        positions = {gene.name: position for position, gene in enumerate(genes)}

        def position(*names: str) -> int:
            return next((positions[name] for name in names if name in positions), NO_GENE)

        return cls(
            position("resolution"),
            tuple(
                StageGenes(
                    position("width", f"width_{stage}"),
                    position(f"depth_{stage}"),
                    tuple(
                        BlockGenes(
                            position(f"kernel_{stage}_{block}"),
                            position(f"expansion_{stage}_{block}"),
                            position(f"squeeze_{stage}", f"squeeze_{stage}_{block}"),
                        )
                        for block in range(1, blocks + 1)
                    ),
                )
                for stage in range(1, stages + 1)
            ),
        )
