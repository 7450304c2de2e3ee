"""What MLflow has of a search, asked without the help of what evonas remembers, and whether that is all of it, once."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import synthetic
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from pyarrow import parquet

from evonas import journal
from evonas.evaluation import Evaluation, Failure
from evonas.history import History
from evonas.journal import Finished
from evonas.tracking import mlflow_records as records
from evonas.tracking.mlflow_store import Store

ARTIFACTS = {"front.html", "front.png", "progress.html", "front.json", "evaluations.json", "journal.jsonl"}
SPACE = synthetic.IntegerSpace()

Points = list[tuple[int, float, int]]


@dataclass(frozen=True)
class Kept:
    """What MLflow has of a search: the parent, its children by candidate, the points of each metric, the artifacts."""

    parent: Run
    children: Mapping[int, Run]
    metrics: Mapping[str, Points]
    child_metrics: Mapping[int, Mapping[str, Points]]
    artifacts: Mapping[str, bytes]

    @classmethod
    def of(cls, run: Path, uri: str | None = None, *, whole: bool = False) -> Kept:
        """Ask MLflow; every run must be there once. Contents of artifacts only where the `whole` is wanted."""
        client = MlflowClient(tracking_uri=Store.of(run.parent, uri).uri)
        header = History.read(run).header
        experiment = client.get_experiment_by_name(header.name)
        assert experiment is not None
        uid = records.search_uid(header)
        (parent,) = client.search_runs([experiment.experiment_id], f"tags.`evonas.uid` = '{uid}'")
        mine = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        children: dict[int, Run] = {}
        for child in client.search_runs([experiment.experiment_id], mine, max_results=1_000):
            id_ = int(child.data.tags["evonas.id"])
            assert id_ not in children, f"candidate {id_} is there twice"
            children[id_] = child
        artifacts = {file.path: b"" for file in client.list_artifacts(parent.info.run_id)}
        if whole:
            with tempfile.TemporaryDirectory() as folder:
                client.download_artifacts(parent.info.run_id, "", folder)
                artifacts = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        return cls(
            parent=parent,
            children=children,
            metrics=_points(client, parent),
            child_metrics={id_: _points(client, child) for id_, child in children.items()} if whole else {},
            artifacts=artifacts,
        )

    @property
    def front(self) -> set[int]:
        """The candidates that are marked as members of the front."""
        return {id_ for id_, child in self.children.items() if child.data.tags["evonas.front"] == "1"}


def kept_outcomes(run: Path) -> set[int]:
    """The candidates of a journal that become runs."""
    outcomes = History.read(run).outcomes
    return {id_ for id_, outcome in outcomes.items() if isinstance(outcome, Evaluation | Failure)}


def assert_complete(run: Path, uri: str | None = None) -> Kept:
    """MLflow has exactly what the journal has: every run, parameter, metric, tag and artifact, once."""
    history, kept = History.read(run), Kept.of(run, uri, whole=True)
    elapsed = {
        e.outcome.candidate.id: e.elapsed for e in journal.read(run / "journal.jsonl") if isinstance(e, Finished)
    }
    assert kept.children.keys() == kept_outcomes(run)
    for id_, child in kept.children.items():
        outcome = history.outcomes[id_]
        ended = records.moment(history.header, elapsed[id_])
        assert child.data.params == SPACE.describe(outcome.candidate.genome)
        assert json.loads(child.data.tags["evonas.genome"]) == list(outcome.candidate.genome)
        assert child.data.tags["evonas.generation"] == str(outcome.candidate.generation)
        assert child.info.status == ("FINISHED" if isinstance(outcome, Evaluation) else "FAILED")
        assert child.info.end_time == ended
        measured = {}
        if isinstance(outcome, Evaluation):
            measured = {**outcome.metrics, "evaluation_seconds": outcome.seconds}
        assert kept.child_metrics[id_] == {name: [(0, value, ended)] for name, value in measured.items()}
    assert kept.front == {member.candidate.id for member in history.front.members}
    assert kept.parent.data.params == records.search_record(history.header, run).params
    assert kept.parent.data.tags["evonas.front_digest"] == history.front.digest()
    assert kept.parent.info.status == ("FINISHED" if history.closed else "KILLED")
    for name in ("hypervolume", "front_size"):
        assert [(step, value) for step, value, _ in kept.metrics[name]] == [
            (g.number, getattr(g, name)) for g in history.generations
        ]
    expected = Counter((p.metric, p.step, p.value, p.time_ms) for p in records.generation_points(history, 0))
    assert Counter((name, *point) for name, points in kept.metrics.items() for point in points) == expected
    _assert_artifacts(run, kept)
    return kept


def _assert_artifacts(run: Path, kept: Kept) -> None:
    """The artifacts are whole, and those of the run folder are the same."""
    assert kept.artifacts.keys() == ARTIFACTS
    assert kept.artifacts["journal.jsonl"] == (run / "journal.jsonl").read_bytes()
    assert json.loads(kept.artifacts["front.json"])["front_hash"] == kept.parent.data.tags["evonas.front_digest"]
    for page in ("front.html", "progress.html"):
        assert kept.artifacts[page].endswith(b"</html>\n")
    table = json.loads(kept.artifacts["evaluations.json"])
    assert len(table["data"]) == len(History.read(run).evaluations)
    if (run / "front.json").exists():  # a real search has written its own
        assert json.loads(kept.artifacts["front.json"]) == json.loads((run / "front.json").read_text())
        rows = [list(row.values()) for row in parquet.read_table(run / "evaluations.parquet").to_pylist()]
        assert table["data"] == rows
        assert len(kept.artifacts["front.png"]) == (run / "front.png").stat().st_size


def _points(client: MlflowClient, run: Run) -> dict[str, Points]:
    def point(metric: Metric) -> tuple[int, float, int]:
        return metric.step, metric.value, metric.timestamp

    return {name: [point(m) for m in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics}
