"""`evonas convert`, as a user runs it: a table, and an experiment that searches it."""

from __future__ import annotations

import bz2
import pickle
from pathlib import Path

import nats_files
import pytest
from commands import evonas
from malicious import making
from tfrecord_files import metrics, record

from evonas import config
from evonas.compose import prepare
from evonas.convert import base, nasbench101, nats_bench
from evonas.convert.base import Converted
from evonas.errors import ConfigError, DataError


def test_a_converted_table_is_searched_by_the_experiment_that_is_printed(tmp_path: Path) -> None:
    row = {"perf": 0.5, "latency": 0.002}
    rows = {
        link * 10_000 + op * 111: {**row, "valid_perf": 0.5 + op / 100, "para": 1.0 + link}
        for link in range(9)
        for op in range(9)
    }
    (tmp_path / "cora.bench").write_bytes(pickle.dumps(rows))
    made = evonas("convert", "nas-bench-graph", "cora.bench", "graph.parquet", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "graph.parquet: 81 networks, columns link, op_1, op_2, op_3, op_4, cora_valid_accuracy" in made.stderr
    (tmp_path / "experiment.yaml").write_text(made.stdout)
    run = evonas("run", "experiment.yaml", "evaluations=80", "strategy.population=20", "tracking=null", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "80 networks evaluated" in run.stdout


def test_tables_of_cells_are_searched_through_their_spaces(tmp_path: Path) -> None:
    whole = {"arch2infos": nats_files.architectures()}
    (tmp_path / "nats").write_bytes(bz2.compress(pickle.dumps(whole)))
    (tmp_path / "101").write_bytes(
        record("x", 108, "010001000", ["input", "maxpool3x3", "output"], metrics(900_000, 100.0, 0.75, 0.4))
    )
    for converted, error, seconds in (
        (nats_bench.convert(tmp_path / "nats", 200, _untold), 0.35, 400.5),
        (nasbench101.convert(tmp_path / "101", 108, _untold), 0.25, 100.0),
    ):
        target = tmp_path / "table.parquet"
        base.write(converted, target)
        experiment = tmp_path / "experiment.yaml"
        experiment.write_text(converted.experiment.replace("FILE", str(target)))
        search = prepare(config.load(experiment, []))
        genome = tuple(
            [str(option) for option in gene.options].index(str(converted.columns[gene.name][0]))
            for gene in search.space.genes
        )
        evaluator = config.load(experiment, []).evaluator.build({"space": search.space, "seed": 0})
        assert evaluator.measure(genome, None) == pytest.approx({"valid_error": error})
        assert evaluator.recorded_seconds(genome) == seconds


def test_a_file_that_asks_for_a_command_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cells.pickle.pbz2").write_bytes(bz2.compress(making(tmp_path / "ran")))
    made = evonas("convert", "nats-bench", "cells.pickle.pbz2", "cells.parquet", cwd=tmp_path)
    assert made.returncode == 2
    assert "error: cells.pickle.pbz2 asks for posix.system, which is no plain data" in made.stderr
    assert "Traceback" not in made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.pickle.pbz2"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("table.csv", "name a target that ends with .parquet, not .*table.csv"),
        ("nowhere/table.parquet", "there is no folder .*nowhere to write table.parquet into"),
        ("folder.parquet", "folder.parquet cannot be written"),
    ],
)
def test_impossible_targets_are_refused_before_anything_is_read(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ConfigError, match=said):
        base.check_target(tmp_path / target)


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "table.parquet"
    base.write(Converted({"a": [1, 2]}, ""), target)
    before = target.read_bytes()

    def full(table: object, draft: Path) -> None:
        draft.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        base.write(Converted({"a": [3]}, ""), target)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("table.parquet", before)]


def _untold(share: float) -> None:
    assert 0 <= share <= 1
