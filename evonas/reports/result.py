"""The result of a search as plain data, and the files that a run folder keeps of it."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.early_exit import receipt
from evonas.history import History
from evonas.live_audit import LiveAudit
from evonas.pareto import digest
from evonas.reports.plots import write_front_html, write_front_png, write_progress_html
from evonas.space import SearchSpace

if TYPE_CHECKING:
    import pyarrow as pa


def result(history: History, space: SearchSpace) -> dict[str, Any]:
    """Return what a search has found and what it took, as JSON-plain values; a number that is not finite is None.

    `front_hash` and `evaluations_hash` do not depend on timings: equal searches have equal hashes.
    """
    header, front = history.header, history.front
    plain: dict[str, Any] = _plain(
        {
            "name": header.name,
            "closed": history.closed,
            "hypervolume": front.hypervolume,
            "known_hypervolume": header.known_hypervolume,
            "share_reached": history.share_reached,
            "reference": {objective.metric: objective.worst for objective in history.goals.objectives},
            "objectives": header.objectives,
            "constraints": header.constraints,
            "counts": {
                "evaluated": len(history.evaluations),
                "reused": history.reused,
                "failed": len(history.failures),
                "rejected": len(history.rejections),
                "turned_away": history.turned_away.total(),
            },
            "fidelities": [
                {
                    "source": fidelity.source,
                    "budget": fidelity.budget,
                    "evaluated": spent.evaluations,
                    "evaluation_seconds": spent.seconds,
                }
                for fidelity, spent in history.spent.items()
            ],
            "gates": receipt(history),
            "strategy": history.remarks,
            **({"audit": _audit(history.audit)} if history.audit else {}),
            "seconds": history.elapsed,
            "evaluation_seconds": history.evaluated_seconds,
            "front_hash": front.digest(),
            "evaluations_hash": digest(history.evaluations),
            "seed": header.config.get("seed"),
            "config_hash": header.config_hash,
            "versions": header.versions,
            "workers": _workers(history),
            "front": [
                {
                    "id": member.candidate.id,
                    "knee": member is front.knee,
                    "metrics": member.metrics,
                    "genes": space.describe(member.candidate.genome),
                    "genome": member.candidate.genome,
                    "contribution": contribution,
                    "source": member.source,
                    "budget": member.candidate.budget,
                    "seed": member.seed,
                    "reused_from": member.reused_from,
                    "generation": member.candidate.generation,
                    "parents": member.candidate.parents,
                    "host": member.worker.host if member.worker else None,
                    "device": member.worker.device if member.worker else None,
                }
                for member, contribution in zip(front.members, front.contributions, strict=True)
            ],
        }
    )
    return plain


def _audit(audit: LiveAudit) -> dict[str, Any]:
    """Return what was audited while the search ran: the agreement, and both values of each network."""
    rule, found = audit.rule, audit.agreement()
    return {
        "every": rule.every,
        "metric": rule.metric,
        "against": rule.against,
        "source": rule.source,
        "audited": len(audit.pairs),
        "failed": len(audit.failures),
        "evaluation_seconds": audit.seconds,
        "kendall_tau": asdict(found.kendall_tau) if found else None,
        "spearman": asdict(found.spearman) if found else None,
        "networks": [
            {
                "id": searched.candidate.id,
                "searched": searched.metrics[rule.metric],
                "audited": audited.metrics[rule.against],
                "seed": audited.seed,
                "seconds": audited.seconds,
            }
            for searched, audited in audit.pairs
        ],
    }


def _workers(history: History) -> list[dict[str, Any]]:
    """Return where evaluations were made: host, device, versions of the libraries, and how many."""
    counts = Counter(evaluation.worker for evaluation in history.evaluations if evaluation.worker is not None)
    return [
        {"host": worker.host, "device": worker.device, "versions": dict(worker.versions), "evaluations": count}
        for worker, count in counts.most_common()
    ]


def evaluations_table(history: History, space: SearchSpace) -> pa.Table:
    """Return one row per evaluation; a gene or metric that is named like another column gets a prefix."""
    import pyarrow as pa

    evaluations = history.evaluations
    on_front = {member.candidate.id for member in history.front.members}
    genes = [space.describe(evaluation.candidate.genome) for evaluation in evaluations]
    metrics = list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.metrics))
    first = {
        "id": pa.array([e.candidate.id for e in evaluations], pa.int64()),
        "generation": pa.array([e.candidate.generation for e in evaluations], pa.int64()),
    }
    last = {
        "source": pa.array([str(e.source) for e in evaluations], pa.string()),
        "seconds": pa.array([e.seconds for e in evaluations], pa.float64()),
        "seed": pa.array([e.seed for e in evaluations], pa.int64()),
        "on_front": pa.array([e.candidate.id in on_front for e in evaluations], pa.bool_()),
        "budget": pa.array([e.candidate.budget for e in evaluations], pa.int64()),
        "host": pa.array([e.worker.host if e.worker else None for e in evaluations], pa.string()),
        "device": pa.array([e.worker.device if e.worker else None for e in evaluations], pa.string()),
        "reused_from": pa.array([e.reused_from for e in evaluations], pa.string()),
    }
    chosen = {gene.name: pa.array([g.get(gene.name) for g in genes], pa.string()) for gene in space.genes}
    measured = {name: pa.array([e.metrics.get(name) for e in evaluations], pa.float64()) for name in metrics}
    columns = dict(first)
    for prefix, more in (("gene_", chosen), ("metric_", measured)):
        taken = {*columns, *last}
        columns |= {f"{prefix}{name}" if name in taken else name: column for name, column in more.items()}
    return pa.table(columns | last)


def write_result(history: History, space: SearchSpace, run_folder: Path) -> None:
    """Write front.json, evaluations.parquet, front.html, front.png and progress.html, each whole or not at all."""

    def write_json(path: Path) -> None:
        path.write_text(json.dumps(result(history, space), indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def write_table(path: Path) -> None:
        from pyarrow import parquet

        parquet.write_table(evaluations_table(history, space), path)

    writers: Mapping[str, Callable[[Path], None]] = {
        "front.json": write_json,
        "evaluations.parquet": write_table,
        "front.html": lambda path: write_front_html(history, space, path),
        "front.png": lambda path: write_front_png(history, space, path),
        "progress.html": lambda path: write_progress_html(history, space, path),
    }
    for name, write in writers.items():
        write_whole(run_folder / name, write)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let a reader see the old file or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bool() | np.bool_():
            return bool(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case np.integer():
            return int(value)
        case str():
            return str(value)
    return value
