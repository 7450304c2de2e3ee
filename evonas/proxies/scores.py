"""Scores of networks in files: what a run of zero-cost proxies found, or a table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evonas import run_folder
from evonas.errors import ConfigError, DataError, nearest
from evonas.goals import of_test_split
from evonas.history import History
from evonas.network_table import NetworkTable
from evonas.proxies.weightings import ranked
from evonas.space import Genome, SearchSpace
from evonas.table import Column


@dataclass(frozen=True)
class Scores:
    """Scores of networks of a space, each in canonical form and once: `columns` by name, shape (networks,) each.

    A score that is missing is NaN.
    """

    genomes: Sequence[Genome]
    columns: Mapping[str, np.ndarray]

    def normal(self) -> np.ndarray:
        """Return the normal score of each network's rank by each column, shape (networks, columns), mean 0.

        Whatever the proxy's scale, so is the tail of the best not pressed together, as it is in ranks (van der Waerden
        1952). Equal scores have their mean rank, and those that are missing or not finite the lowest.
        """
        from scipy.special import ndtri

        columns = np.stack(list(self.columns.values()), axis=1)
        ranks = ranked(np.where(np.isfinite(columns), columns, -np.inf)) * (len(columns) - 1)
        scores: np.ndarray = ndtri((ranks + 0.5) / len(columns))
        return scores


def read_scores(path: Path, space: SearchSpace, names: Sequence[str]) -> Scores:
    """Return what a run folder or a table (parquet, CSV) says of networks of the space, in the columns `names`.

    Of a run these are metrics and static costs of what it has evaluated, of a network at the highest fidelity that
    measured them; in a table a gene's column holds its options
    or their indices, and of rows that are one network the first counts. Raises an EvonasError for what cannot be read,
    is of another space or of the test split.
    """
    path = Path(path)
    if not names:
        raise ConfigError(f"name the scores to take from {path}: no column is named")
    for name in names:
        if of_test_split(name):
            raise ConfigError(f"'{name}' is measured on the test split, which a search never sees: leave it out")
    if path.suffix.lower() in (".parquet", ".csv"):
        table = NetworkTable(path, genes={gene.name: gene.options for gene in space.genes}, duplicates="mean")
        genomes, columns = list(table.row_of), {name: table.numbers(Column(name)) for name in names}
    else:
        genomes, columns = _of_run(run_folder.find(path), space, names)
    first = {space.canonical(genome): row for row, genome in reversed(list(enumerate(genomes)))}
    rows = np.array(sorted(first.values()))
    return Scores([space.canonical(genomes[row]) for row in rows], {n: column[rows] for n, column in columns.items()})


def fingerprint(path: Path) -> str:
    """Return a hash of a file, or of the journal of a run folder."""
    path = Path(path)
    with (path / "journal.jsonl" if path.is_dir() else path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _of_run(path: Path, space: SearchSpace, names: Sequence[str]) -> tuple[list[Genome], dict[str, np.ndarray]]:
    history = History.read(path)
    if history.header.genes != {gene.name: [str(option) for option in gene.options] for gene in space.genes}:
        raise DataError(f"{path} searched a space with other genes: take scores of networks of this space")
    evaluations = history.evaluations
    if not evaluations:
        raise DataError(f"{path} has no evaluation yet: let it score networks first")
    rungs = list(history.spent)
    found: dict[Genome, dict[str, float]] = {}
    for each in sorted(evaluations, key=lambda e: (e.candidate.at_top, rungs.index(e.fidelity))):
        found.setdefault(each.candidate.genome, {}).update(each.metrics)
    known = {name for metrics in found.values() for name in metrics}
    for name in names:
        if name not in known:
            raise DataError(f"{path} has no score '{name}'{nearest(name, known)}")
    columns = {name: np.array([metrics.get(name, np.nan) for metrics in found.values()]) for name in names}
    return list(found), columns
