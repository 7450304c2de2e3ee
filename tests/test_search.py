"""Kill and resume, on any number of workers: the same front and the same evaluations."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import evonas, start, write_experiment

from evonas import config, search
from evonas.errors import RunFolderError
from evonas.history import History
from evonas.pareto import digest

SLOW = "slow:SlowFormula"


def facts(run: Path) -> tuple[str, str, dict[str, int], int]:
    """What must not depend on kills and workers: the front, the evaluations, the gate counts, how many were asked."""
    history = History.read(run)
    return history.front.digest(), digest(history.evaluations), dict(history.turned_away), len(history.candidates)


def wait_for_outcomes(run: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Return when the journal holds `count` outcomes."""
    journal = run / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if journal.exists() and journal.read_bytes().count(b'"event":"finished"') >= count:
            return
        if ended:
            raise AssertionError(f"the search ended before {count} outcomes: {(run.parent / 'output.log').read_text()}")
        time.sleep(0.01)
    raise AssertionError(f"no {count} outcomes within two minutes: {(run.parent / 'output.log').read_text()}")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, dict[str, int], int]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = evonas("run", write_experiment(folder), "--run", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return facts(folder / "run")


@pytest.mark.parametrize("pool", ["evonas.workers.local_pool:LocalPool", "evonas.workers.ray_pool:RayPool"])
def test_killed_and_resumed_search_equals_the_uninterrupted(
    pool: str, uninterrupted: tuple[str, str, dict[str, int], int], tmp_path: Path
) -> None:
    experiment = write_experiment(tmp_path, pool=pool, evaluator=SLOW)
    run, moments = tmp_path / "run", random.Random(pool)
    process = start("run", experiment, "--run", "run", cwd=tmp_path)
    kills = [moments.randint(1, 8), moments.randint(9, 30), moments.randint(31, 55)]
    for count in kills:
        wait_for_outcomes(run, count, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start("resume", "run", cwd=tmp_path)
    assert process.wait(timeout=120) == 0, (tmp_path / "output.log").read_text()
    assert facts(run) == uninterrupted


def test_resuming_evaluates_nothing_twice(tmp_path: Path) -> None:
    experiment = write_experiment(tmp_path, evaluator=SLOW)
    process = start("run", experiment, "--run", "run", cwd=tmp_path)
    wait_for_outcomes(tmp_path / "run", 20, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(History.read(tmp_path / "run").outcomes)
    done = evonas("resume", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    evaluated = [json.loads(line) for line in (tmp_path / "measured.jsonl").read_text().splitlines()]
    assert len(evaluated) <= 60 + 1, "at most the one under way at the kill is measured again"
    assert len(evaluated) - 60 <= 1
    assert finished >= 20


def test_a_killed_search_with_a_predictor_resumes_to_the_same_end(tmp_path: Path) -> None:
    predicting = {
        "use": "evonas.strategies.expected_hypervolume:ExpectedHypervolume", "initial": 10, "batch": 4, "lag": 2,
        "predictor": {"use": "evonas.predictors.ridge:Ridge"},
    }  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    assert evonas("run", write_experiment(whole, strategy=predicting), "--run", "run", cwd=whole).returncode == 0
    process = start("run", write_experiment(parts, strategy=predicting, evaluator=SLOW), "--run", "run", cwd=parts)
    wait_for_outcomes(parts / "run", 25, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = evonas("resume", "run", cwd=parts)
    assert done.returncode == 0, done.stderr
    assert facts(parts / "run") == facts(whole / "run")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_front_is_the_same_on_any_number_of_workers(
    workers: int, uninterrupted: tuple[str, str, dict[str, int], int], tmp_path: Path
) -> None:
    pool = {"use": "evonas.workers.ray_pool:RayPool", "workers": workers}
    done = evonas("run", write_experiment(tmp_path, pool=pool), "--run", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert facts(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("pool", ["evonas.workers.local_pool:LocalPool", "evonas.workers.ray_pool:RayPool"])
def test_an_interrupted_search_ends_cleanly_and_says_how_to_resume(
    pool: str, number: signal.Signals, tmp_path: Path
) -> None:
    experiment = write_experiment(tmp_path, evaluator={"use": SLOW, "pause": 0.3}, pool=pool)
    process = start("run", experiment, "--run", "run", cwd=tmp_path)
    wait_for_outcomes(tmp_path / "run", 5, process)
    process.send_signal(number)
    assert process.wait(timeout=90) == 130
    output = (tmp_path / "output.log").read_text()
    assert "evonas resume run" in output
    assert "Traceback" not in output


def test_data_is_loaded_once_by_the_driver_and_workers_train_on_what_it_has_loaded(tmp_path: Path) -> None:
    experiment = write_experiment(
        tmp_path, evaluations=8, strategy={"population": 8}, gates=[], data="counted:blobs",
        space={"use": "evonas.spaces.cell201:Cell201", "stem_channels": 2, "cells_per_stage": 1, "stages": 1},
        evaluator={"use": "evonas.workers.trained:Trained", "epochs": 1},
        pool={"use": "evonas.workers.ray_pool:RayPool", "workers": 2},
    )  # fmt: skip
    done = evonas("run", experiment, "--run", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "loads").read_text().split()) == 1
    assert len(History.read(tmp_path / "run").evaluations) == 8
    local = evonas("run", experiment, "pool={use: evonas.workers.local_pool:LocalPool}", "--run", "local", cwd=tmp_path)
    assert local.returncode == 0, local.stderr
    assert digest(History.read(tmp_path / "local").evaluations) == digest(History.read(tmp_path / "run").evaluations)


def test_a_finished_search_can_be_prolonged(tmp_path: Path) -> None:
    assert evonas("run", write_experiment(tmp_path), "--run", "run", cwd=tmp_path).returncode == 0
    before = History.read(tmp_path / "run").evaluations
    done = evonas("resume", "run", "evaluations=72", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = History.read(tmp_path / "run").evaluations
    assert len(after) == 72
    assert digest(after[:60]) == digest(before)


def test_what_a_search_was_resumed_with_holds_until_it_is_changed_again(tmp_path: Path) -> None:
    """Prolonged, interrupted and resumed: it goes on to the new length, with nothing said a second time."""
    assert evonas("run", write_experiment(tmp_path, evaluator=SLOW), "--run", "run", cwd=tmp_path).returncode == 0
    process = start("resume", "run", "evaluations=96", cwd=tmp_path)
    wait_for_outcomes(tmp_path / "run", 70, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert evonas("resume", "run", cwd=tmp_path).returncode == 0
    assert len(History.read(tmp_path / "run").outcomes) == 96
    shorter = evonas("resume", "run", "evaluations=50", cwd=tmp_path)
    assert (shorter.returncode, "cannot be less" in shorter.stderr) == (2, True), shorter.stderr


def test_resuming_a_finished_search_changes_nothing(tmp_path: Path) -> None:
    assert evonas("run", write_experiment(tmp_path), "--run", "run", cwd=tmp_path).returncode == 0
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    assert evonas("resume", "run", cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_a_run_that_is_started_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """What jobs do that are submitted again: 'run --resume' begins, continues or prolongs."""
    again = ("--run", "run", "--resume")
    assert evonas("run", write_experiment(tmp_path), *again, cwd=tmp_path).returncode == 0
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    assert evonas("run", "experiment.yaml", *again, cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before
    longer = evonas("run", "experiment.yaml", "evaluations=72", *again, cwd=tmp_path)
    assert (longer.returncode, "resumed at 60 of 72" in longer.stdout) == (0, True), longer.stdout + longer.stderr
    assert len(History.read(tmp_path / "run").evaluations) == 72
    for said, words in {
        "--resume needs the run folder": ("experiment.yaml", "--resume"),
        "holds this very search: continue it with 'evonas resume run'": ("experiment.yaml", "--run", "run"),
    }.items():
        done = evonas("run", *words, cwd=tmp_path)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    with pytest.raises(RunFolderError, match="has 72 candidates: 'evaluations' cannot be less"):
        search.run_or_resume(config.load(tmp_path / "experiment.yaml"), tmp_path / "run")
    with pytest.raises(RunFolderError, match="belongs to another experiment"):
        search.run_or_resume(config.load(tmp_path / "experiment.yaml", ["seed=1"]), tmp_path / "run")


def test_a_run_from_before_an_option_was_added_can_be_resumed(
    uninterrupted: tuple[str, str, dict[str, int], int], tmp_path: Path
) -> None:
    """Its journal does not say the option, and its hash is of that: the default is what it had."""
    experiment = config.load(write_experiment(tmp_path))
    run, _ = search.run(experiment, tmp_path / "run")
    header, *lines = (run / "journal.jsonl").read_text().splitlines(keepends=True)
    said = json.loads(header)
    del said["config"]["strategy"]["crossover_probability"]
    said["config_hash"] = "0123456789abcdef"
    (run / "journal.jsonl").write_text("".join([json.dumps(said) + "\n", *lines[:30]]))
    with pytest.raises(RunFolderError, match="belongs to another experiment: strategy would change"):
        search.resume(run, ["strategy.crossover_probability=0.8"])
    assert len(History.read(run).outcomes) < 60
    search.run_or_resume(experiment, run)
    assert facts(run) == uninterrupted


@pytest.mark.parametrize(("lag", "said"), [(3, True), (4, False)])
def test_workers_that_a_lag_leaves_idle_are_told(lag: int, said: bool, tmp_path: Path) -> None:
    experiment = write_experiment(
        tmp_path, evaluations=20,
        strategy={"use": "evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", "population": 6, "lag": lag},
        pool={"use": "evonas.workers.simulated_pool:SimulatedPool", "workers": 4},
    )  # fmt: skip
    done = evonas("run", experiment, "--run", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("3 of 4 workers can be used" in done.stdout + done.stderr) == said


def test_a_job_that_starts_again_continues_also_where_the_space_follows_the_data(tmp_path: Path) -> None:
    def told(evaluations: int) -> config.Experiment:
        plain = {
            "space": {"stem_channels": 2, "cells_per_stage": 1, "stages": 1},
            "evaluator": {"epochs": 1},
            "strategy": {"population": 2},
            "pool": {"use": "evonas.workers.local_pool:LocalPool"},
            "tracking": None,
            "evaluations": evaluations,
        }
        return config.parse(plain)

    first = search.run_or_resume(told(2), tmp_path / "run")
    again = search.run_or_resume(told(4), tmp_path / "run")
    assert len(again.evaluations) == 4
    assert list(again.outcomes)[:2] == list(first.outcomes)


def test_a_run_that_is_started_again_needs_its_warm_start_no_more(tmp_path: Path) -> None:
    earlier, _ = search.run(config.load(write_experiment(tmp_path, evaluations=12)), tmp_path / "earlier")
    experiment = config.load(write_experiment(tmp_path, evaluations=12, warm_start=str(earlier)))
    first = search.run_or_resume(experiment, tmp_path / "run")
    shutil.rmtree(earlier)
    again = search.run_or_resume(experiment.model_copy(update={"evaluations": 14}), tmp_path / "run")
    assert len(again.outcomes) == 14
    assert digest(again.evaluations[:12]) == digest(first.evaluations)


def test_a_list_that_was_exhausted_may_grow(tmp_path: Path) -> None:
    experiment = config.load(write_experiment(tmp_path))
    small, other, refused = (0, 0, 0, 0), (1, 1, 1, 1), (5, 5, 3, 0)
    first = search.evaluate_listed(experiment, [small, refused], tmp_path / "run")
    assert (first.closed, len(first.candidates)) == ("exhausted", 1)
    longer = search.evaluate_listed(experiment, [small, refused, other], tmp_path / "run")
    assert [evaluation.candidate.genome for evaluation in longer.evaluations] == [small, other]
    journal = tmp_path / "run" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"versions":{"evonas":"', '"versions":{"evonas":"0.', 1))
    with pytest.raises(RunFolderError, match=r"install those, or remove .*run and evaluate its networks anew"):
        search.evaluate_listed(experiment, [small], tmp_path / "run")
