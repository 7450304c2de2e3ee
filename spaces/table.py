"""The space of the networks in a table, parquet or CSV: no line of Python and no network is needed to search it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evonas.errors import ConfigError, GenomeError
from evonas.network_table import Duplicates, Genes, NetworkTable
from evonas.seeds import generator
from evonas.space import Genome, Metrics, SearchSpace
from evonas.table import Column, named_columns

if TYPE_CHECKING:
    from torch import nn

NEIGHBOURS = 100
"""How many networks of the table are offered in place of one that is not in it."""


class Table(SearchSpace):
    """The networks that a table, parquet or CSV, has a row for.

    Options: `file`; `genes`, the columns that are genes, or with their options, `{column: [option, ...]}`; or
    `architecture`, one column of strings, of which each character is a gene, or each group of `pattern`, a regular
    expression; `costs`, the columns that are static costs, as a list, or as a mapping of names to columns or to
    `{column, scale, offset}`; `duplicates: mean` averages several rows of a network, which are refused otherwise.
    docs/tables.md has examples.

    Every combination of options need not have a row. `sample` and `size` know those that have one, `validate` refuses
    others, and what a strategy breeds is moved to a network of the table by `nearest`. A table has no networks to
    build, and no costs but those that it says.
    """

    def __init__(
        self,
        *,
        file: Path,
        genes: Genes | None = None,
        architecture: str | None = None,
        pattern: str | None = None,
        costs: Sequence[str] | Mapping[str, str | Column] = (),
        duplicates: Duplicates = "refuse",
    ) -> None:
        self.table = NetworkTable(file, genes=genes, architecture=architecture, pattern=pattern, duplicates=duplicates)
        self.genes = self.table.genes
        columns = {name: self.table.known(column) for name, column in named_columns(costs, Column).items()}
        self._costs: dict[str, list[float]] = {name: column.tolist() for name, column in columns.items()}
        self._networks = list(self.table.row_of)

    def build(self, genome: Genome) -> nn.Module:
        """Raise ConfigError: a table holds numbers."""
        raise ConfigError(
            f"{self.table.file} is a table of numbers and has no networks to build: take an evaluator that needs none, "
            f"such as evonas.workers.tabular:Tabular, or a space that builds them"
        )

    def costs(self, genome: Genome) -> Metrics:
        """Return the static costs that the table says: none, where no column is named."""
        row = self._row(genome)
        return {name: column[row] for name, column in self._costs.items()}

    def fingerprint(self) -> str:
        """Return a hash of the table's file."""
        return self.table.fingerprint()

    def sample(self, rng: np.random.Generator) -> Genome:
        """Draw a network of the table, each as likely as another."""
        return self._networks[int(rng.integers(len(self._networks)))]

    def networks(self, at_most: int) -> Sequence[Genome]:
        """Return the networks of the table, in order, however many they are: they are listed already."""
        return sorted(self._networks)

    def validate(self, genome: Sequence[int]) -> Genome:
        """Return `genome` as a genome of this space; raise GenomeError if it is none, or the table lacks it."""
        valid = super().validate(genome)
        self._row(valid)
        return valid

    def nearest(self, genome: Genome) -> Sequence[Genome]:
        """Return the genome if it is in the table, else up to `NEIGHBOURS` networks, the fewest differing genes first.

        Of those that differ in as many, chance decides, the same for the same genome.
        """
        if genome in self.table.row_of:
            return (genome,)
        distances = generator(0, "nearest", list(genome)).random(len(self.table), dtype=np.float32)
        for column, option in zip(self.table.choices.T, genome, strict=True):
            distances += column != option
        count = min(NEIGHBOURS, len(distances))
        nearest = np.argpartition(distances, count - 1)[:count]
        return [self._networks[row] for row in nearest[distances[nearest].argsort()]]

    def size(self) -> int:
        """Return the number of networks in the table."""
        return len(self._networks)

    def smallest(self) -> Genome:
        """Return the network of the fewest `params` or, where they are not known, the least of the first cost."""
        return self._networks[int(np.argmin(self._sizes()))]

    def largest(self) -> Genome:
        """Return the network of the most `params` or, where they are not known, the most of the first cost."""
        return self._networks[int(np.argmax(self._sizes()))]

    def _sizes(self) -> Sequence[float]:
        return self._costs.get("params") or next(iter(self._costs.values()), [0.0])

    def _row(self, genome: Genome) -> int:
        row = self.table.row_of.get(genome)
        if row is None:
            raise GenomeError(f"the table {self.table.file} has no row for {self.table.named(genome)}")
        return row
