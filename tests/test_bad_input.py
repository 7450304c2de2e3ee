"""Every mistake of a user gets the rule, the value and the way out, exit code 2, and leaves nothing behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import evonas, write_experiment

from evonas.cli import main

RAY = "evonas.workers.ray_pool:RayPool"
TRAINED = {
    "space": {"use": "evonas.spaces.cell201:Cell201", "stem_channels": 4},
    "evaluator": "evonas.workers.trained:Trained",
}

MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "misspelt key": ({"stratgy": {}}, ["stratgy", "did you mean 'strategy'"]),
    "misspelt option": ({"strategy": {"popultion": 9}}, ["popultion", "did you mean 'population'"]),
    "unknown key of a gate": ({"gates": [{"metric": "params", "at_mots": 9}]}, ["gates.0.at_mots", "'at_most'"]),
    "wrong type": ({"strategy": {"population": "many"}}, ["strategy", "population", "integer", "'many'"]),
    "out of range": ({"evaluations": 0}, ["evaluations", "greater than or equal to 1", "0"]),
    "option out of range": ({"strategy": {"population": 1}}, ["NSGA2: 'population'", "at least 2", "1"]),
    "class that does not exist": (
        {"strategy": "evonas.strategies.pymoo_nsga2:NSGA22"},
        ["NSGA22", "did you mean 'NSGA2'"],
    ),
    "module that does not exist": ({"space": "evonas.spaces.cell2001:Cell201"}, ["cell2001", "did you mean 'cell201'"]),
    "strategy of the wrong kind": ({"strategy": "synthetic:FormulaEvaluator"}, ["FormulaEvaluator", "Strategy"]),
    "pool of the wrong kind": ({"pool": "synthetic:IntegerSpace"}, ["IntegerSpace", "WorkerPool"]),
    "tracker of the wrong kind": ({"tracking": "synthetic:IntegerSpace"}, ["IntegerSpace", "Tracker"]),
    "class of the wrong kind": ({"space": "synthetic:FormulaEvaluator"}, ["FormulaEvaluator"]),
    "objective that is not measured": (
        {"objectives": ["valid_eror", "params"]},
        ["valid_eror", "did you mean 'valid_error'"],
    ),
    "objective on the test split": ({"objectives": ["test_error", "params"]}, ["test_error", "valid_error"]),
    "objective given twice": ({"objectives": ["params", "params"]}, ["params", "twice"]),
    "gate on what is no cost": ({"gates": [{"metric": "valid_error", "at_most": 0.1}]}, ["valid_error", "static cost"]),
    "gate that nothing passes": (
        {"gates": [{"metric": "params", "at_most": 3}]},
        ["params <= 3", "0.0%", "72", "quantile"],
    ),
    "gate without a bound": ({"gates": [{"metric": "params"}]}, ["gates.0", "at_most"]),
    "empty data set": ({**TRAINED, "data": "bad_data:empty"}, ["empty"]),
    "labels out of range": ({**TRAINED, "data": "bad_data:labels_out_of_range"}, ["12", "label"]),
    "data that is no data": ({**TRAINED, "data": "bad_data:not_data"}, ["not_data", "str", "Dataset"]),
    "missing data file": ({**TRAINED, "data": {"use": "evonas.workers.datasets:arrays", "path": "no.npz"}}, ["no.npz"]),
    "missing data folder": (
        {**TRAINED, "data": {"use": "evonas.workers.datasets:fashion_mnist", "folder": "nowhere"}},
        ["nowhere", "folder"],
    ),
    "tracking address that does not answer": (
        {"tracking": {"use": "evonas.tracking.mlflow:MLflow", "uri": "http://127.0.0.1:9"}},
        ["http://127.0.0.1:9", "must_answer=false"],
    ),
    "cluster that does not answer": ({"pool": {"use": RAY, "address": "127.0.0.1:9"}}, ["127.0.0.1:9"]),
    "GPU where there is none": ({"pool": {"use": RAY, "workers": 1, "gpus": 99}}, ["99", "GPU"]),
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process; return exit code and what it says on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object, fails: bool = True) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["evonas", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert bool(stopped.value.code) == fails or not fails
        return stopped.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_an_experiment(mistake: str, command: Any, tmp_path: Path) -> None:
    changes, words = MISTAKES[mistake]
    code, message = command("run", write_experiment(tmp_path, **changes))
    assert code == 2, message
    assert not [word for word in words if word not in message], message
    assert "Traceback" not in message
    assert message.count("\n") < 25, "it fits on a screen"
    assert not list(tmp_path.glob("runs/*")), "no half-written run is left"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "missing.yaml"], ["missing.yaml"]),
        (["check", "experiment.yml"], ["experiment.yml", "did you mean 'experiment.yaml'"]),
        (["run", "experiment.yaml", "seed"], ["seed", "key=value"]),
        (["run", "experiment.yaml", "gates.7.at_most=3"], ["gates.7.at_most=3", "0"]),
        (["front"], ["no run under runs"]),
        (["front", "nowhere"], ["nowhere", "journal.jsonl"]),
        (["resume", "nowhere"], ["nowhere", "journal.jsonl"]),
        (["sync", "nowhere"], ["nowhere"]),
        (["list", "NSGA22"], ["NSGA22", "did you mean 'NSGA2'"]),
        (["ui", "nowhere"], ["nowhere"]),
    ],
)
def test_mistake_on_the_command_line(words: list[str], said: list[str], command: Any, tmp_path: Path) -> None:
    write_experiment(tmp_path)
    code, message = command(*words)
    assert code == 2, message
    assert not [word for word in said if word not in message], message


def test_file_that_is_not_yaml(command: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("gates: [{metric: params")
    code, message = command("run", "broken.yaml")
    assert (code, "broken.yaml" in message, "line 1" in message) == (2, True, True), message


def test_run_folder_that_exists(tmp_path: Path) -> None:
    experiment = write_experiment(tmp_path, evaluations=12)
    assert evonas("run", experiment, "--run", "run", cwd=tmp_path).returncode == 0
    journal = (tmp_path / "run" / "journal.jsonl").read_bytes()
    for words, said in [
        (["run", experiment, "--run", "run"], "evonas resume run"),
        (["run", experiment, "--run", "run", "seed=1"], "another experiment"),
        (["resume", "run", "seed=1"], "another experiment"),
        (["resume", "run", "strategy.population=7"], "strategy"),
        (["run", experiment, "--run", "."], "is no run of evonas"),
    ]:
        done = evonas(*words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == journal, "and it is as it was"


@pytest.mark.parametrize("key", ["space", "data", "tracking"])
def test_nothing_that_a_run_folder_names_is_executed(key: str, command: Any, tmp_path: Path) -> None:
    assert evonas("run", write_experiment(tmp_path, evaluations=12), "--run", "run", cwd=tmp_path).returncode == 0
    journal = tmp_path / "run" / "journal.jsonl"
    header, rest = journal.read_text().split("\n", 1)
    record = json.loads(header)
    record["config"][key] = {"use": "os:system", "command": "touch executed"}
    journal.write_text(json.dumps(record) + "\n" + rest)
    for words in (["front", "run"], ["resume", "run"], ["sync", "run"]):
        command(*words, fails=False)
    assert not (tmp_path / "executed").exists()


def test_run_folder_in_use(tmp_path: Path, command: Any) -> None:
    from evonas.run_folder import locked

    assert evonas("run", write_experiment(tmp_path, evaluations=12), "--run", "run", cwd=tmp_path).returncode == 0
    with locked(tmp_path / "run"):
        code, message = command("resume", "run")
    assert (code, "in use" in message) == (2, True), message


def test_an_evaluator_that_fails_on_every_candidate_stops_with_its_traceback(tmp_path: Path) -> None:
    done = evonas("run", write_experiment(tmp_path, evaluator="raising:Raising"), cwd=tmp_path)
    assert done.returncode == 1
    assert "looks like a bug" in done.stderr
    assert "no layer for" in done.stderr
