"""From a run to a predictor, from that to a search on predictions; and every mistake on the way has an answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from commands import FORMULA, Command, in_process, write_experiment
from pyarrow import csv

from evonas import config, search
from evonas.evaluation import Source
from evonas.history import History

LINEAR = ("--predictor", "linear_predictor:Linear")
PREDICTED = {"use": "evonas.workers.predicted:Predicted", "models": ["error.safetensors"]}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process and in an own folder; return exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return in_process(monkeypatch, capsys)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    path, _ = search.run(config.parse({**FORMULA, "runs": str(folder)}), folder / "first")
    return path


@pytest.fixture
def run_folder(searched: Path, tmp_path: Path) -> Path:
    shutil.copytree(searched, tmp_path / "runs" / "first")
    return tmp_path / "runs" / "first"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    kernels, widths = rng.choice([3, 5, 7], 80), rng.choice([16, 24, 32, 48], 80)
    blocks = [["conv", "pool", "skip"][index] for index in rng.integers(3, size=80)]
    columns = {
        "kernel": kernels, "width": widths, "block": blocks, "params": kernels**2 * widths,
        "accuracy": 0.5 + kernels / 100 + widths / 300 + rng.normal(size=80) / 200,
        "latency": np.where(np.arange(80) < 75, widths / 10.0, np.nan), "constant": np.ones(80),
        "rare": np.where(np.arange(80) < 4, rng.random(80), np.nan),
    }  # fmt: skip
    csv.write_csv(pa.table(columns), tmp_path / "nets.csv")
    return tmp_path / "nets.csv"


def test_a_run_becomes_a_predictor_and_that_a_search_which_says_that_it_predicts(
    command: Command, run_folder: Path, tmp_path: Path
) -> None:
    code, out, _ = command("predict", "--predictor", "ridge", "--save", "error.safetensors")
    assert code == 0, "the newest run is meant"
    assert "runs/first: valid_error of 60 networks" in out
    assert "saved as error.safetensors" in out

    experiment = write_experiment(tmp_path, evaluator=PREDICTED, evaluations=120)
    code, out, _ = command("run", experiment, "--run", "second")
    assert code == 0
    table = out[out.index("id  valid_error") :].splitlines()
    assert "source" in table[0]
    assert "predicted" in table[1]
    history = History.read(tmp_path / "second")
    assert {evaluation.source for evaluation in history.evaluations} == {Source.PREDICTED}
    assert {"valid_error", "valid_error_std"} <= history.front.knee.metrics.keys()
    assert "source" not in command("front", run_folder)[1], "where all is measured nothing is said"

    code, out, _ = command("predict", "second", *LINEAR)
    assert code == 0
    assert "120 of 120 rows were predicted themselves, and not measured" in out


def test_a_search_of_recipes_becomes_one_on_predictions(command: Command, tmp_path: Path) -> None:
    recipe = {"noise": [0.0, 0.3]}
    assert (
        command("run", write_experiment(tmp_path, evaluator="synthetic:Noisy", recipe=recipe), "--run", "first")[0] == 0
    )
    assert command("predict", "first", *LINEAR, "--save", "error.safetensors")[0] == 0
    assert command("run", write_experiment(tmp_path, evaluator=PREDICTED, recipe=recipe), "--run", "second")[0] == 0
    history = History.read(tmp_path / "second")
    assert {evaluation.source for evaluation in history.evaluations} == {Source.PREDICTED}
    errors = {evaluation.candidate.genome: evaluation.metrics["valid_error"] for evaluation in history.evaluations}
    means = [np.mean([error for genome, error in errors.items() if genome[4] == noise]) for noise in (0, 1)]
    assert means[0] + 0.1 < means[1], "the recipe is predicted from"
    for other in ({}, {"noise": [0.0, 0.2]}, {**recipe, "epochs": [1, 2]}):
        code, _, err = command("run", write_experiment(tmp_path, evaluator=PREDICTED, recipe=other))
        assert (code, "was fitted on another space" in err) == (2, True), err
    assert "5 genes, and this one has 6 (not in both: epochs)" in err


def test_predictors_are_compared_on_rows_that_they_did_not_learn_from(
    command: Command, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evonas import shipped_predictors

    quick = {name: component for name, component in shipped_predictors.shipped().items() if name in ("ridge", "gp")}
    monkeypatch.setattr(shipped_predictors, "shipped", lambda: quick)
    code, out, _ = command("predict", run_folder, *LINEAR, "--compare", "--rows", 30)
    assert code == 0
    assert "30 networks, scored on 30 others too" in out
    rows = [line.split() for line in out.splitlines()]
    for name in ("Linear", "ridge", "gp"):
        position = next(number for number, row in enumerate(rows) if row[:1] == [name])
        assert (rows[position][1], rows[position + 1][0]) == ("folds", "others")
        assert 0 < float(rows[position][2]) <= 1


def test_a_predictor_whose_package_is_missing_leaves_the_others_in_the_comparison(
    command: Command, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linear_predictor import Linear

    from evonas import shipped_predictors
    from evonas.component import Component
    from evonas.errors import ComponentError

    def fit(self: Linear, *given: object) -> None:
        raise ComponentError("trees need a package: pip install 'evonas[predictors]'")

    monkeypatch.setattr(Linear, "fit", fit)
    monkeypatch.setattr(shipped_predictors, "shipped", lambda: {"trees": Component("linear_predictor:Linear"),
                                                     "ridge": Component("evonas.predictors.ridge:Ridge")})  # fmt: skip
    code, out, _ = command("predict", run_folder, "--predictor", "ridge", "--compare", "--json")
    assert code == 0
    assert "evonas[predictors]" in json.loads(out)["predictors"]["trees"]["error"]
    assert "evonas[predictors]" in "".join(
        command("predict", run_folder, "--predictor", "ridge", "--compare")[1].split()
    )
    code, _, err = command("predict", run_folder, *LINEAR)
    assert (code, "evonas[predictors]" in err) == (2, True)


def test_json_holds_all_scores_and_nothing_else(command: Command, table: Path) -> None:
    code, out, _ = command("predict", table, *LINEAR, "--target", "accuracy", "--rows", 15, "--json",
                           "predictor.shrink=0.01")  # fmt: skip
    assert code == 0
    said = json.loads(out)
    assert said["target"]["name"] == "accuracy"
    assert said["target"]["maximize"] is True
    assert (said["training_rows"], said["training_rows"] + said["other_rows"]) == (15, 33)
    assert "genes: kernel, width, block" in said["notes"]
    scored = said["predictors"]["linear_predictor:Linear"]
    assert scored["predictor"] == {"use": "linear_predictor:Linear", "shrink": 0.01}
    assert scored["held_out"]["rows"] == 18
    assert scored["held_out"]["kendall_tau"] > 0.6
    assert set(scored["cross_validated"]["inside"]) == {"50", "80", "95"}


def test_options_of_the_predictor_may_be_all_that_is_said(command: Command, run_folder: Path) -> None:
    code, out, _ = command("predict", "predictor.shrink=0.5", *LINEAR, "--json")
    assert code == 0
    said = json.loads(out)
    assert said["source"] == "runs/first", "the newest run is meant"
    assert said["predictors"]["linear_predictor:Linear"]["predictor"]["shrink"] == 0.5


def test_genes_that_are_codes_are_no_numbers(command: Command, table: Path) -> None:
    words = ("predict", table, *LINEAR, "--target", "accuracy", "--json")
    plain, coded = (json.loads(command(*words, *more)[1]) for more in ((), ("--categorical", "kernel")))
    assert "taken as ordered numbers: kernel, width; name those that are codes with --categorical" in plain["notes"]
    assert (plain["numbers"], coded["numbers"]) == (["kernel", "width", "params"], ["width", "params"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "nowhere"], ["nowhere", "no run folder"]),
        (["predict", "nets.csv"], ["--target", "accuracy, latency, rare"]),
        (["predict", "net.csv"], ["net.csv", "did you mean 'nets.csv'"]),
        (["predict", "nets.csv", "--target", "acuracy"], ["acuracy", "did you mean 'accuracy'"]),
        (["predict", "nets.csv", "--target", "block"], ["'block' must hold numbers", "row 1"]),
        (["predict", "nets.csv", "--target", "constant"], ["'constant' has the same value in all"]),
        (["predict", "nets.csv", "--target", "accuracy", "--with", "constant"], ["'constant' has the same value"]),
        (["predict", "nets.csv", "--target", "accuracy", "--with", "latncy"], ["latncy", "did you mean 'latency'"]),
        (["predict", "nets.csv", "--target", "rare"], ["rare", "needs 10 or more", "measure more"]),
        (["predict", "nets.csv", "--target", "accuracy", "--rows", "9"], ["'rows' must be 10 to 33", "is 9"]),
        (["predict", "nets.csv", "--target", "accuracy", "--rows", "99"], ["'rows' must be 10 to 33", "is 99"]),
        (["predict", "nets.csv", "--target", "accuracy", "--genes", "a,,b"], ["commas", "a,,b"]),
        (["predict", "nets.csv", "--target", "accuracy", "--genes", "kernel,wdth"], ["wdth", "did you mean 'width'"]),
        (["predict", "nets.csv", "--target", "accuracy", "--genes", "kernel,accuracy"], ["gene and measured"]),
        (["predict", "nets.csv", "--target", "accuracy", "seed=3"], ["seed=3", "predictor.KEY=VALUE"]),
        (["predict", "seed=3"], ["seed=3", "runs/first", "predictor.KEY=VALUE"]),
        (["predict", "predictor.shrnk=1"], ["shrnk", "did you mean 'shrink'"]),
        (["predict", "nets.csv", "--genes", "kernel,accuracy,latency,rare"], ["--target: kernel, width, block"]),
        (["predict", "runs/first", "--predictor", "rigde"], ["rigde", "did you mean 'ridge'"]),
        (["predict", "runs/first", "--predictor", "synthetic:IntegerSpace"], ["IntegerSpace", "Predictor"]),
        (["predict", "runs/first", *LINEAR, "predictor.shrnk=1"], ["shrnk", "did you mean 'shrink'"]),
        (["predict", "runs/first", *LINEAR, "--target", "params"], ["'params' is a static cost"]),
        (["predict", "runs/first", *LINEAR, "--genes", "a"], ["is said of a table"]),
        (["predict", "runs/first", *LINEAR, "--save", "model.pkl"], ["FILE.safetensors", "model.pkl"]),
        (["predict", "runs/first", *LINEAR, "--save", "nets.csv/x.safetensors"], ["cannot be written"]),
    ],
)  # fmt: skip
def test_mistakes(words: list[str], said: list[str], command: Command, run_folder: Path, table: Path) -> None:
    if "--predictor" not in words:
        words = [*words, *LINEAR]
    code, _, err = command(*words)
    assert code == 2, err
    assert not [word for word in said if word not in err], err
    assert "Traceback" not in err
    assert not list(table.parent.rglob("*.safetensors"))


def test_rows_that_say_nothing_of_the_target_are_left_out_and_that_is_said(command: Command, table: Path) -> None:
    text = table.read_text().splitlines()
    text[5] = ",".join([*text[5].split(",")[:4], "", *text[5].split(",")[5:]])
    table.write_text("\n".join(text) + "\n")
    code, out, _ = command("predict", table, *LINEAR, "--target", "accuracy")
    assert (code, "1 of 33 rows are left out: no finite number there" in out) == (0, True)


@pytest.mark.parametrize(
    ("breakage", "said"),
    [
        (lambda whole: whole[:-9], "is damaged"),
        (lambda whole: whole.replace(b"valid_error", b"valid_erorr"), "checksum"),
        (lambda whole: b"not a predictor", "no safetensors file"),
    ],
)
def test_a_search_refuses_a_predictor_that_is_damaged(
    breakage: Callable[[bytes], bytes], said: str, command: Command, run_folder: Path, tmp_path: Path
) -> None:
    assert command("predict", *LINEAR, "--save", "error.safetensors")[0] == 0
    file = tmp_path / "error.safetensors"
    file.write_bytes(breakage(file.read_bytes()))
    code, _, err = command("run", write_experiment(tmp_path, evaluator=PREDICTED), "--run", "second")
    assert (code, said in err, "fit the predictor again" in err) == (2, True, True), err
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": "evonas.spaces.cell201:Cell201"}, "was fitted on another space"),
        ({"evaluator": {**PREDICTED, "models": ["eror.safetensors"]}}, "did you mean 'error.safetensors'"),
        ({"evaluator": {**PREDICTED, "models": []}}, "'models' is empty"),
        ({"objectives": ["throughput", "params"]}, "neither measured by evonas.workers.predicted:Predicted"),
    ],
)
def test_a_search_refuses_a_predictor_of_something_else(
    changes: dict[str, Any], said: str, command: Command, run_folder: Path, tmp_path: Path
) -> None:
    assert command("predict", *LINEAR, "--save", "error.safetensors")[0] == 0
    code, _, err = command("run", write_experiment(tmp_path, **{"evaluator": PREDICTED, **changes}))
    assert (code, said in err) == (2, True), err


def test_a_search_is_resumed_with_the_predictor_that_it_began_with(
    command: Command, run_folder: Path, tmp_path: Path
) -> None:
    assert command("predict", *LINEAR, "--save", "error.safetensors")[0] == 0
    assert command("run", write_experiment(tmp_path, evaluator=PREDICTED, evaluations=24), "--run", "second")[0] == 0
    assert command("resume", "second", "evaluations=36")[0] == 0
    assert command("predict", run_folder, *LINEAR, "--rows", 30, "--save", "error.safetensors")[0] == 0
    code, _, err = command("resume", "second", "evaluations=48")
    assert code == 2, err
    assert "error.safetensors" in err or "evaluator" in err
