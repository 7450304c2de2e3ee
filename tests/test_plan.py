"""What a plan says of a search is what the search then takes, as far as it can be known."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import planned
import pytest
from commands import FORMULA, evonas, write_experiment

from evonas import plan, search, simulation
from evonas.compose import prepare
from evonas.config import Experiment, parse
from evonas.errors import ConfigError, RunFolderError
from evonas.forecast import PLAN, Calibration, Forecast, Plan, keep, plan_path, read
from evonas.history import History
from evonas.reports import plan_table
from evonas.stand_in import StandIn

RANDOM = "evonas.strategies.random_search:RandomSearch"
SIMULATED = "evonas.workers.simulated_pool:SimulatedPool"
MINUTES = Calibration(points=((1.0, 60.0),), seconds_fixed=60.0, seconds_per_mac=0.0, sigma=0.0, warm_up_seconds=0.0)


def experiment(folder: Path, **changes: Any) -> Experiment:
    """The formula experiment, whose runs lie in `folder`."""
    return parse({**FORMULA, "runs": str(folder), **changes})


def forecast(folder: Path, workers: int, calibration: Calibration = MINUTES, **changes: Any) -> Forecast:
    """Forecast a search with known durations; `folder` is where the simulation writes."""
    prepared = prepare(experiment(folder, **changes))
    folder.mkdir(exist_ok=True)
    return simulation.simulate(prepared, prepared.header(), calibration, workers, folder)[0]


def rows(path: Path, history: History) -> dict[str, tuple[float, float]]:
    return {row.what: (row.planned, row.actual) for row in plan.compared(path, history)}


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, History]:
    """A planned and finished random search of 60 evaluations, 20 ms each."""
    folder = tmp_path_factory.mktemp("sleepy")
    told = experiment(folder, evaluator="planned:Sleepy", strategy=RANDOM)
    made = plan.make(told)
    path, history = search.run(told)
    return made, path, history


def test_planned_time_is_that_of_the_search(sleepy: tuple[Plan, Path, History]) -> None:
    made, path, history = sleepy
    (own,) = [forecast for forecast in made.forecasts if forecast.workers == made.workers == 1]
    assert 60 * 0.02 <= own.seconds < 10 * history.elapsed
    assert 60 * 0.02 <= history.elapsed < 10 * own.seconds + 30
    assert own.evaluation_seconds >= 0.02
    assert rows(path, history)["seconds of the search"] == (own.seconds, history.elapsed)


def test_a_random_search_turns_away_what_was_planned(sleepy: tuple[Plan, Path, History]) -> None:
    made, path, history = sleepy
    assert history.turned_away.total() > 0
    for forecast in made.forecasts:
        assert forecast.turned_away == dict(history.turned_away)
        assert forecast.drawn == 60 + history.turned_away.total()
    (gate,) = [pair for what, pair in rows(path, history).items() if what.startswith("turned away: params <= ")]
    assert gate[0] == gate[1]


def test_planned_disk_is_that_of_the_run_folder(sleepy: tuple[Plan, Path, History]) -> None:
    made, path, history = sleepy
    assert set(made.disk_bytes) == {"journal", "tables", "plots"}
    expected, actual = rows(path, history)["run folder"]
    assert expected == pytest.approx(actual, rel=0.02)
    assert made.disk_bytes["journal"] == pytest.approx((path / "journal.jsonl").stat().st_size, rel=0.2)


def test_the_embedded_store_of_mlflow_counts_its_runs_and_a_remote_one_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow = {"use": "evonas.tracking.mlflow:MLflow", "must_answer": False}
    options: Mapping[str, Mapping[str, str]] = {
        "all": {}, "front": {"children": "front"}, "none": {"children": "none"}, "remote": {"uri": "http://h:1"}
    }  # fmt: skip
    disk = {
        name: plan.make(experiment(tmp_path, tracking={**mlflow, **option}), [1]).disk_bytes.get("tracking", 0)
        for name, option in options.items()
    }
    assert disk["all"] > disk["front"] > disk["none"] > 9e6, "the plots alone are that large"
    assert disk["all"] - disk["none"] == pytest.approx(60 * 4_800, rel=0.2)
    assert disk["remote"] == 0


def test_more_workers_take_less_time_and_are_less_busy_until_that_is_enough(tmp_path: Path) -> None:
    forecasts = plan.make(experiment(tmp_path, evaluator="planned:Linear", strategy=RANDOM)).forecasts
    counts, seconds, busy = zip(*((f.workers, f.seconds, f.utilisation) for f in forecasts), strict=True)
    assert counts == tuple(2**power for power in range(len(counts)))
    assert seconds == tuple(sorted(seconds, reverse=True))
    assert busy == tuple(sorted(busy, reverse=True))
    assert busy[0] > 0.9
    assert [share < plan.IDLE for share in busy] == [False] * (len(busy) - 1) + [True]


def test_a_generation_keeps_no_more_workers_busy_than_it_has_candidates(tmp_path: Path) -> None:
    seconds = {count: forecast(tmp_path / str(count), count).seconds for count in (1, 4, 12, 24)}
    assert seconds[1] == pytest.approx(60 * 60, rel=0.01)
    assert seconds[4] == pytest.approx(60 * 60 / 4, rel=0.01)
    assert seconds[12] == pytest.approx(5 * 60, rel=0.05)
    assert seconds[24] == pytest.approx(5 * 60, rel=0.05)


def test_gpus_are_held_for_the_whole_search(tmp_path: Path) -> None:
    pool = {"use": "evonas.workers.ray_pool:RayPool", "gpus": 0.5}
    found = forecast(tmp_path / "a", 8, pool=pool)
    assert found.start_seconds > 0
    assert found.worker_hours == pytest.approx(8 * (found.start_seconds + found.seconds) / 3600)
    assert found.gpu_hours == pytest.approx(0.5 * found.worker_hours)
    assert forecast(tmp_path / "b", 8).gpu_hours == 0
    local = forecast(tmp_path / "c", 1, pool={"use": FORMULA["pool"], "device": "cuda:0"})
    assert local.gpu_hours == pytest.approx(local.seconds / 3600) == pytest.approx(1, rel=0.01)


def test_larger_networks_take_longer_and_chance_keeps_the_mean(tmp_path: Path) -> None:
    linear = replace(MINUTES, seconds_per_mac=1e-5)
    exact = forecast(tmp_path / "a", 1, linear, strategy=RANDOM, evaluations=200)
    spread = forecast(tmp_path / "b", 1, replace(linear, sigma=0.5), strategy=RANDOM, evaluations=200)
    assert exact.evaluation_seconds > 80
    assert spread.evaluation_seconds == pytest.approx(exact.evaluation_seconds, rel=0.15)
    assert spread.evaluation_seconds != exact.evaluation_seconds


def test_a_long_search_is_scaled_from_its_first_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"strategy": RANDOM, "evaluations": 360}
    whole = forecast(tmp_path / "whole", 4, replace(MINUTES, sigma=0.3), **changes)
    monkeypatch.setattr(simulation, "SIMULATED", 120)
    scaled = forecast(tmp_path / "scaled", 4, replace(MINUTES, sigma=0.3), **changes)
    assert (whole.simulated, scaled.simulated) == (360, 120)
    assert (whole.evaluated, scaled.evaluated) == (360, 360)
    assert scaled.seconds == pytest.approx(whole.seconds, rel=0.1)
    (planned_count,), (scaled_count,) = whole.turned_away.values(), scaled.turned_away.values()
    assert scaled_count == pytest.approx(planned_count, rel=0.4)
    assert scaled.journal_bytes == pytest.approx(whole.journal_bytes, rel=0.1)
    assert forecast(tmp_path / "many", 80, MINUTES, **changes).simulated == 320, "and some waves of many workers"


def test_a_space_that_is_exhausted_first_ends_the_plan(tmp_path: Path) -> None:
    found = forecast(tmp_path, 4, evaluations=4_000, strategy=RANDOM)
    assert found.evaluated == found.simulated < 432
    assert found.seconds == pytest.approx(found.evaluated * 60 / 4, rel=0.05)


def test_the_stand_in_declares_what_the_evaluator_does_and_keeps_static_costs(tmp_path: Path) -> None:
    bound = {"metric": "throughput", "at_least": 500.0}
    prepared = prepare(experiment(tmp_path, constraints=[bound]))
    stand_in = StandIn(prepared)
    assert (stand_in.source, stand_in.metrics) == (prepared.evaluator.source, prepared.evaluator.metrics)
    rng = np.random.default_rng(0)
    genomes = [prepared.space.sample(rng) for _ in range(300)]
    measured = [stand_in.measure(genome, None) for genome in genomes]
    assert measured == [StandIn(prepared).measure(genome, None) for genome in genomes]
    assert [{name: row[name] for name in ("params", "macs")} for row in measured] == [
        prepared.space.costs(genome) for genome in genomes
    ]
    errors, sizes = ([row[name] for row in measured] for name in ("valid_error", "params"))
    assert 0 <= min(errors) < max(errors) <= 1
    assert np.corrcoef(np.argsort(np.argsort(sizes)), errors)[0, 1] < -0.7
    feasible = np.mean([prepared.goals.feasible(row) for row in measured])
    assert 0.3 < feasible < 0.7, "a bound on what is not known yet lets about half of networks through"


def test_a_number_of_workers_that_is_none_is_refused(tmp_path: Path) -> None:
    for count in (0, -2, 10_001):
        with pytest.raises(ConfigError, match=f"'--workers' must be between 1 and 10,000, and is {count}"):
            plan.make(experiment(tmp_path), [4, count])
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_cannot_be_kept_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("a file")
    with pytest.raises(RunFolderError, match=r"plans.* cannot be kept|cannot be kept at .*plans.*runs=PATH"):
        plan.make(experiment(tmp_path), [1])


def test_a_plan_is_read_as_it_was_kept(tmp_path: Path) -> None:
    told = experiment(tmp_path)
    made = plan.make(told, [1, 3])
    path = plan_path(tmp_path, told.identity(), 60)
    assert read(path, told.identity()) == made
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: text.replace('"workers": 1', '"workers": "one"'),
        lambda text: text.replace('"sigma": 0', '"sigma": -1'),
        lambda text: text.replace('"identity": "', '"identity": "of another '),
    ],
)
def test_a_damaged_plan_is_told_and_ignored(damage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = experiment(tmp_path)
    path = plan_path(tmp_path, told.identity(), 60)
    keep(Plan("formula", told.identity(), 60, 1, MINUTES, (), {}), path)
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    with caplog.at_level(logging.WARNING):
        assert read(path, told.identity()) is None
    assert f"the plan {path} cannot be used" in caplog.text
    assert "'evonas plan' makes a new one" in caplog.text


def test_a_number_of_workers_that_was_not_planned_is_simulated_at_the_end(tmp_path: Path) -> None:
    pool = {"use": SIMULATED, "workers": 4, "median_seconds": 60.0}
    told = experiment(tmp_path, pool=pool)
    made = plan.make(told, [2])
    keep(replace(made, calibration=MINUTES), plan_path(tmp_path, made.identity, 60))
    path, history = search.run(told)
    expected, actual = rows(path, history)["seconds of the search"]
    assert actual == 60 * 60 / 4
    assert expected == pytest.approx(actual, rel=0.02)
    again = read(path / PLAN, made.identity)
    assert again is not None
    assert [forecast.workers for forecast in again.forecasts] == [2, 4], "and kept"


def test_an_interrupted_and_a_prolonged_search_are_compared_too(tmp_path: Path) -> None:
    told = experiment(tmp_path, evaluator="planned:Interrupted")
    plan.make(told, [1])
    planned.Interrupted.armed = True
    with pytest.raises(KeyboardInterrupt):
        search.run(told, tmp_path / "run")
    assert rows(tmp_path / "run", History.read(tmp_path / "run")) == {}, "nothing has ended yet"
    history = search.resume(tmp_path / "run")
    assert rows(tmp_path / "run", history)["evaluated"] == (60, 60)
    history = search.resume(tmp_path / "run", ["evaluations=72"])
    assert rows(tmp_path / "run", history)["evaluated"] == (72, 72)
    (tmp_path / "run" / PLAN).write_text("{")
    assert rows(tmp_path / "run", history) == {}


def test_a_search_without_a_plan_is_compared_with_nothing(tmp_path: Path) -> None:
    told = experiment(tmp_path)
    plan.make(told, [1])
    path, history = search.run(experiment(tmp_path, seed=1, evaluations=12))
    assert not (path / PLAN).exists()
    assert plan.compared(path, history) == []


def test_notes_say_what_the_table_does_not(tmp_path: Path) -> None:
    busy = forecast(tmp_path / "a", 4)
    idle = replace(forecast(tmp_path / "b", 60), simulated=20)
    made = Plan("formula", "id", 60, 4, replace(MINUTES, turned_away=1, load=2.0), (busy, idle), {"journal": 1_500_000})
    assert plan.worthwhile(made) == busy
    assert plan.worthwhile(replace(made, forecasts=(idle,))) is None
    text = "\n".join(plan_table.notes(made, plan.worthwhile(made), 8))
    for said in ("disk: 1.5 MB", "4 workers, the most", "room for 8", "load 2.0 a CPU", "1 of 2 rehearsed", "20 evalu"):
        assert said in text, text


def test_the_command_line_plans_and_a_run_compares(tmp_path: Path) -> None:
    told = write_experiment(tmp_path)
    done = evonas("plan", told, "--workers", 1, "--workers", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in (
        "60 evaluations: an evaluation takes",
        "worker hours",
        "params <= ",
        "disk: ",
        "plots ",
        "invented",
    ):
        assert said in done.stdout, done.stdout
    assert "GPU" not in done.stdout
    assert "simulating 3 workers" in done.stderr
    ran = evonas("run", told, "--run", "runs/one", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for said in ("plan and actual", "seconds of the search", "turned away: params <= "):
        assert said in ran.stdout, ran.stdout
    (compared,) = [line for line in ran.stdout.splitlines() if line.startswith("seconds of the search")]
    assert compared in evonas("front", cwd=tmp_path).stdout


def test_the_command_line_prints_json_and_nothing_else(tmp_path: Path) -> None:
    done = evonas("plan", write_experiment(tmp_path), "evaluations=24", "--workers", 2, "--json", cwd=tmp_path)
    made = json.loads(done.stdout)
    assert (made["evaluations"], [row["workers"] for row in made["forecasts"]]) == (24, [2])
    (kept,) = (tmp_path / "runs" / "plans").iterdir()
    assert json.loads(kept.read_text()) == made


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--workers", "0"], "'--workers' must be between 1"), (["stratgy.population=4"], "did you mean 'strategy'")],
)
def test_bad_input_gets_an_answer(words: list[str], said: str, tmp_path: Path) -> None:
    done = evonas("plan", write_experiment(tmp_path), *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
