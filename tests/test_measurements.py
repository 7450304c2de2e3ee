"""Runs, tables and experiments on tables hold measured networks, and what is guessed of them is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from commands import FORMULA
from pyarrow import csv, parquet
from synthetic import FormulaEvaluator, IntegerSpace

from evonas import config, search
from evonas.errors import ConfigError, DataError
from evonas.measurements import Columns, Measurements, measurements
from evonas.predictor import Encoding

ROWS: dict[str, list[Any]] = {
    "id": list(range(100, 200)),
    "name": [f"net {number}" for number in range(100)],
    "kernel": [3, 5, 7, 3, 5] * 20,
    "op": ["conv", "pool", "skip", "none"] * 25,
    "se": [True, False] * 50,
    "unused": [1] * 100,
    "Params": list(range(1000, 1100)),
    "num_macs": list(range(5000, 5100)),
    "accuracy": [0.5 + number / 1000 for number in range(100)],
    "latency": [float(number) for number in range(100)],
}


def table(path: Path, **changes: Any) -> Path:
    """Write a table; None drops a column."""
    columns = {name: column for name, column in {**ROWS, **changes}.items() if column is not None}
    made = pa.table(columns)
    csv.write_csv(made, path) if path.suffix.lower() == ".csv" else parquet.write_table(made, path)
    return path


def rows_of(found: Measurements, column: str) -> dict[tuple[int, ...], float]:
    return dict(zip(found.genomes, found.column(column).tolist(), strict=True))


class TestTables:
    @pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV", ".Parquet"])
    def test_columns_are_guessed_by_type_and_name_and_that_is_said(self, suffix: str, tmp_path: Path) -> None:
        found = measurements(table(tmp_path / f"nets{suffix}", id=None))
        assert [gene.name for gene in found.space.genes] == ["kernel", "op", "se"]
        assert list(found.space.costs(found.genomes[0])) == ["Params", "num_macs"]
        assert list(found.columns) == ["accuracy", "latency"]
        assert found.target is None, "there are two"
        assert list(found.notes) == [
            "genes: kernel, op, se",
            "taken as ordered numbers: kernel; name those that are codes with --categorical",
            "static costs: Params, num_macs",
            "measured: accuracy, latency",
            "left out: name, unused",
            "100 rows are 12 networks: what several say of one is averaged",
        ]

    def test_a_network_of_several_rows_has_their_mean(self, tmp_path: Path) -> None:
        found = measurements(table(tmp_path / "nets.csv"))
        accuracy = rows_of(found, "accuracy")
        genome = found.genomes[0]
        assert found.space.describe(genome) == {"kernel": "3", "op": "conv", "se": "True"}
        same = [number for number in range(100) if number % 5 in (0, 3) and number % 4 == 0]
        assert accuracy[genome] == pytest.approx(np.mean([0.5 + number / 1000 for number in same]))

    def test_many_different_whole_numbers_are_measured_and_no_gene(self, tmp_path: Path) -> None:
        assert "id" in measurements(table(tmp_path / "nets.csv")).columns

    def test_what_is_said_of_columns_is_taken(self, tmp_path: Path) -> None:
        said = Columns(genes=["op", "kernel"], costs=["num_macs"], metrics=["accuracy"])
        found = measurements(table(tmp_path / "nets.csv"), said)
        assert [gene.name for gene in found.space.genes] == ["op", "kernel"]
        assert list(found.space.costs(found.genomes[0])) == ["num_macs"]
        assert (list(found.columns), found.target) == (["accuracy"], "accuracy")
        assert "left out: id, name, se, unused, Params, latency" in found.notes

    def test_what_is_to_be_predicted_is_no_gene_whatever_it_looks_like(self, tmp_path: Path) -> None:
        found = measurements(table(tmp_path / "nets.csv"), wanted=["kernel", "Params"])
        assert [gene.name for gene in found.space.genes] == ["op", "se"]
        assert {"kernel", "Params"} <= found.columns.keys()
        assert list(found.space.costs(found.genomes[0])) == ["num_macs"]

    def test_an_architecture_may_be_written_in_a_column(self, tmp_path: Path) -> None:
        written = [f"{a}-{b}" for a in ("x", "y", "z", "w") for b in range(25)]
        path = table(tmp_path / "nets.csv", name=written, kernel=None, op=None, se=None)
        found = measurements(path, Columns(architecture="name", pattern=r"(\w)-(\d+)"))
        assert [len(gene.options) for gene in found.space.genes] == [4, 25]
        assert found.notes[0] == "genes: gene_0, gene_1, as 'name' tells"

    def test_a_lone_text_of_equal_length_is_taken_for_the_architecture(self, tmp_path: Path) -> None:
        written = [f"{number:03}" for number in range(100)]
        path = table(tmp_path / "nets.csv", name=written, id=None, kernel=None, op=None, se=None)
        table(tmp_path / "nets.parquet", name=written, id=None, kernel=None, op=None, se=None)
        found = measurements(path.with_suffix(".parquet"))
        assert [len(gene.options) for gene in found.space.genes] == [1, 10, 10]

    @pytest.mark.parametrize(
        ("said", "changes", "message"),
        [
            (Columns(genes=["kernl"]), {}, "no column 'kernl'; did you mean 'kernel'"),
            (Columns(costs=["param"]), {}, "no column 'param'"),
            (Columns(), {"kernel": None, "op": None, "se": None, "name": None}, "no column looks like a gene"),
            (Columns(), {"kernel": [3, 5, None, 7] * 25}, "row 3 has no 'kernel', which is a gene"),
            (
                Columns(),
                {"id": None, "accuracy": None, "latency": None},
                "looks measured .* --target: name, kernel, op",
            ),
            (Columns(metrics=["name"]), {}, "'name' must hold numbers, and row 1 holds 'net 0'"),
        ],
    )
    def test_what_cannot_be_understood_is_said(
        self, said: Columns, changes: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises((DataError, ConfigError), match=message):
            measurements(table(tmp_path / "nets.parquet", **changes), said)

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_codes_of_categories_have_no_order(self, suffix: str, tmp_path: Path) -> None:
        path = table(tmp_path / f"nets{suffix}")
        plain, coded = measurements(path), measurements(path, Columns(categorical=["kernel"]))
        assert "kernel" in Encoding(plain.space).names
        assert "kernel" not in Encoding(coded.space).names
        assert coded.space.genes[0].options == ("3", "5", "7")
        assert not [note for note in coded.notes if "ordered" in note]
        assert (coded.genomes, rows_of(coded, "accuracy")) == (plain.genomes, rows_of(plain, "accuracy"))

    def test_what_is_said_to_be_categorical_is_a_gene(self, tmp_path: Path) -> None:
        path = table(tmp_path / "nets.parquet", latency=[float(number % 4) for number in range(100)])
        found = measurements(path, Columns(categorical=["latency"]))
        assert [gene.name for gene in found.space.genes] == ["kernel", "op", "se", "latency"]
        with pytest.raises(ConfigError, match="--categorical: 'id' is no gene; known: kernel, op"):
            measurements(path, Columns(genes=["kernel", "op"], categorical=["id"]))

    @pytest.mark.parametrize(
        ("said", "wanted", "message"),
        [
            (Columns(genes=["kernel", "accuracy"]), ["accuracy"], "'accuracy' is said to be a gene and measured"),
            (Columns(costs=["latency"]), ["accuracy", "latency"], "'latency' is said to be a static cost and measured"),
            (Columns(genes=["kernel", "op"], costs=["kernel"]), [], "'kernel' is said to be a gene and a static cost"),
            (Columns(genes=["op"], metrics=["op"]), [], "'op' is said to be a gene and measured"),
            (Columns(architecture="id"), ["id"], "'id' is said to be the architecture and measured"),
        ],
    )
    def test_no_column_is_two_things(self, said: Columns, wanted: list[str], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=message):
            measurements(table(tmp_path / "nets.parquet"), said, wanted)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    objectives = ["params", "valid_error", {"metric": "throughput", "worst": 0.0}]
    path, _ = search.run(config.parse({**FORMULA, "gates": [], "objectives": objectives, "runs": str(folder)}))
    return path


class TestRuns:
    def test_a_run_holds_what_was_measured_of_its_networks(self, run_folder: Path) -> None:
        found = measurements(run_folder)
        assert isinstance(found.space, IntegerSpace)
        assert len(found.genomes) == 60
        assert list(found.columns) == ["valid_error", "throughput"]
        evaluator = FormulaEvaluator(IntegerSpace(), seed=0)
        for genome, error in rows_of(found, "valid_error").items():
            assert error == evaluator.measure(genome, None)["valid_error"]

    def test_the_target_is_the_first_objective_that_is_measured_as_it_was_declared(self, run_folder: Path) -> None:
        found = measurements(run_folder)
        assert found.target == "valid_error"
        assert {name: (metric.maximize, metric.worst) for name, metric in found.declared.items()} == {
            "valid_error": (False, 1.0),
            "throughput": (True, 0.0),
        }

    def test_recipe_genes_are_genes(self, tmp_path: Path) -> None:
        recipe = {"noise": [0.0, 0.1]}
        evaluator = {"use": "synthetic:Noisy"}
        experiment = {**FORMULA, "gates": [], "evaluator": evaluator, "recipe": recipe, "evaluations": 24}
        path, _ = search.run(config.parse({**experiment, "runs": str(tmp_path)}))
        found = measurements(path)
        assert [gene.name for gene in found.space.genes][-1] == "noise"
        assert {len(genome) for genome in found.genomes} == {5}

    def test_a_run_on_a_table_that_has_changed_is_refused(self, tmp_path: Path) -> None:
        file = table(tmp_path / "nets.csv", id=None)
        space = {"use": "evonas.spaces.table:Table", "file": str(file), "genes": ["kernel", "op"],
                 "costs": ["params"], "duplicates": "mean"}  # fmt: skip
        evaluator = {"use": "evonas.workers.tabular:Tabular", "metrics": ["latency"]}
        more = {"objectives": ["latency", "params"], "strategy": {"population": 4}, "evaluations": 8, "gates": []}
        table(file, id=None, params=ROWS["Params"], Params=None)
        experiment = {**FORMULA, **more, "space": space, "evaluator": evaluator, "runs": str(tmp_path)}
        path, _ = search.run(config.parse(experiment))
        assert len(measurements(path).genomes) == 8
        table(file, id=None, params=ROWS["num_macs"], Params=None)
        with pytest.raises(DataError, match="the file that its space was read from has changed or gone"):
            measurements(path)

    def test_what_is_said_of_tables_or_experiments_is_refused(self, run_folder: Path) -> None:
        with pytest.raises(ConfigError, match="is said of a table"):
            measurements(run_folder, Columns(genes=["a"]))
        with pytest.raises(ConfigError, match=r"'seed=3' is said of an experiment, and .* is none"):
            measurements(run_folder, overrides=["seed=3"])


class TestExperiments:
    def experiment(self, folder: Path, **changes: Any) -> Path:
        import yaml

        path = table(folder / "nets.csv", id=None)
        space = {"use": "evonas.spaces.table:Table", "file": str(path), "genes": ["kernel", "op", "se"],
                 "costs": ["num_macs"], "duplicates": "mean"}  # fmt: skip
        error = {"column": "accuracy", "scale": -1, "offset": 1, "worst": 0.75}
        plain = {
            "space": space, "data": None, "objectives": ["valid_error", "num_macs"],
            "evaluator": {"use": "evonas.workers.tabular:Tabular", "metrics": {"valid_error": error}}, **changes,
        }  # fmt: skip
        (folder / "experiment.yaml").write_text(yaml.safe_dump(plain))
        return folder / "experiment.yaml"

    def test_an_experiment_on_a_table_holds_its_networks_under_its_names(self, tmp_path: Path) -> None:
        found = measurements(self.experiment(tmp_path))
        raw = rows_of(measurements(tmp_path / "nets.csv", Columns(genes=["kernel", "op", "se"])), "accuracy")
        errors = rows_of(found, "valid_error")
        assert errors == pytest.approx({genome: 1 - accuracy for genome, accuracy in raw.items()})
        assert (found.target, found.declared["valid_error"].worst) == ("valid_error", 0.75)
        assert list(found.space.costs(found.genomes[0])) == ["num_macs"]

    def test_its_values_may_be_replaced(self, tmp_path: Path) -> None:
        found = measurements(self.experiment(tmp_path), overrides=["evaluator.metrics.valid_error.scale=-0.5"])
        assert found.column("valid_error").max() < 0.75

    def test_one_that_has_to_measure_is_to_be_run_first(self, tmp_path: Path) -> None:
        import yaml

        (tmp_path / "formula.yaml").write_text(yaml.safe_dump(dict(FORMULA)))
        with pytest.raises(ConfigError, match=r"FormulaEvaluator measures no network for nothing: run .*formula\.yaml"):
            measurements(tmp_path / "formula.yaml")
