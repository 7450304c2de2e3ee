"""A supernet in parts, each with weights of its own for some of the options of a gene."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from torch import nn

from evonas.space import Genome
from evonas.workers.supernets.method import subnet_of

_LEAF = -1


class SplitSupernet(nn.Module):
    """Two supernets: the option that a genome has at one gene says whose weights are its own. Either may be split too.

    `second` says of each option whether its genomes belong to the second part. A method makes it of a supernet; it is
    none to name in a file, and no `Supernet` therefore.
    """

    def __init__(self, gene: int, second: Sequence[bool], parts: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.gene = gene
        self.second = tuple(map(bool, second))
        self.parts = nn.ModuleList(parts)

    def subnet(self, genome: Genome) -> nn.Module:
        """Return the network of a genome on the weights of the part that it belongs to."""
        return subnet_of(self.parts[self.second[genome[self.gene]]], genome)


def split(supernet: nn.Module, gene: int, second: Sequence[bool]) -> SplitSupernet:
    """Return the supernet in two parts that begin with the same weights; the first is `supernet` itself."""
    return SplitSupernet(gene, second, (supernet, copy.deepcopy(supernet)))


def splits(supernet: nn.Module) -> np.ndarray:
    """Return how a supernet is split, shape (parts of all levels, 1 + options), int64: see `split_as`.

    A row is a gene and, for each of its options, whether it belongs to the second part; the rows of the first part
    follow, then those of the second. The row of what is not split holds -1, and so do places beyond a gene's options.
    """
    rows = list(_rows(supernet))
    table = np.full((len(rows), max(map(len, rows))), _LEAF, dtype=np.int64)
    for place, row in zip(table, rows, strict=True):
        place[: len(row)] = row
    return table


def split_as(supernet: nn.Module, table: np.ndarray) -> nn.Module:
    """Return the supernet split as `splits` says of another; all parts have its weights."""
    rows = iter(table.tolist())

    def grown(part: nn.Module) -> nn.Module:
        gene, *second = next(rows)
        if gene == _LEAF:
            return part
        whole = split(part, gene, [side == 1 for side in second if side != _LEAF])
        return SplitSupernet(gene, whole.second, (grown(whole.parts[0]), grown(whole.parts[1])))

    return grown(supernet)


def _rows(supernet: nn.Module) -> list[list[int]]:
    if not isinstance(supernet, SplitSupernet):
        return [[_LEAF]]
    below = [row for part in supernet.parts for row in _rows(part)]
    return [[supernet.gene, *map(int, supernet.second)], *below]
