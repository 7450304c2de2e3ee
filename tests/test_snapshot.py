"""A snapshot of a history is whole and stays as it is, although another thread adds to the history."""

from __future__ import annotations

import threading

import synthetic

from evonas.history import History
from evonas.tracking.snapshot import snapshot


def test_snapshot_stays_as_it_is() -> None:
    events = synthetic.events(generations=4)
    history = History.replay(events[:30])
    still = snapshot(history)
    for event in events[30:]:
        history.apply(event)
    before = History.replay(events[:30])
    assert vars(still).keys() == vars(before).keys()
    for name in ("candidates", "outcomes", "generations", "turned_away", "closed", "elapsed", "evaluations", "pending"):
        assert getattr(still, name) == getattr(before, name), name
    assert still.front.digest() == before.front.digest() != history.front.digest()


def test_snapshots_taken_while_the_search_goes_on_hold_their_front() -> None:
    events, broken, over = synthetic.events(generations=25), list[str](), threading.Event()
    history = History.replay(events[:1])

    def look() -> None:
        while not over.is_set():
            still = snapshot(history)
            if not {member.candidate.id for member in still.front.members} <= still.outcomes.keys():
                broken.append("a member of the front has no outcome")
            if len(still.outcomes) != len([still.outcomes[id_] for id_ in still.outcomes]):
                broken.append("it changed")

    thread = threading.Thread(target=look)
    thread.start()
    for event in events[1:]:
        history.apply(event)
    over.set()
    thread.join()
    assert not broken
    assert len(history.outcomes) == 25 * 16
