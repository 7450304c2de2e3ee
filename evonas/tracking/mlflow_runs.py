"""The runs of one search in MLflow: each is found by its `evonas.uid` or created, so that all can be sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from evonas.errors import TrackingError
from evonas.tracking.mlflow_records import FRONT, PARENT, UID, Point, RunRecord
from evonas.tracking.mlflow_store import Store, prepare

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARAMS_PER_CALL = 100
METRICS_PER_CALL = 900
ENDED = ("FINISHED", "FAILED")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Child:
    """The run of a candidate as MLflow has it; `complete` once nothing more is to be sent."""

    run_id: str
    complete: bool
    on_front: bool


class SearchRuns:
    """The parent run of a search and its children by uid. Every method may be repeated after it failed half-way."""

    def __init__(self, store: Store, experiment: str, search: RunRecord) -> None:
        self._store = store
        self._experiment = experiment
        self._search = search
        self._client: MlflowClient | None = None
        self.connected = False
        self.experiment_id = ""
        self.run_id = ""
        self.tags: Mapping[str, str] = {}
        self.children: dict[str, Child] = {}

    def connect(self, known_run: str | None) -> None:
        """Find the runs that exist, create the parent if it does not, and drop what a lost answer has doubled."""
        self._client = self._client or _client(self._store)
        parent = self._known(known_run or self.run_id)
        self.experiment_id = parent.info.experiment_id if parent else self._find_experiment()
        same = list(self._search_runs(UID, self._search.uid))
        parent = parent or (same[0] if same else self._mlflow.get_run(self._create(self._search, {})))
        self.run_id = parent.info.run_id
        self._drop(run for run in same if run.info.run_id != self.run_id)
        self.tags = parent.data.tags
        missing = {name: value for name, value in self._search.params.items() if name not in parent.data.params}
        self._log(self.run_id, missing, [])
        self.children = self._list_children()
        self.connected = True

    def present(self) -> bool:
        """Say whether the parent run is there still: a person may have deleted it."""
        return self._known(self.run_id) is not None

    def put_points(self, points: Sequence[Point]) -> None:
        """Add metrics to the parent; a point that is there already is not added again."""
        self._log(self.run_id, {}, points)

    def put_child(self, record: RunRecord) -> None:
        """Create a child run or complete it."""
        child = self.children.get(record.uid)
        run_id = child.run_id if child else self._create(record, {PARENT: self.run_id})
        on_front = child.on_front if child else record.tags.get(FRONT) == "1"
        self.children[record.uid] = Child(run_id, False, on_front)
        points = [Point(name, value, record.ended_ms, 0) for name, value in record.metrics.items()]
        try:
            self._log(run_id, record.params, points)
        except Exception as error:
            if refused(error):
                self._mlflow.set_terminated(run_id, "FAILED", record.ended_ms)
            raise
        self._mlflow.set_terminated(run_id, record.status, record.ended_ms)
        self.children[record.uid] = Child(run_id, True, on_front)

    def mark_front(self, uid: str, on_front: bool) -> None:
        """Tag a child as a member of the front or not."""
        child = self.children[uid]
        self._mlflow.set_tag(child.run_id, FRONT, "1" if on_front else "0")
        self.children[uid] = Child(child.run_id, child.complete, on_front)

    def put_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the parent."""
        from mlflow.entities import RunTag

        self._mlflow.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def put_artifacts(self, folder: Path, tables: Sequence[str]) -> None:
        """Copy the files of a folder to the parent's artifacts; those named `tables` are shown as tables."""
        self._mlflow.log_artifacts(self.run_id, str(folder))
        if tables:
            shown = [{"path": name, "type": "table"} for name in tables]
            self._mlflow.set_tag(self.run_id, "mlflow.loggedArtifacts", json.dumps(shown))

    def run(self) -> None:
        """Say that the search runs (again)."""
        self._mlflow.update_run(self.run_id, status="RUNNING")

    def end(self, status: str, ended_ms: int) -> None:
        """Say that the search has ended, and how."""
        self._mlflow.set_terminated(self.run_id, status, ended_ms)

    @property
    def _mlflow(self) -> MlflowClient:
        if self._client is None:
            raise RuntimeError("connect first")
        return self._client

    def _known(self, run_id: str) -> Run | None:
        from mlflow.exceptions import MlflowException

        if not run_id:
            return None
        try:
            run = self._mlflow.get_run(run_id)
        except MlflowException as error:
            if error.get_http_status_code() == 404:
                return None
            raise
        ours = run.data.tags.get(UID) == self._search.uid and run.info.lifecycle_stage == "active"
        return run if ours else None

    def _find_experiment(self) -> str:
        experiment = self._mlflow.get_experiment_by_name(self._experiment)
        if experiment is None:
            location = self._store.artifacts.as_uri() if self._store.artifacts else None
            return str(self._mlflow.create_experiment(self._experiment, artifact_location=location))
        if experiment.lifecycle_stage != "active":
            raise TrackingError(
                f"the experiment '{self._experiment}' was deleted from MLflow at {self._store.address}: restore it "
                f"('mlflow experiments restore -x {experiment.experiment_id}') or set tracking.experiment=..."
            )
        return str(experiment.experiment_id)

    def _create(self, record: RunRecord, tags: Mapping[str, str]) -> str:
        run = self._mlflow.create_run(
            self.experiment_id, start_time=record.started_ms, tags={**record.tags, **tags}, run_name=record.name
        )
        return str(run.info.run_id)

    def _list_children(self) -> dict[str, Child]:
        """Return the children by uid, the complete one of two with the same uid; the other is deleted."""
        children: dict[str, Child] = {}
        doubles: list[Run] = []
        runs = list(self._search_runs(PARENT, self.run_id))
        for run in sorted(runs, key=lambda run: run.info.status not in ENDED):
            uid = run.data.tags.get(UID)
            if uid in children:
                doubles.append(run)
            elif uid is not None:  # else a person has added it
                children[uid] = Child(run.info.run_id, run.info.status in ENDED, run.data.tags.get(FRONT) == "1")
        self._drop(doubles)
        return children

    def _drop(self, doubles: Iterable[Run]) -> None:
        """Delete runs that a server carried out after we gave up waiting, and that were sent again."""
        for run in doubles:
            self._mlflow.delete_run(run.info.run_id)

    def _search_runs(self, tag: str, value: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._mlflow.search_runs(
                [self.experiment_id], f"tags.`{tag}` = '{value}'", max_results=1_000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _log(self, run_id: str, params: Mapping[str, str], points: Sequence[Point]) -> None:
        from mlflow.entities import Metric, Param

        named = [Param(name, value) for name, value in params.items()]
        metrics = [Metric(point.metric, point.value, point.time_ms, point.step) for point in points]
        calls = zip_longest(_parts(named, PARAMS_PER_CALL), _parts(metrics, METRICS_PER_CALL))
        for some_params, some_metrics in calls:
            self._mlflow.log_batch(run_id, params=some_params or [], metrics=some_metrics or [])


def refused(error: Exception) -> bool:
    """Say whether sending the same thing again is in vain: the server refuses it (4xx), or it cannot be expressed."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, MlflowException):
        return 400 <= error.get_http_status_code() < 500 and error.get_http_status_code() not in _ANOTHER_TIME
    return not isinstance(error, OSError | SQLAlchemyError | TrackingError)


_ANOTHER_TIME = (401, 403, 404, 408, 409, 429, 499)


def _client(store: Store) -> MlflowClient:
    prepare()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def _parts(things: list[T], size: int) -> list[list[T]]:
    return [things[start : start + size] for start in range(0, len(things), size)]
