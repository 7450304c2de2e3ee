"""What MLflow is told about a search and its candidates: parameters, metrics and tags, derived from the journal."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evonas import __version__
from evonas.evaluation import Evaluation, Failure
from evonas.history import Generation, History
from evonas.journal import Header, encode
from evonas.space import SearchSpace

VALUE_LENGTH = 1_000
"""Parameters are cut here; MLflow cuts them silently at 6000."""

TAG_LENGTH = 5_000
NAME_LENGTH = 250

UID = "evonas.uid"
FRONT = "evonas.front"
NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What one run of MLflow says; `uid` is what it is found by when it is sent again. Times are epoch milliseconds."""

    uid: str
    name: str
    started_ms: int
    ended_ms: int
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric at a step: a generation or, of what audits find while a search runs, their number."""

    metric: str
    value: float
    time_ms: int
    step: int


def search_uid(header: Header) -> str:
    """Return what names a search in MLflow, wherever its folder lies: a hash of its journal's header."""
    return hashlib.sha256(encode(header)).hexdigest()[:16]


def candidate_uid(search: str, candidate: int) -> str:
    """Return what names a candidate of a search."""
    return f"{search}/{candidate}"


def moment(header: Header, elapsed: float) -> int:
    """Return `elapsed` seconds into the search as epoch milliseconds: the same whenever it is asked."""
    return moment_since(header.created, elapsed)


def moment_since(created: str, elapsed: float) -> int:
    """Return `elapsed` seconds after an ISO date as epoch milliseconds."""
    began = datetime.fromisoformat(created)
    began = began if began.tzinfo else began.replace(tzinfo=UTC)
    return int((began.timestamp() + elapsed) * 1000)


def search_record(header: Header, run_folder: Path) -> RunRecord:
    """Return the parent run: the search and its resolved configuration."""
    uid = search_uid(header)
    started = moment(header, 0.0)
    tags = {
        UID: uid,
        "evonas.version": header.versions.get("evonas", __version__),
        "evonas.config_hash": header.config_hash,
        "evonas.run_folder": str(run_folder.absolute()),
        "mlflow.source.name": "evonas",
    }
    return RunRecord(uid, run_folder.name, started, started, "RUNNING", dict(flattened(header.config)), tags=tags)


def candidate_record(
    history: History, outcome: Evaluation | Failure, elapsed: float, space: SearchSpace, *, on_front: bool
) -> RunRecord:
    """Return the child run of a candidate that got its outcome `elapsed` seconds into the search."""
    candidate = outcome.candidate
    tags = {
        UID: candidate_uid(search_uid(history.header), candidate.id),
        FRONT: "1" if on_front else "0",
        "evonas.id": str(candidate.id),
        "evonas.generation": str(candidate.generation),
        "evonas.parents": json.dumps(candidate.parents),
        "evonas.genome": _cut(json.dumps(candidate.genome, separators=(",", ":")), TAG_LENGTH),
        "mlflow.source.name": "evonas",
    }
    if candidate.budget is not None:
        tags["evonas.budget"] = str(candidate.budget)
    if candidate.source is not None:
        tags["evonas.source"] = str(candidate.source)
    metrics: dict[str, float] = {}
    seconds = 0.0
    if isinstance(outcome, Evaluation):
        first = {metric: outcome.metrics[metric] for metric in history.goals.metrics if metric in outcome.metrics}
        metrics = finite({**first, **outcome.metrics, "evaluation_seconds": outcome.seconds})
        seconds = outcome.seconds
        tags |= {"evonas.source": str(outcome.source), "evonas.seed": str(outcome.seed)}
    else:
        tags |= {"evonas.failure": str(outcome.kind), "evonas.reason": _tail(outcome.reason, TAG_LENGTH)}
    return RunRecord(
        uid=tags[UID],
        name=f"candidate {candidate.id}",
        started_ms=moment(history.header, elapsed - seconds),
        ended_ms=moment(history.header, elapsed),
        status="FINISHED" if isinstance(outcome, Evaluation) else "FAILED",
        params={_named(gene): _cut(option) for gene, option in space.describe(candidate.genome).items()},
        metrics=metrics,
        tags=tags,
    )


def generation_points(history: History, since: int) -> list[Point]:
    """Return the metrics of the generations from number `since` on."""
    points = []
    for generation in history.generations[since:]:
        before = history.generations[generation.number - 1] if generation.number else None
        time_ms = moment(history.header, generation.elapsed)
        for name, value in finite(_summary(generation, before)).items():
            points.append(Point(name, value, time_ms, generation.number))
    return points


def live_audit_points(history: History, since: int) -> list[Point]:
    """Return what audits have come to while the search ran, after more than `since` of them: each is a step."""
    audit, points = history.audit, list[Point]()
    if audit is None:
        return points
    for audited in range(since + 1, len(audit.pairs) + 1):
        if found := audit.agreement(audited):
            tau = found.kendall_tau
            time_ms = moment(history.header, history.ended[audit.pairs[audited - 1][1].candidate.id])
            values = {"audit_tau": tau.value, "audit_tau_low": tau.low, "audit_tau_high": tau.high}
            points += [Point(name, value, time_ms, audited) for name, value in finite(values).items()]
    return points


def audit_points(audit: Mapping[str, Any]) -> list[Point]:
    """Return the metrics of an audit, given as its `audit.json` has it: they are of the moment at which it was made."""
    time_ms = int(datetime.fromisoformat(audit["created"]).timestamp() * 1000)
    return [Point(name, value, time_ms, 0) for name, value in finite(audit["metrics"]).items()]


def flattened(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and values as text; a list of plain values is one value."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from flattened(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        for position, part in enumerate(value):
            yield from flattened(part, f"{key}.{position}")
    else:
        yield _named(key), _cut(value if isinstance(value, str) else json.dumps(value))


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that a chart can show, under names that MLflow takes: it turns infinity into 1.8e308."""
    return {_named(name): float(value) for name, value in metrics.items() if math.isfinite(value)}


def _summary(generation: Generation, before: Generation | None) -> dict[str, float]:
    evaluated = generation.evaluated - (before.evaluated if before else 0)
    minutes = (generation.elapsed - (before.elapsed if before else 0.0)) / 60
    return {
        "hypervolume": generation.hypervolume,
        "front_size": generation.front_size,
        "evaluations": generation.evaluated,
        "evaluations_per_minute": evaluated / minutes if minutes > 0 else math.nan,
        "turned_away": generation.turned_away + generation.rejected,
        "failed": generation.failed,
        **{f"best_{metric}": value for metric, value in generation.best.items()},
    }


def _named(name: str) -> str:
    """Return a name with what MLflow refuses (brackets, commas, ...) replaced, and no longer than it takes."""
    return re.sub(r"[^\w./: -]", "_", name)[:NAME_LENGTH]


def _cut(text: str, length: int = VALUE_LENGTH) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _tail(text: str, length: int) -> str:
    """Return the end of a text: a traceback says at its end what went wrong."""
    return text if len(text) <= length else "…" + text[1 - length :]
