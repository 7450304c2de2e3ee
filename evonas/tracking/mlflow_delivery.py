"""Brings MLflow up to date with a journal: it compares what should be there with what is, and sends the difference."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evonas.errors import JournalError
from evonas.evaluation import Evaluation, Failure
from evonas.history import JOURNAL, History
from evonas.journal import Cursor, Event, Finished, Header
from evonas.space import SearchSpace
from evonas.tracking import mlflow_records as records
from evonas.tracking import mlflow_summary as summary
from evonas.tracking.mlflow_links import Place
from evonas.tracking.mlflow_runs import SearchRuns, refused
from evonas.tracking.mlflow_store import Store, reason

Children = Literal["all", "front", "none"]

DRAW_SECONDS = 30.0
"""At most this often the front is drawn while the search runs; less often where drawing takes long."""

ATTEMPTS = 5
"""So often one thing is tried while the server answers to everything else."""

STATE = "evonas.state"
SENT = "evonas.sent"

log = logging.getLogger("evonas")


@dataclass(frozen=True, slots=True)
class Errand:
    """One thing to send; `done` is called when it is there, or when it is refused for good."""

    name: str
    send: Callable[[], None]
    done: Callable[[], None]


class Delivery:
    """A journal and what MLflow has of it; used by one thread.

    Nothing is trusted that MLflow does not say itself: after a failed call it is asked again what it has.
    """

    def __init__(
        self, run_folder: Path, space: SearchSpace, store: Store, experiment: str | None, children: Children
    ) -> None:
        self.refused: dict[str, str] = {}
        self.sent = 0
        self._run_folder, self._space, self._store, self._children = run_folder, space, store, children
        self._cursor = Cursor(run_folder / JOURNAL)
        events = self._cursor.read()
        if not events or not isinstance(header := events[0], Header):
            raise JournalError(f"{run_folder / JOURNAL} does not begin with a header")
        self._history = History(header)
        search = records.search_record(header, run_folder)
        self._search_uid = search.uid
        self._runs = SearchRuns(store, experiment or header.name, search)
        self._finished: dict[int, float] = {}
        self._queue: deque[int] = deque()
        self._events, self._generations, self._outcomes_drawn = 1, 0, 0
        self._ending = self._ended = self._doubtful = False
        self._last_words: deque[Errand] = deque()
        self._draw_at = time.monotonic() + DRAW_SECONDS
        self._attempts: Counter[str] = Counter()
        self._take_in(events[1:])

    def read(self) -> None:
        """Take in what the journal has gained."""
        self._take_in(self._cursor.read())

    def step(self, *, ending: bool) -> bool:
        """Send the next thing that MLflow lacks; False when it lacks nothing.

        Once `ending`, what a person looks at first goes first. Raises what the client raises when the server is
        gone: the next call then begins by asking what arrived. What the server refuses is left out and counted.
        A search that has no outcome yet may still be refused, and MLflow does not hear of it.
        """
        if not self._history.outcomes:
            return False
        if ending and not self._ending:
            self._ending = True
            self._runs.connected &= not self._doubtful  # what the server did after we gave up waiting shows by now
            self._plan()
        errand = self._next()
        if errand is None:
            return False
        try:
            errand.send()
        except Exception as error:
            if not self._in_vain(errand, error):
                self._runs.connected, self._doubtful = False, True
                raise
            self._refuse(errand.name, error)
        errand.done()
        return True

    @property
    def unsent(self) -> int:
        """How many runs and generations (and the summary) MLflow lacks as far as we know; 0 when it has everything."""
        return (
            0
            if self._ended or not self._history.outcomes
            else len(self._queue) + len(self._history.generations) - self._generations + 1
        )

    def settle(self) -> None:
        """Take in the rest of the journal, to know what is missing, and note that in the run folder."""
        self.read()
        self._note_place()

    def _take_in(self, events: list[Event]) -> None:
        for event in events:
            self._events += 1
            self._history.apply(event)
            if isinstance(event, Finished):
                self._finished[event.outcome.candidate.id] = event.elapsed
                if self._children == "all" and isinstance(event.outcome, Evaluation | Failure):
                    self._queue.append(event.outcome.candidate.id)

    def _next(self) -> Errand | None:
        if not self._runs.connected:
            return Errand("the search", self._connect, _nothing)
        if self._ended:
            return None
        if self._generations < len(self._history.generations):
            return self._points()
        if self._ending and self._last_words:
            return self._last_words[0]
        if not self._ending and len(self._history.outcomes) > self._outcomes_drawn and time.monotonic() > self._draw_at:
            return Errand("the front so far", self._draw, _nothing)
        if self._queue:
            return self._child(self._queue[0])
        if self._ending:
            return self._front_mark() or Errand("the end", self._end, self._mark_ended)
        return None

    def _in_vain(self, errand: Errand, error: Exception) -> bool:
        """Say whether to leave the errand out: a server that has our search refuses it, or it never succeeds."""
        if not self._runs.connected:
            return False
        if refused(error):
            try:
                return self._runs.present()
            except Exception:
                return False
        self._attempts[errand.name] += 1
        return self._attempts[errand.name] >= ATTEMPTS

    def _refuse(self, name: str, error: Exception) -> None:
        if name not in self.refused:
            log.warning("MLflow does not get %s: %s", name, reason(error))
        self.refused[name] = reason(error)

    def _connect(self) -> None:
        place = Place.read(self._run_folder)
        self._runs.connect(place.run_id if place and place.uri == self._store.address else None)
        self._generations = 0
        self._plan()
        if not self._ending:
            self._runs.run()
            self._runs.put_tags({STATE: "running"})
        elif self._runs.tags.get(SENT) == self._stamp():
            self._ended = True
        self._note_place()

    def _plan(self) -> None:
        """Queue the candidates whose runs are wanted and not complete: the front's first when the search ends."""
        last_words = {"how the search ended": self._tell_end, "the summary": self._tell}
        self._last_words = deque(Errand(name, send, self._pop_last_word) for name, send in last_words.items())
        front = [member.candidate.id for member in self._history.front.members] if self._ending else []
        wanted = {"all": [*front, *self._finished], "front": front, "none": []}[self._children]
        self._queue = deque(id_ for id_ in dict.fromkeys(wanted) if self._lacks(id_))

    def _lacks(self, candidate: int) -> bool:
        child = self._runs.children.get(self._uid(candidate))
        return (
            isinstance(self._history.outcomes[candidate], Evaluation | Failure)
            and not (child and child.complete)
            and _name(candidate) not in self.refused
        )

    def _points(self) -> Errand:
        count = len(self._history.generations)
        points = records.generation_points(self._history, self._generations)

        def done() -> None:
            self._generations = count

        return Errand(f"generation {count - 1}", lambda: self._runs.put_points(points), done)

    def _child(self, candidate: int) -> Errand:
        def send() -> None:
            outcome = self._history.outcomes[candidate]
            assert isinstance(outcome, Evaluation | Failure)
            on_front = self._ending and self._uid(candidate) in self._front()
            record = records.candidate_record(
                self._history, outcome, self._finished[candidate], self._space, on_front=on_front
            )
            self._runs.put_child(record)

        def done() -> None:
            self._queue.popleft()
            self.sent += 1

        return Errand(_name(candidate), send, done)

    def _front_mark(self) -> Errand | None:
        """Return the errand for the first child whose tag is wrong about the front."""
        front = self._front()
        wrong = (uid for uid, child in self._runs.children.items() if child.on_front != (uid in front))
        uid = next((uid for uid in wrong if _mark(uid) not in self.refused), None)
        return Errand(_mark(uid), lambda: self._runs.mark_front(uid, uid in front), _nothing) if uid else None

    def _draw(self) -> None:
        """Send the front so far, and set the time of the next drawing by what this one took."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="evonas-") as folder:
            self._put(Path(folder), summary.write_live(self._history, self._space, Path(folder)))
        self._outcomes_drawn = len(self._history.outcomes)
        self._draw_at = time.monotonic() + max(DRAW_SECONDS, 20 * (time.monotonic() - began))

    def _tell(self) -> None:
        """Send all pictures and tables."""
        with tempfile.TemporaryDirectory(prefix="evonas-") as folder:
            self._put(Path(folder), summary.write_final(self._history, self._space, self._run_folder, Path(folder)))

    def _tell_end(self) -> None:
        closed = self._history.closed
        status = "KILLED" if closed is None else "FAILED" if closed == "failures" else "FINISHED"
        self._runs.end(status, records.moment(self._history.header, self._history.elapsed))

    def _end(self) -> None:
        """Send the note again, which can link to every run of the front now, and the receipt for everything."""
        self._put_note()
        self._runs.put_tags({STATE: self._history.closed or "interrupted", SENT: self._stamp()})

    def _put(self, folder: Path, broken: dict[str, Exception]) -> None:
        for file, error in broken.items():
            self._refuse(file, error)
        self._runs.put_artifacts(folder, [summary.TABLE] if (folder / summary.TABLE).exists() else [])
        self._put_note()

    def _put_note(self) -> None:
        text = summary.note(self._history, self._space, self._run_folder, self._place())
        self._runs.put_tags({records.NOTE: text, "evonas.front_digest": self._history.front.digest()})

    def _pop_last_word(self) -> None:
        self._last_words.popleft()

    def _mark_ended(self) -> None:
        self._ended = True
        self._note_place()

    def _stamp(self) -> str:
        return f"{self._events} events, children: {self._children}"

    def _uid(self, candidate: int) -> str:
        return records.candidate_uid(self._search_uid, candidate)

    def _front(self) -> list[str]:
        return [self._uid(member.candidate.id) for member in self._history.front.members]

    def _note_place(self) -> None:
        """Keep a note in the run folder of where the search is to be found, once that is known."""
        if self._runs.run_id:
            self._place().write(self._run_folder)

    def _place(self) -> Place:
        children = self._runs.children
        return Place(
            uri=self._store.address,
            experiment_id=self._runs.experiment_id,
            run_id=self._runs.run_id,
            sent=sum(child.complete for child in children.values()),
            unsent=self.unsent,
            refused=len(self.refused),
            front=[children[uid].run_id for uid in self._front() if uid in children],
        )


def _name(candidate: int) -> str:
    return f"candidate {candidate}"


def _mark(uid: str) -> str:
    return f"the front's mark of {uid}"


def _nothing() -> None:
    pass
