"""Whatever happens to MLflow's server, a search does not wait for it, and at the end everything is there, once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import FORMULA
from mlflow_kept import SPACE, assert_complete, kept_outcomes
from mlflow_server import Server, SmallDisk, slow_line

from evonas import config, search
from evonas.config import Experiment
from evonas.errors import TrackingError
from evonas.evaluation import Outcome
from evonas.history import History
from evonas.tracking import mlflow as mlflow_module
from evonas.tracking import mlflow_pace
from evonas.tracking.base import Tracker
from evonas.tracking.mlflow import MLflow

EVALUATIONS, PAUSE = 48, 0.05


class At(Tracker):
    """Does something to the server when a number of candidates have their outcomes; the search waits for it."""

    def __init__(self, number: int, fault: Callable[[], object]) -> None:
        self._number, self._fault = number, fault

    def outcome(self, history: History, outcome: Outcome) -> None:
        """Do it when the time has come."""
        if len(history.outcomes) == self._number:
            self._fault()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send as fast as possible in these short searches; wait longer, and for longer answers, on a busy machine."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    monkeypatch.setattr(mlflow_module, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(mlflow_module, "SILENT_SECONDS", 10.0)
    monkeypatch.setattr(mlflow_module, "CLOSE_SECONDS", 300.0)
    monkeypatch.setattr(mlflow_module, "CLOSE_SECONDS_AT_MOST", 300.0)
    monkeypatch.setattr(mlflow_module, "HANGING_SECONDS", 120.0)
    monkeypatch.setattr(mlflow_pace, "SHARE", 1.0)
    monkeypatch.setattr(mlflow_pace, "SHARE_OF_IDLE", 1.0)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the driver has spent in each of MLflow's hooks, the one at the end aside."""
    spent: list[float] = []

    def timed(hook: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any) -> None:
            began = time.perf_counter()
            hook(*given)
            spent.append(time.perf_counter() - began)

        return call

    for name in ("started", "outcome", "generation"):
        monkeypatch.setattr(MLflow, name, timed(getattr(MLflow, name)))
    return spent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


def experiment(runs: Path, uri: str, **tracking: Any) -> Experiment:
    """Return an experiment whose evaluations take a while, and which may begin without a server."""
    return config.parse(
        {
            **FORMULA,
            "evaluator": {"use": "unhurried:Unhurried", "pause": PAUSE},
            "evaluations": EVALUATIONS,
            "tracking": {"use": "evonas.tracking.mlflow:MLflow", "uri": uri, "must_answer": False, **tracking},
            "runs": str(runs),
        }
    )


def assert_not_held_up(history: History, hooks: list[float]) -> None:
    """The search is complete, and the driver has spent next to no time with MLflow, two stalls of the machine aside."""
    assert history.closed == "budget"
    assert len(history.outcomes) == EVALUATIONS
    assert len(hooks) > EVALUATIONS
    assert statistics.median(hooks) < 0.002
    assert sum(sorted(hooks)[:-2]) < 0.1 * history.elapsed


def test_server_that_is_not_there_gets_everything_when_it_is(
    server: Server, tmp_path: Path, hooks: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    began = time.monotonic()
    run, history = search.run(experiment(tmp_path, server.uri))
    assert_not_held_up(history, hooks)
    assert time.monotonic() - began - history.elapsed < 120, "a server that refuses at once is not waited for"
    missing = len(kept_outcomes(run)) + len(history.generations) + 1
    assert f"lacks {missing} things of this search" in caplog.messages[-1]
    assert f"evonas sync {run}" in caplog.messages[-1]
    tracker = MLflow(run, SPACE, uri=server.uri)
    assert tracker.link() is None
    with pytest.raises(TrackingError, match="does not answer"):
        tracker.sync()
    server.up()
    progress: list[tuple[int, int]] = []
    assert tracker.sync(lambda done, left: progress.append((done, left))).runs == len(kept_outcomes(run))
    assert progress[-1][1] == 0
    info = assert_complete(run, server.uri).parent.info
    page = f"#/experiments/{info.experiment_id}/runs/{info.run_id}?workflowType=machine_learning"
    assert tracker.link() == f"{server.uri}/{page}"
    assert (tracker.compare_link() or "").startswith(f"{server.uri}/#/compare-runs?")
    assert tracker.sync().runs == 0
    assert_complete(run, server.uri)


def test_slow_server_gets_everything(
    server: Server, tmp_path: Path, hooks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_module, "CLOSE_SECONDS", 3.0)
    server.up()
    with slow_line(server.port, 0.3) as uri:
        run, history = search.run(experiment(tmp_path, uri))
        assert_not_held_up(history, hooks)
    sent = MLflow(run, SPACE, uri=server.uri).sync()
    assert sent.runs > 0, "the end of the search did not wait for all of it"
    assert_complete(run, server.uri)


def test_server_that_never_answers_is_given_up(
    server: Server, tmp_path: Path, hooks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.up()
    with slow_line(server.port, None) as uri, monkeypatch.context() as shipped:
        shipped.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        shipped.setattr(mlflow_module, "HANGING_SECONDS", 3.0)
        began = time.monotonic()
        run, history = search.run(experiment(tmp_path, uri))
        assert_not_held_up(history, hooks)
        assert time.monotonic() - began - history.elapsed < 90
    assert MLflow(run, SPACE, uri=server.uri).sync().runs == len(kept_outcomes(run))
    assert_complete(run, server.uri)


def test_server_killed_in_mid_search_and_restarted_gets_everything_once(
    server: Server, tmp_path: Path, hooks: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    server.up()
    faults = [At(16, server.kill), At(32, server.up)]
    run, history = search.run(experiment(tmp_path, server.uri), watch=lambda search, path: faults)
    assert_not_held_up(history, hooks)
    assert not [message for message in caplog.messages if "lacks" in message], "a server that is back lacks nothing"
    assert_complete(run, server.uri)


def test_server_that_comes_back_empty_gets_everything_again(server: Server, tmp_path: Path, hooks: list[float]) -> None:
    server.up()
    faults = [At(24, server.kill), At(25, server.wipe), At(26, server.up)]
    run, history = search.run(experiment(tmp_path, server.uri), watch=lambda search, path: faults)
    assert_not_held_up(history, hooks)
    assert_complete(run, server.uri)


def test_resumed_search_goes_on_without_its_server_which_gets_everything_even_if_it_has_lost_it(
    server: Server, tmp_path: Path
) -> None:
    server.up()
    run, _ = search.run(experiment(tmp_path, server.uri, must_answer=True))
    server.kill()
    history = search.resume(run, [f"evaluations={EVALUATIONS + 12}"])
    assert len(history.outcomes) == EVALUATIONS + 12
    server.wipe()
    server.up()
    assert MLflow(run, SPACE, uri=server.uri).sync().runs == len(kept_outcomes(run))
    assert_complete(run, server.uri)


@pytest.mark.skipif(not SmallDisk.can_mount(), reason="needs root, or user namespaces, to mount a small disk")
def test_server_with_a_full_disk_gets_everything_when_there_is_room(
    tmp_path: Path, hooks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    server = SmallDisk(tmp_path / "disk")
    server.up()
    try:
        run, history = search.run(
            experiment(tmp_path / "runs", server.uri), watch=lambda search, path: [At(16, server.fill)]
        )
        assert_not_held_up(history, hooks)
        with pytest.raises(TrackingError, match=r"fails again and again.*repeat 'evonas sync"):
            MLflow(run, SPACE, uri=server.uri).sync()
        server.free()
        MLflow(run, SPACE, uri=server.uri).sync()
        assert_complete(run, server.uri)
    finally:
        server.kill()
