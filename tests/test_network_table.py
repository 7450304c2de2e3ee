"""Tables of measured networks: every way to write an architecture down says which network a row is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from evonas.errors import ConfigError, DataError
from evonas.network_table import NetworkTable
from evonas.space import Gene
from evonas.spaces.cell201 import OPERATIONS
from evonas.table import Column

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
CELLS = r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|"

MIXED = """depth,op,wide,error
2,conv,true,0.5
10,pool,true,0.25
2,pool,false,
"""


def table(folder: Path, text: str = MIXED, **options: Any) -> NetworkTable:
    path = folder / "measured.csv"
    path.write_text(text)
    return NetworkTable(path, **options)


def published(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"the table {name} is not in {SHARED}")
    return SHARED / name


def test_genes_are_columns_and_their_options_what_occurs(tmp_path: Path) -> None:
    read = table(tmp_path, genes=["depth", "op", "wide"])
    assert read.genes == (Gene("depth", (2, 10)), Gene("op", ("conv", "pool")), Gene("wide", (False, True)))
    assert dict(read.row_of) == {(0, 0, 1): 0, (1, 1, 1): 1, (0, 1, 0): 2}
    assert read.choices.tolist() == [[0, 0, 1], [1, 1, 1], [0, 1, 0]]
    assert read.named((1, 0, 1)) == "depth=10, op=conv, wide=True"
    np.testing.assert_array_equal(read.numbers(Column("error", scale=-1, offset=1)), [0.5, 0.75, np.nan])
    with pytest.raises(DataError, match="'error' must be known of every network, and is not of depth=2, op=pool, wide"):
        read.known(Column("error"))


@pytest.mark.parametrize(
    ("column", "options", "choices"),
    [
        ("2\n0\n", ["none", "skip", "conv"], [2, 0]),  # indices of names
        ("skip\nnone\n", ["none", "skip", "conv"], [1, 0]),
        ("8\n16\n", [4, 8, 16], [1, 2]),  # among numbers a number is itself
        ("0\n1\n", [1, 0], [1, 0]),
        ("2.0\n0.5\n", [0.5, 1, 2], [2, 0]),
        ("auto\n2\n", [1, 2, "auto"], [2, 1]),
        ("true\nfalse\n", [True, False], [0, 1]),
    ],
)
def test_given_options_are_found_by_what_they_are_or_names_by_their_index(
    column: str, options: Sequence[object], choices: list[int], tmp_path: Path
) -> None:
    read = table(tmp_path, f"gene\n{column}", genes={"gene": options})
    assert read.choices[:, 0].tolist() == choices
    assert read.genes == (Gene("gene", tuple(options)),)


def test_strings_of_one_character_a_gene(tmp_path: Path) -> None:
    text = "arch,x\n0120,1\n0210,2\n"
    assert table(tmp_path, text, architecture="arch").genes[1] == Gene("gene_1", ("1", "2"))
    read = table(tmp_path, text, architecture="arch", genes={"a": None, "b": [0, 1, 2], "c": None, "d": ["id"]})
    assert read.genes == (Gene("a", ("0",)), Gene("b", (0, 1, 2)), Gene("c", ("1", "2")), Gene("d", ("id",)))
    assert read.choices.tolist() == [[0, 1, 1, 0], [0, 2, 0, 0]]


def test_groups_of_a_pattern_are_genes_and_may_have_names(tmp_path: Path) -> None:
    read = table(tmp_path, "arch\nk3-e6\nk5-e12\n", architecture="arch", pattern=r"k(?P<kernel>\d+)-e(\d+)")
    assert read.genes == (Gene("kernel", ("3", "5")), Gene("gene_1", ("6", "12")))


def test_the_strings_of_nas_bench_201_say_what_its_indices_say() -> None:
    file = published("nasbench201_12epochs.parquet")
    names = [operation.replace("conv", "nor_conv") for operation in OPERATIONS]
    by_string = NetworkTable(
        file, architecture="arch_str", pattern=CELLS, genes={f"e{edge}": names for edge in range(6)}
    )
    by_index = NetworkTable(file, genes={f"e{edge}": names for edge in range(6)})
    assert len(by_string) == 5**6
    assert by_string.genes == by_index.genes
    assert np.array_equal(by_string.choices, by_index.choices)


def test_the_strings_of_nas_bench_macro_are_all_of_its_space() -> None:
    file = published("nasbench_macro.parquet")
    read = NetworkTable(file, architecture="arch")
    assert len(read) == 3**8
    assert {len(gene.options) for gene in read.genes} == {3}
    strings = parquet.read_table(file)["arch"].to_pylist()
    assert all("".join(map(str, read.choices[row])) == string for row, string in enumerate(strings))


def test_rows_of_one_network_are_refused_or_averaged(tmp_path: Path) -> None:
    text = "op,seed,error\na,0,1\nb,0,5\na,1,2\nb,1,\na,2,6\n"
    with pytest.raises(DataError, match=r"rows 1 and 3 are the same network, op=a: .* or say duplicates=mean"):
        table(tmp_path, text, genes=["op"])
    assert len(table(tmp_path, text, genes=["op", "seed"])) == 5
    mean = table(tmp_path, text, genes=["op"], duplicates="mean")
    assert dict(mean.row_of) == {(0,): 0, (1,): 1}
    np.testing.assert_allclose(mean.numbers(Column("error")), [3.0, np.nan])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "say what tells the networks apart: 'genes'"),
        ({"genes": []}, "'genes' is empty"),
        ({"genes": ["op", "op"]}, "'genes' names one twice: op, op"),
        ({"genes": ["op"], "pattern": "(.)"}, "name the column as 'architecture'"),
        ({"genes": {"op": ["conv", "conv"]}}, "gives an option of 'op' twice: conv, conv"),
        ({"architecture": "op", "genes": ["a"]}, "'genes' names 1 genes, and 'op' is read as 4"),
        ({"architecture": "op", "pattern": "conv|pool"}, "'pattern' has no group"),
        ({"architecture": "op", "pattern": "(conv"}, "'pattern' is no regular expression: missing \\)"),
    ],
)
def test_options_that_say_no_network_are_refused(options: Mapping[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        table(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"genes": ["opp"]}, "has no column 'opp'; did you mean 'op'"),
        ({"genes": ["error"]}, "row 3 has no 'error', which is a gene: drop it"),
        ({"genes": {"op": ["conv", "poll"]}}, "row 2 has 'pool' for 'op', which is none of its options.*mean 'poll'"),
        ({"genes": {"depth": ["a", "b", "c"]}}, "row 2 has 10 for 'depth', which is none of its options; known: a, b"),
        ({"architecture": "arch"}, "has no column 'arch'"),
        ({"architecture": "op", "pattern": "(conv)"}, r"measured.csv, 'op': row 2, 'pool', does not match \(conv\)"),
        ({"architecture": "depth"}, "'depth': row 2, '10', has not the 1 characters of row 1"),
    ],
)
def test_rows_that_say_no_network_are_named(options: Mapping[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        table(tmp_path, **options)


def test_a_column_of_lists_is_no_gene(tmp_path: Path) -> None:
    import pyarrow as pa

    path = tmp_path / "lists.parquet"
    parquet.write_table(pa.table({"ops": [[0, 1], [1, 0]]}), path)
    with pytest.raises(DataError, match=r"'ops' holds list<.*>, and a gene is a number or a name"):
        NetworkTable(path, genes=["ops"])


def test_the_fingerprint_is_that_of_the_file(tmp_path: Path) -> None:
    first = table(tmp_path, genes=["depth", "op"]).fingerprint()
    assert table(tmp_path, genes=["op", "depth"]).fingerprint() == first
    assert table(tmp_path, MIXED.replace("0.25", "0.26"), genes=["depth", "op"]).fingerprint() != first
