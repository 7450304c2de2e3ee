"""The journal: every event of a search as a line of JSON, durable before anything acts on it; the only checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from evonas.errors import JournalError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Outcome, Rejection, Source

FORMAT = 1
TEMPORARY = ".new"


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: everything that decides the search."""

    name: str
    config: Mapping[str, Any]
    config_hash: str
    objectives: Sequence[Mapping[str, Any]]
    constraints: Sequence[Mapping[str, Any]]
    gates: Sequence[Mapping[str, Any]]
    data_fingerprint: str | None
    versions: Mapping[str, str]
    created: str
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Asked:
    """The strategy proposed candidates; `turned_away` counts, by gate, the genomes that it drew for them in vain."""

    candidates: Sequence[Candidate]
    turned_away: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """A candidate has its outcome, `elapsed` seconds into the search (interruptions not counted)."""

    outcome: Outcome
    elapsed: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The search ended: `budget` spent, space `exhausted`, or `failures` in a row; a later line continues it."""

    reason: str
    elapsed: float


@dataclass(frozen=True, slots=True)
class Continued:
    """The search was resumed with other values of what may change: `config` is whole, and replaces the header's."""

    config: Mapping[str, Any]


Event = Header | Asked | Finished | Closed | Continued


class Journal:
    """An append-only file of events. Opening one drops a last line that was torn by a crash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    @classmethod
    def create(cls, path: Path, header: Header) -> Journal:
        """Start a new journal; raise JournalError if there is one."""
        if path.exists():
            raise JournalError(f"{path} exists already")
        temporary = path.with_name(path.name + TEMPORARY)  # a journal has its header from the first moment
        temporary.unlink(missing_ok=True)
        journal = cls(temporary)
        journal.append([header])
        temporary.rename(path)
        journal.path = path
        _sync_folder(path.parent)
        return journal

    @classmethod
    def reopen(cls, path: Path) -> tuple[Journal, list[Event]]:
        """Return a journal to append to, and the events that it holds."""
        events: list[Event] = []
        whole = 0
        for event, whole in _scan(path):  # noqa: B007 - the last offset is used below
            events.append(event)
        if not events:
            raise JournalError(f"{path} is empty: no search was started here; remove the folder and run again")
        with path.open("r+b") as file:
            file.truncate(whole)
        return cls(path), events

    def append(self, events: Sequence[Event]) -> None:
        """Write events and return when they are on the disk; raise JournalError if it is full or gone."""
        lines = memoryview(b"".join(encode(event) for event in events))
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(
                f"{self.path} cannot be written: {error.strerror}: mend that and resume, nothing finished is lost"
            ) from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a journal; a torn last line is left out."""
    return (event for event, _ in _scan(path))


class Cursor:
    """Follows a journal that is being written: each `read` returns the whole events that came since the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._decoder = _Decoder(path)

    def read(self) -> list[Event]:
        """Return the new events, an incomplete last line left for the next time."""
        with _open(self._path) as file:
            file.seek(self._offset)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._decoder.decode(line) for line in whole.splitlines()]


def encode(event: Event) -> bytes:
    """Return an event as a line of JSON."""
    record: dict[str, Any]
    match event:
        case Header():
            record = {"event": "header", **asdict(event)}
        case Asked():
            rows = [[c.id, c.genome, c.generation, c.parents, c.budget] for c in event.candidates]
            record = {"event": "asked", "candidates": rows, "turned_away": dict(event.turned_away)}
        case Finished():
            record = {"event": "finished", "elapsed": event.elapsed, **_encode_outcome(event.outcome)}
        case Closed():
            record = {"event": "closed", "reason": event.reason, "elapsed": event.elapsed}
        case Continued():
            record = {"event": "continued", "config": event.config}
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _encode_outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Evaluation(candidate, metrics, source, seconds, seed):
            fields = {"metrics": dict(metrics), "source": source, "seconds": seconds, "seed": seed}
        case Failure(candidate, reason, kind):
            fields = {"failure": kind, "reason": reason}
        case Rejection(candidate, gate, value, bound):
            fields = {"rejected_by": gate, "value": value, "bound": bound}
    return {"id": candidate.id, **fields}


class _Decoder:
    """Turns lines, from the first on, into events; it knows the candidates, whose outcomes name them by id only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self._candidates: dict[int, Candidate] = {}

    def decode(self, line: bytes) -> Event:
        self._number += 1
        where = f"{self._path}, line {self._number}"
        try:
            record = json.loads(line)
            kind = record.pop("event")
            if kind == "header" and record["format"] != FORMAT:
                raise JournalError(
                    f"{where} has format {record['format']}, and this version of evonas reads {FORMAT}: "
                    f"use the one that wrote it ({record.get('versions', {}).get('evonas', 'unknown')})"
                )
            event = self._event(kind, record)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise JournalError(
                f"{where} is damaged ({type(error).__name__}: {error}): restore the file from a copy, or cut it before "
                f"that line and resume: what was lost is evaluated again"
            ) from error
        if (self._number == 1) != isinstance(event, Header):
            raise JournalError(f"{where}: the header must be the first line, and the only one")
        return event

    def _event(self, kind: str, record: dict[str, Any]) -> Event:
        match kind:
            case "header":
                return Header(**record)
            case "asked":
                asked = [Candidate(i, tuple(g), n, tuple(p), b) for i, g, n, p, b in record["candidates"]]
                self._candidates.update((candidate.id, candidate) for candidate in asked)
                return Asked(asked, record["turned_away"])
            case "finished":
                return Finished(self._outcome(record), record["elapsed"])
            case "closed":
                return Closed(record["reason"], record["elapsed"])
            case "continued":
                return Continued(record["config"])
            case unknown:
                raise ValueError(f"unknown event '{unknown}'")

    def _outcome(self, record: dict[str, Any]) -> Outcome:
        candidate = self._candidates[record["id"]]
        if "metrics" in record:
            return Evaluation(candidate, record["metrics"], Source(record["source"]), record["seconds"], record["seed"])
        if "failure" in record:
            return Failure(candidate, record["reason"], FailureKind(record["failure"]))
        return Rejection(candidate, record["rejected_by"], record["value"], record["bound"])


def _scan(path: Path) -> Iterator[tuple[Event, int]]:
    """Yield events with the offset behind each; stop before a torn last line."""
    decoder, offset = _Decoder(path), 0
    with _open(path) as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield decoder.decode(line), offset


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise JournalError(f"there is no journal at {path}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
