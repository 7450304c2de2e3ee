"""Tables of measured networks: which network each row is, from columns that are genes or from one that says it all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from evonas.errors import ConfigError, DataError, nearest
from evonas.space import Gene, Genome
from evonas.table import Column, column_of, is_number, numbers, read

if TYPE_CHECKING:
    import pyarrow as pa

Genes = Sequence[str] | Mapping[str, Sequence[str | int | float | bool] | None]
"""The genes' columns, or names, in order; as a mapping with the options of each, None for those that occur."""

Duplicates = Literal["refuse", "mean"]
"""What becomes of several rows of one network: they are refused, or their numbers averaged."""


class NetworkTable:
    """A table with a row a network, each network once.

    Either `genes` names a column a gene, or `architecture` names one column of strings that say it all: `pattern` is a
    regular expression that matches the whole of each string and has one group a gene; without it, every character is
    a gene. `genes` then may name the groups, which otherwise have the names that the pattern gives them, or
    `gene_0`, `gene_1`, ... What a gene can be is what occurs, numbers by size before names by alphabet, unless `genes`
    gives its options. Then whole numbers are their indices if no option is a number itself.

    Raises ConfigError or DataError, which name the row, counted from 1 below the header, for what cannot be read.
    """

    def __init__(
        self,
        file: Path,
        *,
        genes: Sequence[str] | Mapping[str, Sequence[object] | None] | None = None,
        architecture: str | None = None,
        pattern: str | None = None,
        duplicates: Duplicates = "refuse",
    ) -> None:
        if genes is None and architecture is None:
            raise ConfigError(
                "say what tells the networks apart: 'genes', the columns that are genes, or 'architecture', a column "
                "of strings"
            )
        if pattern is not None and architecture is None:
            raise ConfigError("'pattern' is how the strings of a column are read: name the column as 'architecture'")
        if genes is not None and len(set(genes)) < len(genes):
            raise ConfigError(f"'genes' names one twice: {', '.join(genes)}")
        self.file = Path(file).expanduser()
        self._rows = read(self.file, texts=[] if architecture is None else [architecture])
        columns, given = self._gene_columns(genes, architecture, pattern)
        read_genes = [self._gene(name, column, given[name]) for name, column in columns.items()]
        self.genes = tuple(gene for gene, _ in read_genes)
        choices = np.stack([indices for _, indices in read_genes], axis=1)
        genomes: list[Genome] = list(map(tuple, choices.tolist()))
        self.row_of: Mapping[Genome, int] = dict(zip(genomes, range(len(genomes)), strict=True))
        """The row of each network in `choices` and `numbers`."""
        self._averaged: np.ndarray | None = None
        if len(self.row_of) < len(genomes):
            if duplicates == "refuse":
                raise DataError(self._repeated(genomes))
            self.row_of = {genome: row for row, genome in enumerate(dict.fromkeys(genomes))}
            self._averaged = np.array([self.row_of[genome] for genome in genomes])
        compact = np.min_scalar_type(int(choices.max()))
        self.choices: np.ndarray = np.asfortranarray(np.array(list(self.row_of), dtype=compact))
        """Option indices, shape (networks, genes)."""

    def __len__(self) -> int:
        return len(self.row_of)

    def numbers(self, column: Column) -> np.ndarray:
        """Return a column's number of every network, shape (networks,), float64; NaN where a value is missing.

        Of a network with several rows that is their mean, and NaN if one of them is.
        """
        values = column.offset + column.scale * numbers(self._rows, column.column, self.file)
        if self._averaged is None:
            return values
        counts = np.bincount(self._averaged, minlength=len(self))
        means: np.ndarray = np.bincount(self._averaged, weights=values, minlength=len(self)) / counts
        return means

    def known(self, column: Column) -> np.ndarray:
        """Return `numbers`; raise DataError if one is missing or not finite."""
        values = self.numbers(column)
        if not np.isfinite(values).all():
            genome = self.choices[int(np.argmin(np.isfinite(values)))]
            raise DataError(
                f"{self.file}: '{column.column}' must be known of every network, and is not of {self.named(genome)}: "
                f"drop such rows"
            )
        return values

    def named(self, genome: Sequence[int]) -> str:
        """Return a network's options with the genes' names, for messages."""
        return ", ".join(f"{gene.name}={gene.options[i]}" for gene, i in zip(self.genes, genome, strict=True))

    def fingerprint(self) -> str:
        """Return a hash of the file."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def _gene_columns(
        self,
        genes: Sequence[str] | Mapping[str, Sequence[object] | None] | None,
        architecture: str | None,
        pattern: str | None,
    ) -> tuple[dict[str, pa.Array], Mapping[str, Sequence[object] | None]]:
        """Return a column for every gene by name, and the options that are given."""
        if architecture is None:
            assert genes is not None
            columns = {name: column_of(self._rows, name, self.file) for name in genes}
        else:
            columns = _groups(column_of(self._rows, architecture, self.file), pattern, f"{self.file}, '{architecture}'")
            if genes is not None:
                if len(genes) != len(columns):
                    raise ConfigError(
                        f"'genes' names {len(genes)} genes, and '{architecture}' is read as {len(columns)}: "
                        f"a group of the pattern, or a character, is a gene"
                    )
                columns = dict(zip(genes, columns.values(), strict=True))
        if not columns:
            raise ConfigError("'genes' is empty: name at least one column")
        return columns, genes if isinstance(genes, Mapping) else dict.fromkeys(columns)

    def _gene(self, name: str, column: pa.Array, given: Sequence[object] | None) -> tuple[Gene, np.ndarray]:
        """Return a gene and which of its options every row has."""
        import pyarrow as pa
        from pyarrow import compute

        missing = compute.is_null(column, nan_is_null=pa.types.is_floating(column.type)).to_numpy(zero_copy_only=False)
        if missing.any():
            raise DataError(f"{self.file}: row {int(missing.argmax()) + 1} has no '{name}', which is a gene: drop it")
        try:
            encoded = column.dictionary_encode()
        except pa.ArrowException as error:
            raise DataError(f"{self.file}: '{name}' holds {column.type}, and a gene is a number or a name") from error
        indices = encoded.indices.to_numpy()
        values = [_whole(value) for value in encoded.dictionary.to_pylist()]
        options = tuple(given) if given is not None else tuple(sorted(values, key=_by_size))
        if len({str(option) for option in options}) < len(options):
            raise ConfigError(f"'genes' gives an option of '{name}' twice: {', '.join(map(str, options))}")
        positions = _positions(values, options)
        if (stranger := next((k for k in np.unique(indices) if positions[k] is None), None)) is not None:
            row = int((indices == stranger).argmax()) + 1
            raise DataError(
                f"{self.file}: row {row} has {values[stranger]!r} for '{name}', which is none of its options"
                f"{nearest(str(values[stranger]), map(str, options))}"
            )
        return Gene(name, options), np.array([-1 if p is None else p for p in positions])[indices]

    def _repeated(self, genomes: Sequence[Genome]) -> str:
        first: dict[Genome, int] = {}
        for row, genome in enumerate(genomes, start=1):
            if (before := first.setdefault(genome, row)) != row:
                break
        return (
            f"{self.file}: rows {before} and {row} are the same network, {self.named(genome)}: name the gene that "
            f"tells them apart, drop one, or say duplicates=mean if they are repeated measurements"
        )


def _groups(column: pa.Array, pattern: str | None, origin: str) -> dict[str, pa.Array]:
    """Return the texts that each group of the pattern matches, by the group's name."""
    import pyarrow as pa

    texts = column.cast(pa.string()).to_pylist()
    try:
        matcher = re.compile("(.)" * len(texts[0] or "?") if pattern is None else pattern, re.DOTALL)
    except re.error as error:
        raise ConfigError(f"'pattern' is no regular expression: {error}: {pattern}") from error
    if matcher.groups == 0:
        raise ConfigError(f"'pattern' has no group, and needs one a gene, in parentheses: {pattern}")
    matches = [matcher.fullmatch(text) if text is not None else None for text in texts]
    if None in matches:
        row = matches.index(None)
        fault = f"has not the {matcher.groups} characters of row 1" if pattern is None else f"does not match {pattern}"
        raise DataError(f"{origin}: row {row + 1}, {texts[row]!r}, {fault}")
    groups = zip(*(match.groups(default="") for match in matches if match), strict=True)
    names = {number: name for name, number in matcher.groupindex.items()}
    return {names.get(n, f"gene_{n - 1}"): pa.array(group) for n, group in enumerate(groups, start=1)}


def _positions(values: Sequence[object], options: Sequence[object]) -> list[int | None]:
    """Return which option each value is, None if it is none: by its text or, among names alone, by its index."""
    by_text = {str(_whole(option)): index for index, option in enumerate(options)}
    if any(map(is_number, by_text)):
        return [by_text.get(str(value)) for value in values]
    indices = {str(index): index for index in range(len(options))}
    return [(indices | by_text).get(str(value)) for value in values]


def _whole(value: object) -> object:
    """Return 3.0 as 3, as which it is written elsewhere."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _by_size(value: object) -> tuple[bool, float, str]:
    number = is_number(value)
    return not number, float(str(value)) if number else 0.0, str(value)
