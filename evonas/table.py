"""Tables in files, parquet or CSV: read, and their columns as numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evonas.errors import DataError, nearest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """Where a number is found: `offset + scale * column`, so that an error is 1 - 0.01 * a column of percentages."""

    column: str
    scale: float = 1.0
    offset: float = 0.0


ColumnKind = TypeVar("ColumnKind", bound=Column)


def named_columns(given: Sequence[str] | Mapping[str, Any], kind: type[ColumnKind]) -> dict[str, ColumnKind]:
    """Return an option's columns by name: of a list of columns, or a mapping to a column or to what `kind` takes."""
    plain = given if isinstance(given, Mapping) else {name: name for name in given}
    return {name: kind(**of) if isinstance(of, Mapping) else kind(of) if isinstance(of, str) else of
            for name, of in plain.items()}  # fmt: skip


def read(file: Path, texts: Sequence[str] = ()) -> pa.Table:
    """Return a table with at least one row, read from parquet or else as CSV, where the columns `texts` hold text.

    Raises DataError for a file that cannot be read, or in which two columns have one name.
    """
    from pyarrow import ArrowException, csv, parquet, string

    file = Path(file)
    if not file.is_file():
        here = file.parent.iterdir() if file.parent.is_dir() else ()
        found = [other.name for other in here if other.suffix.lower() in (".parquet", ".csv")]
        raise DataError(f"there is no table {file}{nearest(file.name, found)}")
    try:
        if file.suffix.lower() == ".parquet":
            table = parquet.read_table(file)
        else:
            table = csv.read_csv(file, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(texts, string())))
    except (OSError, ArrowException) as error:
        raise DataError(f"the table {file} cannot be read: {error}") from error
    if repeated := [name for name, count in Counter(table.column_names).items() if count > 1]:
        raise DataError(
            f"the table {file} has several columns named {', '.join(map(repr, repeated))}: rename or drop all but one"
        )
    if table.num_rows == 0:
        raise DataError(f"the table {file} is empty: it has no row below its header")
    return table


def numbers(table: pa.Table, column: str, file: Path) -> np.ndarray:
    """Return a column as numbers, shape (rows,), float64, NaN where a value is missing; raise DataError if it is none.

    `file` is what a message calls the table.
    """
    import pyarrow as pa

    values = column_of(table, column, file)
    if not any(holds(values.type) for holds in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)):
        texts = list(enumerate(values.to_pylist(), start=1))
        row, example = next((text for text in texts if not is_number(text[1])), texts[0])
        raise DataError(f"{file}: '{column}' must hold numbers, and row {row} holds {example!r}")
    as_floats: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return as_floats


def column_of(table: pa.Table, name: str, file: Path) -> pa.Array:
    """Return a column in one piece; raise DataError if there is none of that name. `file` is what messages call it."""
    import pyarrow as pa

    if name not in table.column_names:
        raise DataError(f"the table {file} has no column '{name}'{nearest(name, table.column_names)}")
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks()


def is_number(value: object) -> bool:
    """Say whether a value is a finite number, or the text of one."""
    try:
        return math.isfinite(float(str(value)))
    except ValueError:
        return False
