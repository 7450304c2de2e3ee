"""A supernet's training in its folder: killed at any moment it goes on to the same weights; what differs is refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_thread import one_thread  # noqa: F401
from plain_supernet import plain_experiment

from evonas import config_supernet, supernet_folder, supernet_run
from evonas.errors import ConfigError, DataError, EvonasError, RunFolderError, TrainingStopped
from evonas.supernet_folder import CHECKPOINT, HEADER, HEADER_DRAFT, PROGRESS, WEIGHTS, EpochRecord, read_progress
from evonas.tracking.training import TrainingTracker
from evonas.workers.supernets import epochs, files
from evonas.workers.supernets.single_path import SinglePath

TINY = {"space": "tiny_space:TinySpace", "supernet": "tiny_supernet:TinySupernet", "data": {"train_size": 100}}
RECIPE = {"recipe": {"epochs": 4, "batch_size": 32, "shift": 1}}


def train(folder: Path, *, again: bool = False, **changes: Any) -> Mapping[str, np.ndarray]:
    experiment = config_supernet.parse(plain_experiment(**changes))
    (supernet_run.run_or_resume if again else supernet_run.run)(experiment, folder, lambda prepared, path: ())
    return files.load(folder).arrays


def killed(folder: Path, patch: Callable[[], None], changes: Mapping[str, Any]) -> int | None:
    """Train in a process of its own, which the patch kills; return how it ended."""

    def training() -> None:
        patch()
        train(folder, again=True, **changes)

    process = get_context("fork").Process(target=training)
    process.start()
    process.join(300)
    return process.exitcode


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def inside_an_epoch() -> None:
    steps, step = iter(range(100)), SinglePath.step

    def dying(*parts: Any) -> Any:
        return die() if next(steps) == 6 else step(*parts)

    SinglePath.step = dying  # type: ignore[method-assign]


def between_checkpoint_and_progress() -> None:
    tell = epochs.write_progress
    epochs.write_progress = lambda folder, records: die() if len(records) == 3 else tell(folder, records)  # type: ignore[attr-defined]


def test_a_training_that_is_killed_ends_with_the_weights_of_one_that_is_not(tmp_path: Path) -> None:
    changes = {**TINY, **RECIPE}
    whole = train(tmp_path / "whole", **changes)
    folder = tmp_path / "killed"
    assert killed(folder, inside_an_epoch, changes) == -signal.SIGKILL
    assert len(read_progress(folder)) == 1
    assert killed(folder, between_checkpoint_and_progress, changes) == -signal.SIGKILL
    assert len(read_progress(folder)) == 2
    with pytest.raises(DataError, match="there is no trained supernet at"):
        files.load(folder)
    resumed = train(folder, again=True, **changes)
    assert whole.keys() == resumed.keys()
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)

    def told(run: str) -> list[tuple[Any, ...]]:
        return [(r.epoch, r.train_loss, r.learning_rate, r.valid_errors) for r in read_progress(tmp_path / run)]

    assert told("whole") == told("killed")
    assert [r.epoch for r in read_progress(folder)] == [1, 2, 3, 4]


def test_a_header_whose_writing_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def in_the_header() -> None:
        supernet_folder.os.fsync = lambda descriptor: die()  # type: ignore[attr-defined]

    assert killed(folder, in_the_header, {}) == -signal.SIGKILL
    assert not (folder / HEADER).exists()
    assert (folder / HEADER_DRAFT).exists()
    train(folder, again=True)


def test_a_tracker_that_breaks_stops_no_training_and_hides_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = []

    class Broken(TrainingTracker):
        def epoch(self, record: EpochRecord) -> None:
            raise RuntimeError("no route to host")

        def closed(self, *, finished: bool) -> None:
            raise AssertionError("it is told nothing more")

    class Sound(TrainingTracker):
        def epoch(self, record: EpochRecord) -> None:
            heard.append(record.epoch)

        def closed(self, *, finished: bool) -> None:
            heard.append(finished)

    trackers = [Broken(), Sound()]
    experiment = config_supernet.parse(plain_experiment(method="plain_supernet:LateNaN"))
    with pytest.raises(TrainingStopped):
        supernet_run.run(experiment, tmp_path / "run", lambda prepared, path: trackers)
    assert heard == [1, 2, False]
    assert "Broken is broken and is told nothing more of this training" in caplog.text


@pytest.mark.parametrize("damaged", ["{\n", "[]\n", '{"epoch": 1}\n'])
def test_damaged_progress_is_said(tmp_path: Path, damaged: str) -> None:
    (tmp_path / PROGRESS).write_text(damaged)
    with pytest.raises(RunFolderError, match=r"progress\.jsonl cannot be read"):
        read_progress(tmp_path)


def test_errors_of_the_smallest_the_largest_and_random_subnets_are_told(tmp_path: Path) -> None:
    train(tmp_path / "run", curves={"random_subnets": 2, "examples": 50, "every": 2})
    told = [sorted(record.valid_errors) for record in read_progress(tmp_path / "run")]
    measured = ["largest", "random_1", "random_2", "smallest"]
    assert told == [[], measured, measured]
    assert all(0 <= error <= 1 for error in read_progress(tmp_path / "run")[-1].valid_errors.values() if error)
    lines = (tmp_path / "run" / PROGRESS).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


def test_a_used_folder_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunFolderError, match="holds this very training: continue it with --resume"):
        train(folder)
    with pytest.raises(RunFolderError, match="belongs to another training"):
        train(folder, seed=1)
    with pytest.raises(RunFolderError, match=r"seed, recipe\.epochs would change, and only"):
        train(folder, again=True, seed=1, recipe={"epochs": 4})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="holds no supernet of evonas"):
        train(other)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


def test_other_data_and_other_versions_are_refused_on_resuming(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(folder)
    header = json.loads((folder / HEADER).read_text())
    (folder / HEADER).write_text(json.dumps({**header, "data_fingerprint": "0000"}))
    with pytest.raises(RunFolderError, match="the data has changed: the fingerprint was 0000"):
        train(folder, again=True)
    (folder / HEADER).write_text(json.dumps({**header, "versions": {**header["versions"], "torch": "1.0"}}))
    with pytest.raises(RunFolderError, match=r"was trained with other versions \(torch 1.0 -> "):
        train(folder, again=True)


def test_what_does_not_decide_the_weights_may_change_on_resuming(tmp_path: Path) -> None:
    weights = train(tmp_path / "run")
    (tmp_path / "run" / WEIGHTS).unlink()
    again = train(tmp_path / "run", again=True, name="renamed", curves={"every": 3})
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_a_loss_that_is_not_finite_ends_the_training_and_what_is_kept_stays(tmp_path: Path) -> None:
    diverging = {"recipe": {"learning_rate": 1e30, "epochs": 3, "warmup_epochs": 0.0}}
    with pytest.raises(TrainingStopped, match=r"the training loss is \w+ in epoch 1, step \d: nothing is kept") as told:
        train(tmp_path / "run", **diverging)
    assert told.value.exit_code == 1
    assert not (tmp_path / "run").exists()
    late = {"method": "plain_supernet:LateNaN"}
    with pytest.raises(TrainingStopped, match="in epoch 3, step 1: the 2 epochs before it are kept in"):
        train(tmp_path / "late", **late)
    assert len(read_progress(tmp_path / "late")) == 2
    assert files.read(tmp_path / "late" / CHECKPOINT)[1]["epochs"] == "2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"supernet": "evonas.spaces.cell201_supernet:Cell201Supernet"}, "does not work with the space|refuses|fails"),
        ({"supernet": "evonas.spaces.cell201:Cell201"}, "must give a torch module with a method subnet"),
        ({"method": "evonas.spaces.cell201:Cell201"}, "must name a class that inherits from Method"),
        ({"recipe": {"epochs": 0}}, "'epochs' must be 1 or more, and is 0"),
        ({"recipe": {"drop_path": 0.1}}, "is for networks that are trained alone"),
        ({"recipe": {"shift": 8}}, "'shift' must be smaller than the images"),
        ({"space": {"use": "plain_supernet:PlainSpace", "inputs": 32}}, "does not work with the space"),
    ],
)
def test_whatever_is_wrong_is_said_before_there_is_a_folder(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvonasError, match=message) as told:
        train(tmp_path / "run", **changes)
    assert isinstance(told.value, ConfigError)
    assert not (tmp_path / "run").exists()
