"""Evaluations that outlive their run: one file of JSON each, shared by any number of searches at once."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Source, Worker
from evonas.space import Metrics

FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """An evaluation as it is kept: what was measured, where, how long it took, and the `run/candidate` it was for."""

    metrics: Metrics
    source: Source
    seconds: float
    seed: int
    worker: Worker | None
    made_for: str

    def evaluation(self, candidate: Candidate) -> Evaluation:
        """Return the evaluation of a candidate of the same network."""
        return Evaluation(
            candidate, self.metrics, self.source, self.seconds, self.seed, self.worker, reused_from=self.made_for
        )


class Cache:
    """A folder of entries, each under the hash of all that decides it (`facts`, JSON-plain values).

    An entry is written under a name of its own and renamed, so that readers and other writers, on this machine or on
    others that share the folder, see it whole or not at all. A checksum tells one that is damaged, which counts as
    missing and is replaced. Trouble with the disk is said once and stops nothing: the cache then knows less.
    Raises ConfigError if `folder` is something else.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"'cache' must name a folder, and {folder} is none: name another, or null for no cache")
        self.folder = folder
        self._complained: set[str] = set()

    def look_up(self, facts: Mapping[str, Any]) -> Entry | None:
        """Return the entry of these facts; None if there is none that is whole."""
        path = self._path(facts)
        try:
            return _decoded(path.read_bytes(), facts)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
        except (ValueError, LookupError, TypeError, AttributeError):
            _log.info("%s is damaged, and will be replaced", path)
        return None

    def keep(self, facts: Mapping[str, Any], evaluation: Evaluation, made_for: str) -> None:
        """Store an evaluation, in place of what is there."""
        path = self._path(facts)
        draft = path.with_name(f".{path.stem}.{socket.gethostname()}-{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(_encoded(facts, evaluation, made_for))
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            self._complain("written", error)

    def _path(self, facts: Mapping[str, Any]) -> Path:
        key = _sha256(facts)
        return self.folder / key[:2] / f"{key[2:]}.json"

    def _complain(self, done: str, error: OSError) -> None:
        if done not in self._complained:
            self._complained.add(done)
            _log.warning(
                "the cache %s cannot be %s (%s): the search goes on without what it lacks",
                self.folder, done, error.strerror,
            )  # fmt: skip


def _encoded(facts: Mapping[str, Any], evaluation: Evaluation, made_for: str) -> bytes:
    worker = evaluation.worker
    entry = {
        "format": FORMAT,
        "facts": facts,
        "metrics": dict(evaluation.metrics),
        "source": evaluation.source,
        "seconds": evaluation.seconds,
        "seed": evaluation.seed,
        "worker": None if worker is None else [worker.host, worker.device, dict(worker.versions)],
        "made_for": made_for,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps({"checksum": _sha256(entry), "entry": entry}, indent=1, allow_nan=False).encode() + b"\n"


def _decoded(text: bytes, facts: Mapping[str, Any]) -> Entry:
    """Return the entry that `text` holds; raise ValueError, LookupError, TypeError or AttributeError if it is none."""
    document = json.loads(text)
    entry = document["entry"]
    if document["checksum"] != _sha256(entry):
        raise ValueError("the checksum differs")
    if entry["format"] != FORMAT or entry["facts"] != json.loads(json.dumps(facts)):
        raise ValueError("an entry of something else")
    metrics = {str(name): float(value) for name, value in entry["metrics"].items()}
    if not all(map(math.isfinite, metrics.values())):
        raise ValueError("metrics that are not finite")
    worker = None
    if entry["worker"] is not None:
        host, device, versions = entry["worker"]
        worker = Worker(str(host), str(device), tuple((str(name), str(v)) for name, v in versions.items()))
    source, seconds, seed = Source(entry["source"]), float(entry["seconds"]), int(entry["seed"])
    return Entry(metrics, source, seconds, seed, worker, str(entry["made_for"]))


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()
