"""A training's curves are in MLflow, once; a server that is gone neither slows the training nor stops it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from loopback import free_port
from mlflow import MlflowClient

from evonas.errors import TrackingError
from evonas.supernet_folder import EpochRecord, SupernetHeader
from evonas.tracking import mlflow_training
from evonas.tracking.mlflow_store import Store
from evonas.tracking.mlflow_training import MLflowTraining

HEADER = SupernetHeader(
    name="digits-supernet",
    config={"seed": 3, "recipe": {"epochs": 3}, "space": {"use": "a:B"}},
    config_hash="0123",
    data_fingerprint="4567",
    versions={"evonas": "1"},
    created="2025-01-01T00:00:00+00:00",
)


def record(epoch: int) -> EpochRecord:
    errors = {"smallest": 0.9 / epoch, "largest": 0.5 / epoch, "random_1": 0.7 / epoch, "random_2": None}
    return EpochRecord(epoch, 2.0 / epoch, 0.1 / epoch, errors, 10.0 * epoch)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow_training, "CLOSE_SECONDS", 120.0)


def follow(folder: Path, before: int, epochs: int, *, finished: bool, uri: str | None = None) -> MLflowTraining:
    tracker = MLflowTraining(folder, uri=uri, must_answer=False)
    tracker.check()
    tracker.started(HEADER, [record(epoch + 1) for epoch in range(before)])
    for epoch in range(before, epochs):
        tracker.epoch(record(epoch + 1))
    tracker.closed(finished=finished)
    return tracker


def test_the_curves_of_a_resumed_training_are_there_once(tmp_path: Path) -> None:
    folder = tmp_path / "first-supernet"
    follow(folder, 0, 2, finished=False)
    tracker = follow(folder, 2, 3, finished=True)
    client = MlflowClient(tracking_uri=Store.of(tmp_path).uri)
    experiment = client.get_experiment_by_name("digits-supernet")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "first-supernet"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3", "recipe.epochs": "3", "space.use": "a:B"}
    names = {"train_loss", "learning_rate", *(f"valid_error_{name}" for name in ("smallest", "largest", "random_1"))}
    assert run.data.metrics.keys() == names
    for name in names:
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        assert [step for step, _ in points] == [1, 2, 3]
        assert points[2][1] == pytest.approx(points[0][1] / 3)
    assert tracker.link() is not None
    assert run.info.run_id in str(tracker.link())


def test_a_server_that_is_gone_costs_nothing_and_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    follow(tmp_path / "run", 0, 2, finished=True, uri=uri)
    assert time.monotonic() - started < 60
    assert "lacks epochs of this training (connection refused)" in caplog.text
    assert f"--run {tmp_path / 'run'} --resume' sends them" in caplog.text
    with pytest.raises(TrackingError, match="does not answer"):
        MLflowTraining(tmp_path / "run", uri=uri).check()
