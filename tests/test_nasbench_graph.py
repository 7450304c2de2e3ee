"""The files of NAS-Bench-Graph become one table, a row for each of its 26,206 networks."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from malicious import making

from evonas.convert.base import Converted, write
from evonas.convert.nasbench_graph import DATA_SETS, LINKS, OPERATIONS, convert
from evonas.errors import DataError
from evonas.spaces.table import Table

GENES = ["link", "op_1", "op_2", "op_3", "op_4"]


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder of the PyPI package nas_bench_graph."""
    found = importlib.util.find_spec("nas_bench_graph")
    if found is None or found.origin is None:
        pytest.skip("the package nas_bench_graph is not installed: pip install nas-bench-graph")
    return Path(found.origin).parent


@pytest.fixture(scope="module")
def published(package: Path) -> Converted:
    return _convert(package / "light")


def test_published_networks_are_26206_on_nine_data_sets(published: Converted) -> None:
    networks = list(zip(*(published.columns[gene] for gene in GENES), strict=True))
    assert len(networks) == len(set(networks)) == 26_206
    assert {name.split("_")[0] for name in published.columns} - {"link", "op"} == set(DATA_SETS)
    known = [sum(value is not None for value in published.columns[f"{name}_params"]) for name in DATA_SETS]
    assert known == [26_206] * 8 + [2_021]


@pytest.mark.parametrize("name", ["cora", "arxiv", "proteins"])
def test_rows_are_those_that_the_package_looks_up(published: Converted, package: Path, name: str) -> None:
    """Read as the package reads it, and its networks written as its `Arch.hash_arch` does: link, then an operation."""
    rows: dict[int, dict[str, float]] = pickle.loads((package / "light" / f"{name}.bench").read_bytes())
    score = "roc_auc" if name == "proteins" else "accuracy"
    columns = [published.columns[column] for column in (*GENES, f"{name}_valid_{score}", f"{name}_test_{score}")]
    sizes = (published.columns[f"{name}_latency_ms"], published.columns[f"{name}_params"])
    compared = 0
    for link, *operations, valid, test, latency, params in zip(*columns, *sizes, strict=True):
        number = LINKS.index(str(link))
        for operation in operations:
            number = 10 * number + OPERATIONS.index(str(operation))
        if valid is not None:
            compared += 1
            assert (valid, test) == (rows[number]["valid_perf"], rows[number]["perf"])
            assert latency == 1000 * rows[number]["latency"]
            assert params == pytest.approx(1e6 * rows[number]["para"])
    assert compared == len(rows)


def test_table_is_a_space_of_known_networks(published: Converted, tmp_path: Path) -> None:
    write(published, tmp_path / "graph.parquet")
    space = Table(file=tmp_path / "graph.parquet", genes=GENES, costs={"params": "cora_params"})
    assert space.size() == 26_206
    assert [len(gene.options) for gene in space.genes] == [9, 9, 9, 9, 9]
    assert min(published.columns["cora_params"]) == space.costs(space.smallest())["params"]  # type: ignore[type-var]


def test_a_single_file_has_columns_of_its_data_set_only(tmp_path: Path) -> None:
    file = _written(tmp_path / "mine.bench", {12345: _row(), 88880: _row()})
    assert _convert(file).columns == {
        "link": ["0001", "0123"],
        "op_1": ["gin", "skip"],
        "op_2": ["cheb", "skip"],
        "op_3": ["sage", "skip"],
        "op_4": ["arma", "gat"],
        "mine_valid_accuracy": [0.75, 0.75],
        "mine_test_accuracy": [0.5, 0.5],
        "mine_latency_ms": [2.0, 2.0],
        "mine_params": [1_250_000, 1_250_000],
    }


def test_networks_that_a_data_set_lacks_are_missing_there(tmp_path: Path) -> None:
    _written(tmp_path / "cora.bench", {0: _row(), 1: _row()})
    _written(tmp_path / "proteins.bench", {1: _row(), 2: _row()})
    columns = _convert(tmp_path).columns
    assert columns["op_4"] == ["gat", "gcn", "gin"]
    assert columns["cora_params"] == [1_250_000, 1_250_000, None]
    assert columns["proteins_valid_roc_auc"] == [None, 0.75, 0.75]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([1], "is no file of NAS-Bench-Graph: it holds list"),
        ({}, "is no file of NAS-Bench-Graph"),
        ({9: {}}, "9 is no network's hash, from 0 to 88888"),
        ({90000: {}}, "90000 is no network's hash"),
        ({-1: {}}, "-1 is no network's hash"),
        ({"cora": {}}, "'cora' is no network's hash"),
        ({0: {"valid_perf": 0.5}}, "the row of 0 must have numbers for valid_perf, perf, .*KeyError"),
        ({0: [0.5]}, "the row of 0 must have numbers.*TypeError"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, rows: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _convert(_written(tmp_path / "cora.bench", rows))


def test_a_command_in_the_file_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "cora.bench").write_bytes(making(tmp_path / "ran"))
    with pytest.raises(DataError, match=r"cora\.bench asks for posix\.system"):
        _convert(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no \*\.bench file in .*: name the folder 'light'"):
        _convert(tmp_path)


def _convert(source: Path) -> Converted:
    return convert(source, lambda _: None)


def _row() -> dict[str, float]:
    return {"valid_perf": 0.75, "perf": np.float64(0.5), "latency": 0.002, "para": np.float64(1.25)}


def _written(file: Path, rows: Any) -> Path:
    file.write_bytes(pickle.dumps(rows))
    return file
