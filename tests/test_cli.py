"""The command line teaches, answers fast, and shows what is there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from commands import environment, evonas, start, write_experiment
from loopback import free_port

from evonas import __version__, catalogue


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, tracked in the embedded store."""
    folder = tmp_path_factory.mktemp("finished")
    experiment = write_experiment(folder, evaluations=24, tracking={"use": "evonas.tracking.mlflow:MLflow"})
    done = evonas("run", experiment, "--run", "runs/one", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert evonas("sync", "runs/one", cwd=folder).returncode == 0, "what MLflow had no time for"
    return folder


def test_version_and_help(tmp_path: Path) -> None:
    assert evonas("--version", cwd=tmp_path).stdout == f"evonas {__version__}\n"
    text = evonas("--help", cwd=tmp_path).stdout
    commands = ["run", "resume", "front", "list", "check", "ui", "sync", "submit", "status", "logs", "stop"]
    assert not [word for word in commands if f"│ {word} " not in text]
    assert "evonas check experiments/quickstart.yaml" in text


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list", "--help"], ["--version"]])
def test_help_waits_for_no_framework(words: list[str]) -> None:
    heavy = {
        "torch", "mlflow", "ray", "pymoo", "numpy", "scipy", "sklearn", "plotly", "matplotlib", "pandas",
        "pyarrow",
    }  # fmt: skip
    code = (
        f"import sys, evonas.cli; evonas.cli.app({words}, standalone_mode=False); "
        f"print('loaded:', sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_the_driver_of_a_search_loads_neither_torch_nor_sklearn(tmp_path: Path) -> None:
    """What decides that start-up is quick: spaces and evaluators are built in the driver, networks on workers."""
    quickstart = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"
    heavy = {"torch", "sklearn", "matplotlib", "mlflow"}
    code = (
        "import sys; from pathlib import Path; from evonas import config, compose; "
        f"compose.prepare(config.load(Path({str(quickstart)!r}))); print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_list_shows_all_that_ships(tmp_path: Path) -> None:
    text = evonas("list", cwd=tmp_path).stdout
    for name in ("cell201:Cell201", "datasets:digits", "datasets:arrays", "trained:Trained", "pymoo_nsga2:NSGA2"):
        assert name in text, text
    for name in ("cell201_supernet:Cell201Supernet", "single_path:SinglePath", "sandwich:Sandwich", "MLflowTraining"):
        assert name in text, text
    for name in ("pymoo_steady_state:SteadyStateNSGA2", "aging_evolution:AgingEvolution"):
        assert name in text, text
    for name in ("random_search:RandomSearch", "ray_pool:RayPool", "local_pool:LocalPool", "mlflow:MLflow"):
        assert name in text, text


def test_everything_listed_explains_its_options() -> None:
    entries = catalogue.entries()
    assert {entry.key for entry in entries} == set(catalogue.kinds())
    for entry in entries:
        assert entry.summary.endswith((".", ":")), entry
        assert catalogue.options(entry.component).row_count == len(entry.component.parameters())


def test_options_are_explained_as_a_file_says_them(tmp_path: Path) -> None:
    text = evonas("list", "MOASHA", cwd=tmp_path).stdout
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "random | evolution | model" in rows["proposals"]
    assert rows["deterministic"].split() == ["deterministic", "bool", "true"]
    assert rows["lag"].split() == ["lag", "int", "|", "null", "null"]


def test_front_prints_json_that_says_how_it_was_obtained(finished: Path) -> None:
    result = json.loads(evonas("front", "--json", cwd=finished).stdout)
    assert result == json.loads((finished / "runs" / "one" / "front.json").read_text())
    assert result["counts"]["evaluated"] == 24
    assert {"front", "gates", "hypervolume", "seed", "versions", "front_hash"} <= set(result)
    assert sum(member["knee"] for member in result["front"]) == 1
    for name in ("front.html", "front.png", "progress.html", "evaluations.parquet", "experiment.yaml"):
        assert (finished / "runs" / "one" / name).stat().st_size > 0


def test_the_saved_experiment_runs_again_to_the_same_front(finished: Path) -> None:
    done = evonas("run", "runs/one/experiment.yaml", "tracking=null", "--run", "again", cwd=finished)
    assert done.returncode == 0, done.stderr
    again, one = (json.loads((finished / run / "front.json").read_text()) for run in ("again", "runs/one"))
    assert again["evaluations_hash"] == one["evaluations_hash"]


def test_check_rehearses_without_a_trace(tmp_path: Path) -> None:
    experiment = write_experiment(
        tmp_path, data="evonas.workers.datasets:digits", evaluator="evonas.workers.trained:Trained",
        space={"use": "evonas.spaces.cell201:Cell201", "stem_channels": 4, "cells_per_stage": 1},
    )  # fmt: skip
    done = evonas("check", experiment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in ("train   1,079 examples", "15,625 genomes", "lets 9", "rehearsed", "estimate: 60 evaluations"):
        assert said in done.stdout, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]


def test_ui_serves_the_runs_on_loopback(finished: Path) -> None:
    port = free_port()
    server = start("ui", "runs", "--port", port, cwd=finished)
    try:
        url = f"http://127.0.0.1:{port}/health"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.3)
        else:
            raise AssertionError((finished / "output.log").read_text())
    finally:
        server.terminate()
        server.wait(timeout=90)


def test_a_search_is_shown_in_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    done = evonas("run", write_experiment(tmp_path, evaluations=24), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    for said in ("generation 0: 12 of 24", "hypervolume", "turned away", "evonas front"):
        assert said in done.stdout, done.stdout


def test_environment_of_tests_is_a_users() -> None:
    assert not [name for name in environment() if name.startswith(("RAY_", "MLFLOW_"))]
