"""A supernet's training in MLflow: a thread of its own sends the curves, so that the server may be slow or gone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from evonas import __version__
from evonas.supernet_folder import EpochRecord, SupernetHeader
from evonas.tracking.mlflow_records import UID, Point, RunRecord, finite, flattened, moment_since
from evonas.tracking.mlflow_runs import SearchRuns
from evonas.tracking.mlflow_store import UI_PORT, Store, reason
from evonas.tracking.training import TrainingTracker

PAUSE_SECONDS = 5.0
"""Between two attempts while the server is gone."""

CLOSE_SECONDS = 10.0
"""How long the end of a training waits for a server that answers."""

log = logging.getLogger("evonas")


class MLflowTraining(TrainingTracker):
    """The training as a run of MLflow: parameters, and by epoch the loss, the learning rate and the errors of subnets.

    `uri` defaults to MLFLOW_TRACKING_URI, else to a store beside the folders of supernets; `experiment` to the name of
    the supernet. With `must_answer: false` a training begins although its server does not answer. Whatever is missing
    in the end is sent when the training is resumed, also a finished one.
    """

    def __init__(
        self,
        run_folder: Path,
        *,
        uri: str | None = None,
        experiment: str | None = None,
        must_answer: bool = True,
    ) -> None:
        self._folder, self._experiment, self._must_answer = run_folder, experiment, must_answer
        self._store = Store.of(run_folder.absolute().parent, uri)
        self._news: queue.Queue[EpochRecord | bool] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._runs: SearchRuns | None = None
        self._trouble = ""

    def check(self) -> None:
        """Raise TrackingError if the address makes no sense, or if its server must answer and does not."""
        self._store.check_scheme()
        if self._must_answer:
            self._store.check_answer()

    def started(self, header: SupernetHeader, records: Sequence[EpochRecord]) -> None:
        """Begin to send."""
        self._runs = SearchRuns(self._store, self._experiment or header.name, _record(header, self._folder))
        arguments = (self._runs, header, list(records))
        self._thread = threading.Thread(target=self._follow, args=arguments, name="evonas-mlflow", daemon=True)
        self._thread.start()

    def epoch(self, record: EpochRecord) -> None:
        """Hand an epoch to the thread."""
        self._news.put(record)

    def closed(self, *, finished: bool) -> None:
        """Wait a while until everything is there; say so if it is not."""
        if self._thread is None:
            return
        self._news.put(finished)
        try:
            self._thread.join(1.0 if self._trouble else CLOSE_SECONDS)
        except KeyboardInterrupt:
            self._trouble = self._trouble or "interrupted"
        if self._thread.is_alive() or self._trouble:
            log.warning(
                "MLflow at %s lacks epochs of this training%s: 'evonas supernet FILE --run %s --resume' sends them",
                self._store.address, f" ({self._trouble})" if self._trouble else "", self._folder,
            )  # fmt: skip

    def link(self) -> str | None:
        """Return the address of the run's page once it is known; of an embedded store's, on `evonas ui`'s server."""
        if self._runs is None or not self._runs.run_id:
            return None
        server = self._store.address if self._store.remote else f"http://127.0.0.1:{UI_PORT}"
        return f"{server.rstrip('/')}/#/experiments/{self._runs.experiment_id}/runs/{self._runs.run_id}"

    def _follow(self, runs: SearchRuns, header: SupernetHeader, records: list[EpochRecord]) -> None:
        """Send what there is to send until the training ends; after a failure, everything again: nothing doubles."""
        unsent = list(records)
        ended: bool | None = None
        while True:
            try:
                if not runs.connected:
                    runs.connect(None)
                    runs.run()
                    unsent = list(records)
                runs.put_points([point for record in unsent for point in _points(header, record)])
                unsent, self._trouble = [], ""
                if ended is not None:
                    runs.end("FINISHED" if ended else "KILLED", _moment(header, records))
                    return
            except Exception as error:  # whatever the client and its server may raise
                if not self._trouble:
                    log.warning("MLflow at %s fails (%s): the training goes on", self._store.address, reason(error))
                runs.connected, self._trouble = False, reason(error)
                if ended is not None:
                    return
            for news in self._arrived():
                if isinstance(news, bool):
                    ended = news
                else:
                    records.append(news)
                    unsent.append(news)

    def _arrived(self) -> list[EpochRecord | bool]:
        """Wait for news, or for the time to try again, and return all there is."""
        news: list[EpochRecord | bool] = []
        with contextlib.suppress(queue.Empty):
            news.append(self._news.get(timeout=PAUSE_SECONDS if self._trouble else None))
            while True:
                news.append(self._news.get_nowait())
        return news


def _record(header: SupernetHeader, folder: Path) -> RunRecord:
    uid = hashlib.sha256(json.dumps(header.plain(), sort_keys=True).encode()).hexdigest()[:16]
    began = moment_since(header.created, 0.0)
    tags = {
        UID: uid,
        "evonas.version": header.versions.get("evonas", __version__),
        "evonas.config_hash": header.config_hash,
        "evonas.run_folder": str(folder.absolute()),
        "mlflow.source.name": "evonas",
    }
    return RunRecord(uid, folder.name, began, began, "RUNNING", dict(flattened(header.config)), tags=tags)


def _points(header: SupernetHeader, record: EpochRecord) -> list[Point]:
    errors = {f"valid_error_{name}": error for name, error in record.valid_errors.items() if error is not None}
    values = {"train_loss": record.train_loss, "learning_rate": record.learning_rate, **errors}
    time_ms = moment_since(header.created, record.seconds)
    return [Point(name, value, time_ms, record.epoch) for name, value in finite(values).items()]


def _moment(header: SupernetHeader, records: Sequence[EpochRecord]) -> int:
    return moment_since(header.created, records[-1].seconds if records else 0.0)
