"""The journal: every event of a search as a line of JSON, durable before anything acts on it; the only checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from evonas.errors import JournalError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Outcome, Rejection, Source, Worker

FORMAT = 3
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
    space_fingerprint: str | None = None
    evaluator_fingerprint: str | None = None
    strategy_fingerprint: str | None = None
    genes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names and options of the genes, which may come from a file that is gone when the journal is read."""
    known_hypervolume: float | None = None
    """What the search can reach at most, where all networks are known beforehand."""
    warm_start: Sequence[Sequence[int]] = field(default_factory=list)
    """The genomes that the initial population is taken from."""
    audit: Mapping[str, Any] | None = None
    """The `evonas.live_audit.Rule` by which the search is audited while it runs; None if it is not."""
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
    """The search ended: `budget` spent, space `exhausted`, `plateau` reached, or `failures` in a row.

    A later line continues it. `remarks` are what the strategy said of it, numbers by name.
    """

    reason: str
    elapsed: float
    remarks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Continued:
    """The search was resumed with other values of what may change: `config` is whole, and replaces the header's."""

    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker returned its first outcome; later lines name it by `number`. The journal writes this event itself."""

    number: int
    worker: Worker


Event = Header | Asked | Finished | Closed | Continued | Joined


class Journal:
    """An append-only file of events. Opening one drops a last line that was torn by a crash.

    `write` hands events to the operating system, so that they outlive this process; `sync` returns when they are on
    the disk. What acts on events outside this process comes after `sync`: one covers all that was written before it.
    """

    def __init__(self, path: Path, workers: Sequence[Worker] = ()) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._workers = {worker: number for number, worker in enumerate(workers)}
        self._synced = True

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
        journal = cls(path, [event.worker for event in events if isinstance(event, Joined)])
        journal._synced = False  # what was read is acted on, and may have been written by one who was killed before
        journal.sync()
        return journal, events

    def append(self, events: Sequence[Event]) -> None:
        """Write events and return when they are on the disk; raise JournalError if it is full or gone."""
        self.write(events)
        self.sync()

    def write(self, events: Sequence[Event]) -> None:
        """Write events, so that they outlive this process; raise JournalError if the disk is full or gone."""
        lines = memoryview(b"".join(line for event in events for line in self._lines(event)))
        self._synced &= not lines
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
        except OSError as error:
            raise self._unwritable(error) from error

    def sync(self) -> None:
        """Return when all that was written is on the disk; raise JournalError if it cannot be."""
        if self._synced:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        self._synced = True

    def close(self) -> None:
        """Close the file; may be called twice."""
        if not self._file.closed:
            with contextlib.suppress(JournalError):  # who writes has been told, or is beyond telling
                self.sync()
        self._file.close()

    def _lines(self, event: Event) -> Iterator[bytes]:
        worker = event.outcome.worker if isinstance(event, Finished) and isinstance(event.outcome, Evaluation) else None
        if worker is None:
            yield encode(event)
            return
        if (number := self._workers.get(worker)) is None:
            number = self._workers[worker] = len(self._workers)
            yield encode(Joined(number, worker))
        yield encode(event, number)

    def _unwritable(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self.path} cannot be written: {error.strerror}: mend that and resume, nothing finished is lost"
        )


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a journal; a torn last line is left out."""
    return (event for event, _ in _scan(path))


_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def encode(event: Event, worker: int | None = None) -> bytes:
    """Return an event as a line of JSON; `worker` is the number of the one that evaluated."""
    record: dict[str, Any]
    match event:
        case Header():
            record = {"event": "header", **asdict(event)}
        case Asked():
            rows = [
                [c.id, c.genome, c.generation, c.parents, c.budget, *([] if c.source is None else [c.source])]
                for c in event.candidates
            ]
            record = {"event": "asked", "candidates": rows, "turned_away": dict(event.turned_away)}
        case Finished():
            record = {"event": "finished", "elapsed": event.elapsed, **_encode_outcome(event.outcome)}
            if worker is not None:
                record["worker"] = worker
        case Closed():
            record = {"event": "closed", "reason": event.reason, "elapsed": event.elapsed}
            if event.remarks:
                record["remarks"] = dict(event.remarks)
        case Continued():
            record = {"event": "continued", "config": event.config}
        case Joined(number, joined):
            record = {"event": "worker", "number": number, **asdict(joined)}
    return _to_json(record).encode() + b"\n"


def _encode_outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Evaluation(candidate, metrics, source, seconds, seed):
            fields = {"metrics": dict(metrics), "source": source, "seconds": seconds, "seed": seed}
            if outcome.reused_from is not None:
                fields["reused_from"] = outcome.reused_from
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
        self._workers: dict[int, Worker] = {}
        self._ended: set[int] = set()

    def decode(self, line: bytes) -> Event:
        self._number += 1
        where = f"{self._path}, line {self._number}"
        try:
            record = json.loads(line)
            kind = record.pop("event")
            if kind == "header" and record["format"] not in range(1, FORMAT + 1):
                raise JournalError(
                    f"{where} has format {record['format']}, and this version of evonas reads 1 to {FORMAT}: "
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
                asked = [
                    Candidate(i, tuple(g), n, tuple(p), b, Source(source[0]) if source else None)
                    for i, g, n, p, b, *source in record["candidates"]
                ]
                if known := [candidate.id for candidate in asked if candidate.id in self._candidates]:
                    raise ValueError(f"candidate {known[0]} is asked for a second time")
                self._candidates.update((candidate.id, candidate) for candidate in asked)
                return Asked(asked, record["turned_away"])
            case "finished":
                return Finished(self._outcome(record), record["elapsed"])
            case "closed":
                return Closed(record["reason"], record["elapsed"], record.get("remarks", {}))
            case "continued":
                return Continued(record["config"])
            case "worker":
                versions = tuple((name, version) for name, version in record["versions"])
                worker = self._workers[record["number"]] = Worker(record["host"], record["device"], versions)
                return Joined(record["number"], worker)
            case unknown:
                raise ValueError(f"unknown event '{unknown}'")

    def _outcome(self, record: dict[str, Any]) -> Outcome:
        candidate = self._candidates[record["id"]]
        if candidate.id in self._ended:
            raise ValueError(f"candidate {candidate.id} has an outcome already")
        self._ended.add(candidate.id)
        if "metrics" in record:
            metrics = {sys.intern(name): value for name, value in record["metrics"].items()}
            worker = self._workers[record["worker"]] if "worker" in record else None
            source, reused_from = Source(record["source"]), record.get("reused_from")
            return Evaluation(candidate, metrics, source, record["seconds"], record["seed"], worker, reused_from)
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
