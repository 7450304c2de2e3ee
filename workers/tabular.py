"""The evaluator that looks networks up in a table, parquet or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evonas.errors import ConfigError, DataError
from evonas.evaluation import Evaluator, Metric, Source
from evonas.network_table import Duplicates, NetworkTable
from evonas.space import Genome, Metrics, SearchSpace
from evonas.spaces.table import Table
from evonas.table import Column, named_columns


@dataclass(frozen=True)
class MetricColumn(Column):
    """A measured number: its column, the direction, and the worst value that it can take, by default in the table."""

    maximize: bool = False
    worst: float | None = None


class Tabular(Evaluator):
    """Looks networks up in a table, parquet or CSV; those whose numbers are missing there, or not finite, fail.

    Options: `metrics`, the columns that are measured numbers, as a list, or as a mapping of names to columns or to
    `{column, scale, offset, maximize, worst}`: the number is `offset + scale * column`, and the worst value, which the
    hypervolume is measured from, is by default the worst in the table. `seconds` is the column of what an evaluation
    took, which a SimulatedPool lets pass.

    Where the space is a Table, its rows are looked up. For another space, `file` is the table, and `genes` names its
    columns in the order of the space's genes (default: the genes' own names), or `architecture` and `pattern` say how
    its networks are written, as for a Table; `duplicates: mean` averages several rows of a network. A genome without a
    row has that of its canonical genome or, where that has none either, the first row of the same network. Networks of
    the space that are not in the table fail. Budget and seed change nothing.
    """

    source = Source.TABULAR

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        metrics: Sequence[str] | Mapping[str, str | MetricColumn],
        file: Path | None = None,
        genes: Sequence[str] | None = None,
        architecture: str | None = None,
        pattern: str | None = None,
        duplicates: Duplicates = "refuse",
        seconds: str | None = None,
    ) -> None:
        super().__init__(space, seed)
        self._table = _table(space, file, genes, architecture, pattern, duplicates)
        columns = named_columns(metrics, MetricColumn)
        if not columns:
            raise ConfigError("'metrics' is empty: name at least one column")
        self._columns = {name: self._table.numbers(column) for name, column in columns.items()}
        if shadowing := sorted(self._columns.keys() & space.costs(space.smallest()).keys()):
            raise ConfigError(f"'metrics' names {', '.join(shadowing)}, a static cost of the space: leave it out here")
        self.metrics = [self._declared(name, column) for name, column in columns.items()]
        self._seconds = None if seconds is None else self._durations(seconds)

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return the metrics of a genome; raise LookupError if the table does not have it."""
        row = self._row(genome)
        if row is None:
            raise LookupError(
                f"the table {self._table.file} has no row for {self._table.named(genome)}: to search only the networks "
                f"that have one, take evonas.spaces.table:Table as the space"
            )
        return {name: float(column[row]) for name, column in self._columns.items()}

    def recorded_seconds(self, genome: Genome) -> float | None:
        """Return what the table says that an evaluation took."""
        row = self._row(genome)
        return None if self._seconds is None or row is None else float(self._seconds[row])

    def known_genomes(self) -> list[Genome]:
        """Return the canonical genomes of the networks in the table."""
        return list(self._networks)

    def known_metrics(self) -> dict[str, np.ndarray]:
        """Return metrics and static costs of the networks in the table, each once, without those that would fail."""
        costs = [self.space.costs(genome) for genome in self._networks]
        names = self.space.costs(self.space.smallest())
        known = {name: np.array([cost[name] for cost in costs], dtype=float) for name in names}
        known |= {name: column[list(self._networks.values())] for name, column in self._columns.items()}
        finite = np.isfinite(np.stack(list(known.values()))).all(axis=0)
        return {name: column[finite] for name, column in known.items()}

    def fingerprint(self) -> str:
        """Return a hash of the table's file."""
        return self._table.fingerprint()

    @cached_property
    def _networks(self) -> dict[Genome, int]:
        """The row of each canonical genome: its own, and behind all those the first of the same network."""
        row_of = self._table.row_of
        canonical = {genome: self.space.canonical(genome) for genome in row_of}
        rows = {genome: row for genome, row in row_of.items() if canonical[genome] == genome}
        for genome, row in row_of.items():
            rows.setdefault(canonical[genome], row)
        return rows

    def _row(self, genome: Genome) -> int | None:
        row = self._table.row_of.get(genome)
        return self._networks.get(self.space.canonical(genome)) if row is None else row

    def _declared(self, name: str, column: MetricColumn) -> Metric:
        values = self._columns[name][np.isfinite(self._columns[name])]
        if len(values) == 0:
            raise DataError(f"{self._table.file}: '{column.column}' has no finite number")
        worst = float(values.min() if column.maximize else values.max()) if column.worst is None else column.worst
        return Metric(name, column.maximize, worst)

    def _durations(self, column: str) -> np.ndarray:
        values = self._table.known(Column(column))
        if not (values > 0).all():
            raise DataError(
                f"{self._table.file}: '{column}' must hold seconds above 0, and its least is {values.min()}"
            )
        return values


def _table(
    space: SearchSpace,
    file: Path | None,
    genes: Sequence[str] | None,
    architecture: str | None,
    pattern: str | None,
    duplicates: Duplicates,
) -> NetworkTable:
    """Return the table of a space that is one, else that of a file, whose networks are of the space."""
    if isinstance(space, Table):
        if file or genes or architecture or pattern or duplicates != "refuse":
            raise ConfigError(
                f"the space is a table already, {space.table.file}: leave file, genes, architecture, pattern and "
                f"duplicates out here"
            )
        return space.table
    if file is None:
        raise ConfigError(
            "say which table to look into, file=PATH (evaluator.file=PATH on the command line), or take "
            "evonas.spaces.table:Table as the space"
        )
    columns = [gene.name for gene in space.genes] if genes is None else genes
    if len(columns) != len(space.genes):
        raise ConfigError(f"'genes' names {len(columns)} columns, and the space has {len(space.genes)} genes")
    options = {column: gene.options for column, gene in zip(columns, space.genes, strict=True)}
    return NetworkTable(file, genes=options, architecture=architecture, pattern=pattern, duplicates=duplicates)
