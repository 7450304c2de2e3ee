"""`evonas supernet` trains, ends cleanly at Ctrl-C, and says what is wrong before it makes a folder."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import yaml
from commands import evonas, start
from plain_supernet import plain_experiment

from evonas.supernet_folder import WEIGHTS, read_progress


def write(folder: Path, **changes: object) -> Path:
    path = folder / "supernet.yaml"
    path.write_text(yaml.safe_dump(plain_experiment(**changes)))
    return path


def test_ctrl_c_ends_a_training_that_resumes_to_its_end(tmp_path: Path) -> None:
    file = write(tmp_path, recipe={"epochs": 400})
    running = start("supernet", file, "--run", "run", cwd=tmp_path)
    while not read_progress(tmp_path / "run"):
        assert running.poll() is None, (tmp_path / "output.log").read_text()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert running.wait(180) == 130
    said = (tmp_path / "output.log").read_text()
    assert f"evonas supernet {file} --run run --resume" in said
    assert "Traceback" not in said
    kept = len(read_progress(tmp_path / "run"))
    assert 0 < kept < 400
    assert not (tmp_path / "run" / WEIGHTS).exists()
    done = evonas("supernet", file, "--run", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resumed after epoch {kept}" in done.stdout
    assert "epoch 400/400: loss" in done.stdout
    assert "evaluator.supernet=run" in done.stdout
    assert [record.epoch for record in read_progress(tmp_path / "run")] == list(range(1, 401))


def test_a_mistake_is_said_without_a_traceback_or_a_folder(tmp_path: Path) -> None:
    done = evonas("supernet", write(tmp_path), "recipe.epoch=2", "--run", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "recipe: epoch: there is no such key; did you mean 'epochs'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["supernet.yaml"]
