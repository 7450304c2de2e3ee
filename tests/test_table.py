"""Tables in files: what is read is what was written, and what cannot be read is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from evonas.errors import DataError
from evonas.table import Column, column_of, is_number, named_columns, numbers, read

TABLE = pa.table({"arch": ["012", "120"], "error": [0.25, None], "params": [7, 9], "note": ["1.5", "n.a."]})


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"measured{suffix}"
    parquet.write_table(TABLE, path) if suffix == ".parquet" else csv.write_csv(TABLE, path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_columns_are_numbers_or_texts_and_what_is_missing_is_nan(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    table = read(path, texts=["arch", "not there"])
    assert column_of(table, "arch", path).to_pylist() == ["012", "120"], "a leading zero is kept"
    np.testing.assert_array_equal(numbers(table, "error", path), [0.25, np.nan])
    np.testing.assert_array_equal(numbers(table, "params", path), [7.0, 9.0])
    with pytest.raises(DataError, match=r"measured\S+ has no column 'parms'; did you mean 'params'\?"):
        numbers(table, "parms", path)
    with pytest.raises(DataError, match=r"'note' must hold numbers, and row 2 holds 'n.a.'"):
        numbers(table, "note", path)


def test_categories_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "pandas.parquet"
    parquet.write_table(pa.table({"op": pa.array(["a", "b", "a"]).dictionary_encode()}), path)
    assert column_of(read(path), "op", path).to_pylist() == ["a", "b", "a"]


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    written(tmp_path, ".csv")
    (tmp_path / "empty.csv").write_text("a,b\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "twice.csv").write_text("a,b,a,c,b\n1,2,3,4,5\n")
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    for name, said in {
        "mesured.csv": "there is no table .*mesured.csv; did you mean 'measured.csv'",
        "elsewhere/x.csv": "there is no table",
        "empty.csv": "is empty: it has no row below its header",
        "nothing.csv": "cannot be read: Empty CSV file",
        "ragged.csv": "cannot be read: .*Expected 2 columns, got 3",
        "twice.csv": "twice.csv has several columns named 'a', 'b': rename or drop all but one",
        "text.parquet": "cannot be read: .*not a parquet file",
    }.items():
        with pytest.raises(DataError, match=said):
            read(tmp_path / name)


def test_columns_are_named_by_lists_mappings_and_full_descriptions() -> None:
    @dataclass(frozen=True)
    class Marked(Column):
        mark: bool = False

    assert named_columns(["a"], Marked) == {"a": Marked("a")}
    given = {"x": "a", "y": {"column": "b", "scale": -0.01, "mark": True}, "z": Marked("c")}
    assert named_columns(given, Marked) == {"x": Marked("a"), "y": Marked("b", -0.01, 0.0, True), "z": Marked("c")}


def test_a_number_is_known_by_its_text() -> None:
    assert [is_number(value) for value in (3, 0.5, "1e6", "-2")] == [True] * 4
    assert [is_number(value) for value in ("nan", "inf", "3x", "", None, True)] == [False] * 6
