"""evonas audit: what it trains, that it trains nothing twice, what it says, and an answer to every mistake."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import FORMULA, Command, evonas, in_process, start
from mlflow import MlflowClient

from evonas import config, search
from evonas.evaluation import Source
from evonas.history import JOURNAL, History
from evonas.tracking.mlflow_links import Place
from evonas.tracking.mlflow_store import Store

SCORED = {**FORMULA, "evaluator": "cheap:Score", "objectives": ["score", "params"], "gates": []}
BY_FORMULA = "evaluator.use=synthetic:FormulaEvaluator"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process and in an own folder; return exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return in_process(monkeypatch, capsys)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by the formula, and one by a cheap score."""
    folder = tmp_path_factory.mktemp("runs")
    for name, experiment in (("formula", FORMULA), ("scored", SCORED)):
        search.run(config.parse(experiment), folder / name)
    return folder


@pytest.fixture
def run(runs: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of a run in the current folder."""

    def copied(name: str) -> Path:
        shutil.copytree(runs / name, tmp_path / "runs" / name)
        return Path("runs", name)

    return copied


def trained(path: Path) -> dict[Path, int]:
    return {journal: len(History.read(journal.parent).outcomes) for journal in path.glob(f"audit/*/{JOURNAL}")}


def test_a_cheap_score_is_compared_with_the_truth_whichever_way_is_better(
    command: Command, run: Callable[[str], Path]
) -> None:
    path = run("scored")
    code, out, _ = command("audit", BY_FORMULA, "--repeats", 3)
    assert code == 0, "the newest run is meant"
    assert "score is compared with valid_error" in out
    assert "zero_cost" in out
    assert "on the front" in out
    said = json.loads((path / "audit.json").read_text())
    assert said["evaluator"]["use"] == "synthetic:FormulaEvaluator"
    assert said["seed"] == 1
    sample = next(trust for trust in said["trusts"] if trust["among"] == "sample")
    assert (sample["source"], sample["metric"], sample["against"]) == ("zero_cost", "score", "valid_error")
    assert sample["agreement"]["kendall_tau"]["low"] > 0.3, "more is better there, and less here"
    assert sample["agreement"]["networks"] == 20
    assert all(0 <= member["probability"] <= 1 for member in said["members"])
    low, value, high = (said["chosen_interval"][key] for key in ("low", "value", "high"))
    assert low <= value <= high
    assert "zero_cost" in (path / "audit.txt").read_text()
    assert len(trained(path)) == 3, "a folder a seed"


def test_what_is_trained_is_not_trained_again_and_an_audit_may_be_prolonged(
    command: Command, run: Callable[[str], Path]
) -> None:
    path = run("formula")
    first = json.loads(command("audit", path, "--budget", 6, "--random", 5, "--json")[1])
    (journal,) = trained(path)
    before = journal.read_bytes()
    again = json.loads(command("audit", path, "--budget", 6, "--random", 5, "--json")[1])
    assert journal.read_bytes() == before
    assert {**first, "created": ""} == {**again, "created": ""}
    longer = json.loads(command("audit", path, "--budget", 20, "--random", 10, "--json")[1])
    assert journal.read_bytes().startswith(before)
    assert trained(path)[journal] == longer["networks"]["trained"] > first["networks"]["trained"]
    command("audit", path, "--budget", 6, "seed=7", "--json")
    assert len(trained(path)) == 2, "another seed is another training"


def test_front_and_budget_and_random_are_what_is_trained(command: Command, run: Callable[[str], Path]) -> None:
    path = run("formula")
    said = json.loads(command("audit", path, "--budget", 8, "--random", 0, "--json")[1])
    history = History.read(path)
    (folder,) = (journal.parent for journal in trained(path))
    genomes = {candidate.genome for candidate in History.read(folder).candidates.values()}
    front = {member.candidate.genome for member in history.front.members}
    assert front <= genomes <= {candidate.genome for candidate in history.candidates.values()}
    assert len(genomes - front) <= 8
    assert said["networks"]["front"] == len(front)
    assert said["same_size"] is None
    assert [member["id"] for member in said["members"]] == [m.candidate.id for m in history.front.members]
    for member in said["members"]:
        (found,) = [e for e in History.read(folder).evaluations if list(e.candidate.genome) == member["genome"]]
        assert member["trained"]["valid_error"] == found.metrics["valid_error"]


def test_killed_audit_loses_nothing_that_was_finished(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "formula", tmp_path / "run")
    words = ("audit", "run", "evaluator.use=slow:SlowFormula", "pause=0.03", "--budget", "20", "--json")
    process = start(*words, cwd=tmp_path)
    deadline = time.monotonic() + 120
    measured = tmp_path / "measured.jsonl"
    while not measured.exists() or len(measured.read_text().splitlines()) < 8:
        assert time.monotonic() < deadline, (tmp_path / "output.log").read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (journal,) = trained(tmp_path / "run")
    kept = journal.read_bytes()
    done = evonas(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    genomes = [tuple(json.loads(line)["genome"]) for line in measured.read_text().splitlines()]
    assert len(genomes) - len(set(genomes)) <= 1, "only what was being trained is trained again"
    assert journal.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert json.loads(done.stdout)["networks"]["trained"] == len(set(genomes))


def test_table_is_looked_up_for_all_networks(command: Command, tmp_path: Path) -> None:
    rows = [(kernel, width, 0.9 - kernel / 20 - width / 200, 0.8 - kernel / 25 - width / 150)
            for kernel in (1, 3, 5, 7) for width in range(8, 72, 8)]  # fmt: skip
    lines = ["kernel,width,params,early,final", *(f"{k},{w},{k * k * w},{a},{b}" for k, w, a, b in rows)]
    (tmp_path / "nets.csv").write_text("\n".join(lines) + "\n")
    table: dict[str, Any] = {
        **FORMULA, "space": {"use": "evonas.spaces.table:Table", "file": "nets.csv", "genes": ["kernel", "width"],
        "costs": ["params"]}, "evaluator": {"use": "evonas.workers.tabular:Tabular", "metrics": ["early", "final"]},
        "objectives": ["early", "params"], "evaluations": 20, "gates": [], "strategy": {"population": 5},
    }  # fmt: skip
    path, _ = search.run(config.parse(table), tmp_path / "runs" / "table")
    said = json.loads(command("audit", path, "--against", "final", "--json")[1])
    sample = said["trusts"][0]
    assert (sample["source"], sample["metric"], sample["against"]) == (Source.TABULAR, "early", "final")
    assert sample["agreement"]["networks"] == 20, "all that were evaluated"
    assert said["networks"]["random"] == 20
    assert said["notes"][0] == "early is compared with final"
    assert sample["agreement"]["kendall_tau"]["value"] < 1.0


def test_networks_are_trained_by_the_runs_recipe_where_its_values_were_cheap(command: Command, tmp_path: Path) -> None:
    tiny = {
        **SCORED, "space": "tiny_space:TinySpace", "data": {"use": "evonas.workers.datasets:digits", "train_size": 64},
        "evaluations": 12, "strategy": {"population": 6},
    }  # fmt: skip
    path, _ = search.run(config.parse(tiny), tmp_path / "runs" / "tiny")
    code, _, err = command("audit", path, "epochs=1", "--budget", 4, "--random", 2, "--json")
    assert code == 0, err
    said = json.loads((path / "audit.json").read_text())
    assert said["evaluator"]["use"] == "evonas.workers.trained:Trained"
    assert said["evaluator"]["epochs"] == 1
    assert all(member["trained"]["valid_error"] <= 1 for member in said["members"])
    assert said["improvement"] is not None


def test_what_ended_or_turned_away_in_the_run_does_not_do_so_in_its_audit(
    command: Command, run: Callable[[str], Path], tmp_path: Path
) -> None:
    on_workers = {"metric": "score", "at_least": 14.0, "evaluator": "cheap:SeededScore"}
    initial = {"metric": "params", "at_most": 20_000, "applies_to": "initial"}
    experiment = {
        **FORMULA, "gates": [on_workers, initial], "plateau": {"window": 10, "epsilon": 0.9, "confidence": 0.5},
        "warm_start": str(run("formula")), "objectives": ["valid_error", "macs"],
    }  # fmt: skip
    path, history = search.run(config.parse(experiment), tmp_path / "runs" / "gated")
    assert history.closed == "plateau"
    assert history.rejections
    shutil.rmtree(tmp_path / "runs" / "formula")
    said = json.loads(command("audit", path, "--json")[1])
    assert said["networks"]["failed"] == 0
    assert said["networks"]["trained"] > 20 + len(history.front.members)
    assert any("do not pass the gate on score" in note for note in said["notes"])


def test_verdict_goes_to_mlflow_where_the_run_is(command: Command, tmp_path: Path) -> None:
    experiment = {**SCORED, "tracking": {"use": "evonas.tracking.mlflow:MLflow", "children": "none"}}
    path, _ = search.run(config.parse(experiment), tmp_path / "runs" / "tracked")
    code, _, err = command("audit", path, BY_FORMULA, "--json")
    assert (code, "not in MLflow" in err) == (0, False)
    place = Place.read(path)
    assert place is not None
    client = MlflowClient(tracking_uri=Store.of(path.absolute().parent, None).uri)
    parent = client.get_run(place.run_id)
    said = json.loads((path / "audit.json").read_text())["metrics"]
    assert {name: parent.data.metrics[name] for name in said} == said
    assert {"audit.json", "audit.txt"} <= {file.path for file in client.list_artifacts(place.run_id)}
    assert "Audited" in parent.data.tags["mlflow.note.content"]


def test_mlflow_that_does_not_answer_costs_no_audit(command: Command, run: Callable[[str], Path]) -> None:
    path = run("formula")
    journal = path / JOURNAL
    dead = '{"use": "evonas.tracking.mlflow:MLflow", "uri": "http://127.0.0.1:9"}'
    journal.write_text(journal.read_text().replace('"tracking":null', f'"tracking":{dead}', 1))
    code, out, err = command("audit", path, "--budget", 5, "--random", 0, "--json")
    assert code == 0
    assert json.loads(out)["networks"]["trained"] > 0
    assert f"'evonas sync {path}' sends it" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "2"], "'budget' must be 3 or more"),
        (["--random", "-1"], "'random' must be 0 or more"),
        (["--repeats", "0"], "'repeats' must be 1 or more"),
        (["--against", "valid_eror"], "did you mean 'valid_error'?"),
        (["strategy.population=3"], "an audit has the run's strategy"),
        (["objectives=[params]"], "an audit has the run's objectives"),
        (["epochs=1"], "there is no such key"),
        (["evaluator.use=synthetic:Formula"], "did you mean 'FormulaEvaluator'?"),
        (["evaluator.use=evonas.workers.trained:Trained"], "asks for data"),
    ],
)
def test_mistakes_are_answered(words: list[str], said: str, command: Command, run: Callable[[str], Path]) -> None:
    path = run("formula")
    code, _, err = command("audit", path, *words)
    assert code == 2
    assert said in err
    assert not (path / "audit").exists(), "nothing is begun"


def test_no_run_and_nothing_to_audit_are_answered(command: Command, tmp_path: Path) -> None:
    code, _, err = command("audit", "nowhere")
    assert (code, "no run folder" in err) == (2, True)
    exact = {**FORMULA, "objectives": ["params", "macs"], "evaluations": 12}
    search.run(config.parse(exact), tmp_path / "runs" / "exact")
    code, _, err = command("audit")
    assert (code, "static costs, which are exact" in err) == (2, True)
