"""The journal gives back what it was given, survives any torn end, and is on the disk before it returns."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path

import pytest

from evonas.errors import JournalError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Rejection, Source, Worker
from evonas.journal import Asked, Closed, Event, Finished, Header, Joined, Journal, encode, read

HEADER = Header(
    name="journaled",
    config={"seed": 7, "space": {"use": "a:B", "rate": 1e-3}},
    config_hash="0123456789abcdef",
    objectives=[{"metric": "valid_error", "maximize": False, "worst": 1.0}],
    constraints=[],
    gates=[{"metric": "params", "at_most": 3.0}],
    data_fingerprint=None,
    versions={"evonas": "0.1.0"},
    created="2025-01-01T00:00:00+00:00",
)
ODD_FLOATS = {
    "third": 1 / 3, "sum": 0.1 + 0.2, "denormal": 5e-324, "huge": 1.7976931348623157e308, "minus_zero": -0.0,
    "big": 2.0**53 + 2, "whole": 3.0,
}  # fmt: skip
CANDIDATES = [
    Candidate(0, (0, 2, 1), 0),
    Candidate(1, (), 0, (0,), 3),
    Candidate(2, (5,), 1, (0, 1), None),
    *[Candidate(number, (number,), 2) for number in range(3, 14)],
]
OUTCOMES = [
    *[Evaluation(CANDIDATES[i], ODD_FLOATS, source, 0.1 * i, 2**32 - 1) for i, source in enumerate(Source)],
    *[Failure(CANDIDATES[5 + i], 'Traceback\n\t"é\x1b\u2028 \ud800"\r\n', kind) for i, kind in enumerate(FailureKind)],
    Rejection(CANDIDATES[10], "params <= 3", 1e-9, 3.0),
]
EVENTS: list[Event] = [
    HEADER,
    Asked(CANDIDATES[:2], {"params <= 3": 4}),
    Asked(CANDIDATES[2:], {}),
    *[Finished(outcome, 0.25 * number) for number, outcome in enumerate(OUTCOMES)],
    Closed("budget", 1e4),
    Closed("failures", 1e4 + 1 / 3),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def written(path: Path) -> Path:
    path.write_bytes(b"".join(map(encode, EVENTS)))
    return path


def append(path: Path, *events: Event) -> None:
    journal, _ = Journal.reopen(path)
    journal.append(events)
    journal.close()


def test_every_event_and_outcome_comes_back_equal(path: Path) -> None:
    journal = Journal.create(path, HEADER)
    for event in EVENTS[1:]:
        journal.append([event])
    journal.close()
    journal.close()
    assert list(read(path)) == EVENTS
    evaluation = list(read(path))[3]
    assert isinstance(evaluation, Finished)
    assert isinstance(evaluation.outcome, Evaluation)
    assert math.copysign(1, evaluation.outcome.metrics["minus_zero"]) == -1
    assert {type(value) for value in evaluation.outcome.metrics.values()} == {float}


def test_a_header_is_read_that_knows_nothing_of_newer_facts(path: Path) -> None:
    newer = {"space_fingerprint", "evaluator_fingerprint", "genes", "known_hypervolume"}
    record = {key: value for key, value in json.loads(encode(HEADER)).items() if key not in newer}
    path.write_text(json.dumps(record) + "\n")
    assert list(read(path)) == [HEADER]


def test_an_event_is_one_line_of_ascii() -> None:
    for event in EVENTS:
        line = encode(event)
        assert line.isascii()
        assert line.splitlines() == [line[:-1]]


@pytest.mark.parametrize("last", [EVENTS[1], EVENTS[3], EVENTS[8], EVENTS[13], Closed("budget", 12.5)])
def test_a_torn_last_line_is_dropped_wherever_it_tears(last: Event, path: Path) -> None:
    kept = [HEADER, Asked(CANDIDATES), Closed("failures", 1.0)]
    whole, torn = b"".join(map(encode, kept)), encode(last)
    for cut in range(len(torn)):  # the last cut leaves valid JSON without its newline
        path.write_bytes(whole + torn[:cut])
        assert list(read(path)) == kept
        journal, events = Journal.reopen(path)
        assert events == kept
        assert path.stat().st_size == len(whole)
        journal.append([Closed("budget", 2.0)])
        journal.close()
        assert list(read(path)) == [*kept, Closed("budget", 2.0)], f"cut at {cut}"


def test_a_torn_header_is_no_search(path: Path) -> None:
    for cut in range(len(encode(HEADER))):
        path.write_bytes(encode(HEADER)[:cut])
        with pytest.raises(JournalError, match="is empty: no search was started here; remove the folder"):
            Journal.reopen(path)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe", b"5", b"null", b"[]", b'"event"', b"{}", b'{"event":"begun"}', b'{"event":["closed"]}',
     b'{"event":"closed"}', b'{"event":"asked","candidates":[[1,2]],"turned_away":{}}',
     b'{"event":"finished","elapsed":1,"id":99,"metrics":{}}', b'{"event":"asked","candidates":3,"turned_away":{}}',
     b'{"event":"finished","elapsed":1,"id":1,"failure":"fate","reason":""}', b"\0" * 40,
     encode(EVENTS[1])[:-1],
     encode(Finished(OUTCOMES[0], 1.0)) + encode(Finished(OUTCOMES[0], 2.0))[:-1]],
)  # fmt: skip
@pytest.mark.parametrize("end", [b"", b'{"event":"closed","reason":"budget","elapsed":1}\n'])
def test_damage_is_named_by_its_line(damage: bytes, end: bytes, path: Path) -> None:
    path.write_bytes(encode(HEADER) + encode(EVENTS[1]) + damage + b"\n" + end)
    for attempt in (lambda: list(read(path)), lambda: Journal.reopen(path)):
        with pytest.raises(JournalError, match=r"journal\.jsonl, line [34] is damaged .*: restore .* or cut it"):
            attempt()


def test_reopening_a_damaged_journal_leaves_it_as_it_is(written: Path) -> None:
    damaged = written.read_bytes().replace(b'"asked"', b'"axed"', 1)
    written.write_bytes(damaged)
    with pytest.raises(JournalError, match="line 2"):
        Journal.reopen(written)
    assert written.read_bytes() == damaged


def test_the_header_is_the_first_line_and_the_only_one(path: Path) -> None:
    for lines, number in [([EVENTS[1], HEADER], 1), ([HEADER, EVENTS[1], HEADER], 3)]:
        path.write_bytes(b"".join(map(encode, lines)))
        with pytest.raises(JournalError, match=f"line {number}: the header must be the first line, and the only one"):
            Journal.reopen(path)


def test_another_format_is_refused_with_the_version_that_wrote_it(path: Path) -> None:
    future = json.loads(encode(HEADER))
    path.write_text(json.dumps({**future, "format": 4, "colour": "blue"}) + "\n")
    with pytest.raises(JournalError, match=r"has format 4, and this version of evonas reads 1 to 3: use .*0\.1\.0"):
        list(read(path))


def test_an_empty_or_missing_journal_is_refused(path: Path) -> None:
    for attempt in (lambda: list(read(path)), lambda: Journal.reopen(path)):
        with pytest.raises(JournalError, match=r"there is no journal at .*: No such file"):
            attempt()
    path.touch()
    assert list(read(path)) == []
    with pytest.raises(JournalError, match="is empty"):
        Journal.reopen(path)


def test_an_existing_journal_is_not_overwritten(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(written, HEADER)
    assert written.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(value: float, written: Path) -> None:
    before = written.read_bytes()
    journal = Journal(written)
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append([Closed("budget", 1.0), Finished(Rejection(CANDIDATES[0], "gate", value, 1.0), 1.0)])
    journal.close()
    assert written.read_bytes() == before


def test_a_full_disk_is_said_plainly() -> None:
    journal = Journal(Path("/dev/full"))
    with pytest.raises(JournalError, match="/dev/full cannot be written: No space left"):
        journal.append([HEADER])
    journal.close()


def test_append_returns_when_the_event_is_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((stat.S_ISREG(status.st_mode), status.st_size if stat.S_ISREG(status.st_mode) else 0))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal.create(path, HEADER)
    size = path.stat().st_size
    assert synced == [(True, size), (False, 0)], "the line, and the folder's entry of the file"
    synced.clear()
    journal.append(EVENTS[1:3])
    assert synced == [(True, size + sum(len(encode(event)) for event in EVENTS[1:3]))], "written before, once for both"
    journal.close()


def test_a_header_holds_its_format() -> None:
    assert isinstance(HEADER, Header)
    assert json.loads(encode(HEADER))["format"] == 3


@pytest.mark.parametrize("earlier", [b"1", b"2"])
def test_earlier_formats_are_still_read(earlier: bytes, path: Path) -> None:
    path.write_bytes(encode(HEADER).replace(b'"format":3', b'"format":' + earlier) + encode(EVENTS[1]))
    assert list(read(path))[1] == EVENTS[1]


def test_a_candidate_of_a_lower_fidelity_comes_back_with_its_source_and_others_say_none(path: Path) -> None:
    asked = [
        Candidate(0, (1, 2), 0, (), None, Source.ZERO_COST),
        Candidate(1, (1, 2), 0, (0,), 3),
        Candidate(2, (3,), 0),
    ]
    path.write_bytes(encode(HEADER) + encode(Asked(asked)))
    assert list(read(path))[1] == Asked(asked)
    rows = json.loads(path.read_bytes().splitlines()[1])["candidates"]
    assert rows == [[0, [1, 2], 0, [], None, "zero_cost"], [1, [1, 2], 0, [0], 3], [2, [3], 0, [], None]]


def test_where_an_evaluation_was_made_is_told_once_and_named_by_number(path: Path) -> None:
    here, there = Worker("alpha", "cpu", (("torch", "2.13.0"),)), Worker("beta", "cuda:0 H100", ())
    made = [
        Finished(Evaluation(candidate, {"valid_error": 0.5}, Source.TRAINED, 1.0, 0, worker, reused), 1.0)
        for candidate, worker, reused in zip(
            CANDIDATES, [here, there, here, None, there], [None, None, "run-7/12", None, None], strict=False
        )
    ]
    journal = Journal.create(path, HEADER)
    journal.append([Asked(CANDIDATES), *made[:2]])
    journal.close()
    append(path, *made[2:])
    events = list(read(path))
    assert [event for event in events if isinstance(event, Finished)] == made
    assert [event for event in events if isinstance(event, Joined)] == [Joined(0, here), Joined(1, there)]
    assert path.read_bytes().count(b"alpha") == 1


def test_what_is_written_outlives_the_process_and_one_sync_covers_it_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    journal = Journal.create(path, HEADER)
    monkeypatch.setattr(os, "fsync", synced.append)
    for event in EVENTS[1:]:
        journal.write([event])
        assert list(read(path))[-1] == event
    assert synced == []
    for _ in range(3):
        journal.sync()
    assert len(synced) == 1
    journal.write([Closed("budget", 2e4)])
    journal.close()
    assert len(synced) == 2, "closing syncs what is left"


def test_what_another_left_unsynced_is_durable_before_it_is_acted_on(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal, _ = Journal.reopen(written)
    journal.close()
    assert len(synced) == 1
