"""Brings MLflow up to date with a search: it compares what should be there with what is, and sends the difference."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from evonas.evaluation import Evaluation, Failure
from evonas.history import History
from evonas.space import SearchSpace
from evonas.tracking import mlflow_records as records
from evonas.tracking import mlflow_summary as summary
from evonas.tracking.mlflow_links import Place
from evonas.tracking.mlflow_runs import SearchRuns, refused
from evonas.tracking.mlflow_store import Store, reason
from evonas.tracking.snapshot import snapshot

Children = Literal["auto", "all", "front", "none"]

MANY = 1_000
"""In a longer search `auto` sends the front's runs only: more take minutes, and no page of MLflow shows them."""

READ_SECONDS = 5.0
"""At most this often what the search has come to is looked at, as long as there is something to send."""

DRAW_SECONDS, DRAW_SECONDS_PER_OUTCOME = 30.0, 0.005
"""At most this often the front is drawn while the search runs: drawing 10,000 points takes about a second."""

ATTEMPTS = 5
"""So often one thing is tried while the server answers to everything else."""

STATE = "evonas.state"
SENT = "evonas.sent"

log = logging.getLogger("evonas")


@dataclass(frozen=True, slots=True)
class Errand:
    """One thing to send; `done` is called when it is there, or is left out."""

    name: str
    send: Callable[[], None]
    done: Callable[[], None]


class Delivery:
    """A search's history and what MLflow has of it; used by one thread, while another may add to the history.

    Nothing is trusted that MLflow does not say itself: after a failed call it is asked again what it has.
    """

    def __init__(
        self,
        history: History,
        run_folder: Path,
        space: SearchSpace,
        store: Store,
        experiment: str | None,
        children: Children,
    ) -> None:
        self.refused: dict[str, str] = {}
        """What the server refuses for good, and why."""
        self.put_off: dict[str, str] = {}
        """What fails although everything else succeeds, and how; tried again when the search ends, or by a sync."""
        self.sent = 0
        self.children = wanted_children(children, history)
        self._live = self._history = history
        self._run_folder, self._space, self._store = run_folder, space, store
        search = records.search_record(history.header, run_folder)
        self._search_uid = search.uid
        self._runs = SearchRuns(store, experiment or history.header.name, search)
        self._queue: deque[int] = deque()
        self._durable = len(history.outcomes)
        self._taken = self._generations = self._audited = self._outcomes_drawn = 0
        self._ending = self._ended = self._doubtful = False
        self._last_words: deque[Errand] = deque()
        self._read_at, self._draw_at = 0.0, time.monotonic() + DRAW_SECONDS
        self._attempts: Counter[str] = Counter()

    def follow(self, history: History) -> None:
        """Note that the history has grown; called on the search's thread."""
        self._live = history
        self._durable = len(history.outcomes)  # the search tells its trackers of what is on the disk

    def step(self, *, ending: bool) -> bool:
        """Send the next thing that MLflow lacks; False when it lacks nothing.

        Once `ending`, when the history changes no more, what a person looks at first goes first. Raises what the client
        raises when the server is gone: the next call then begins by asking what arrived. What the server refuses is
        left out and counted. A search that has no outcome yet may still be refused, and MLflow does not hear of it.
        """
        if ending and not self._ending:
            self._begin_to_end()
        elif not self._ending and (not self._queue or time.monotonic() > self._read_at):
            self._read()
        errand = self._next() if self._history.outcomes else None
        if errand is None:
            return False
        try:
            errand.send()
        except Exception as error:
            if not self._leave_out(errand.name, error):
                self._runs.connected, self._doubtful = False, True
                raise
        errand.done()
        return True

    @property
    def unsent(self) -> int:
        """How many runs, generations and audits (and the summary) MLflow lacks as far as we know; 0 if nothing."""
        if not self._history.outcomes:
            return 0
        points = len(self._history.generations) - self._generations + self._found - self._audited
        return (0 if self._ended else len(self._queue) + points + 1) + len(self.put_off)

    @property
    def _found(self) -> int:
        """How many networks were audited while the search ran."""
        return len(self._history.audit.pairs) if self._history.audit else 0

    def settle(self) -> None:
        """Take in the rest of the history, to know what is missing, and note that in the run folder."""
        self._read()
        self._note_place()

    def _begin_to_end(self) -> None:
        self._ending = True
        self._runs.connected &= not self._doubtful  # what the server did after we gave up waiting shows by now
        self.put_off.clear()
        self._attempts.clear()
        self._read()
        self._plan()

    def _read(self) -> None:
        """Take in what the search has come to, unless some of it is not on the disk yet."""
        now = self._live if self._ending else snapshot(self._live)
        if not self._ending and len(now.outcomes) > self._durable:
            return
        self._history = now
        self._read_at = time.monotonic() + READ_SECONDS
        if self.children == "all":
            new = islice(self._history.outcomes, self._taken, None)
            self._queue.extend(candidate for candidate in new if self._lacks(candidate))
        self._taken = len(self._history.outcomes)

    def _next(self) -> Errand | None:
        if not self._runs.connected:
            return Errand("the search", self._connect, _nothing)
        if self._ended:
            return None
        if self._generations < len(self._history.generations):
            return self._points()
        if self._audited < self._found:
            return self._audit_points()
        if self._ending and self._last_words:
            return self._last_words[0]
        if not self._ending and len(self._history.outcomes) > self._outcomes_drawn and time.monotonic() > self._draw_at:
            return Errand("the front so far", self._draw, _nothing)
        if self._queue:
            return self._child(self._queue[0])
        if self._ending:
            return self._front_mark() or Errand("the end", self._end, self._mark_ended)
        return None

    def _leave_out(self, name: str, error: Exception) -> bool:
        """Say whether to go on without it: a server that has our search refuses it, or fails at it again and again."""
        if not self._runs.connected:
            return False
        if refused(error):
            if self._present():
                self._refuse(name, error)
                return True
            return False
        self._attempts[name] += 1
        if self._attempts[name] < ATTEMPTS:
            return False
        self.put_off[name] = reason(error)
        return True

    def _present(self) -> bool:
        try:
            return self._runs.present()
        except Exception:
            return False

    def _refuse(self, name: str, error: Exception) -> None:
        if name not in self.refused:
            log.warning("MLflow does not get %s: %s", name, reason(error))
        self.refused[name] = reason(error)

    def _connect(self) -> None:
        place = Place.read(self._run_folder)
        self._runs.connect(place.run_id if place and place.uri == self._store.address else None)
        self._generations = self._audited = 0
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
        if summary.read_audit(self._run_folder):
            last_words["the audit"] = self._tell_audit
        self._last_words = deque(
            Errand(name, send, self._pop_last_word) for name, send in last_words.items() if name not in self.put_off
        )
        front = [member.candidate.id for member in self._history.front.members] if self._ending else []
        wanted = {"all": [*front, *self._history.outcomes], "front": front}.get(self.children, [])
        lacking = [id_ for id_ in dict.fromkeys(wanted) if self._lacks(id_)]
        lacking.sort(key=lambda id_: self._attempts[_name(id_)])  # what has failed holds up nothing else
        self._queue = deque(lacking)

    def _lacks(self, candidate: int) -> bool:
        child = self._runs.children.get(self._uid(candidate))
        name = _name(candidate)
        outcome = self._history.outcomes[candidate]
        return (
            isinstance(outcome, Evaluation | Failure)
            and not outcome.candidate.is_audit
            and not (child and child.complete)
            and name not in self.refused
            and name not in self.put_off
        )

    def _points(self) -> Errand:
        count = len(self._history.generations)
        points = records.generation_points(self._history, self._generations)

        def done() -> None:
            self._generations = count

        return Errand(f"generation {count - 1}", lambda: self._runs.put_points(points), done)

    def _audit_points(self) -> Errand:
        count = self._found
        points = records.live_audit_points(self._history, self._audited)

        def done() -> None:
            self._audited = count

        return Errand(f"audit {count - 1}", lambda: self._runs.put_points(points), done)

    def _child(self, candidate: int) -> Errand:
        def send() -> None:
            outcome = self._history.outcomes[candidate]
            assert isinstance(outcome, Evaluation | Failure)
            on_front = self._ending and self._uid(candidate) in self._front()
            elapsed = self._history.ended[candidate]
            self._runs.put_child(
                records.candidate_record(self._history, outcome, elapsed, self._space, on_front=on_front)
            )
            self.sent += 1

        def done() -> None:
            self._queue.popleft()

        return Errand(_name(candidate), send, done)

    def _front_mark(self) -> Errand | None:
        """Return the errand for the first child whose tag is wrong about the front."""
        front = set(self._front())
        wrong = (uid for uid, child in self._runs.children.items() if child.on_front != (uid in front))
        uid = next((uid for uid in wrong if _mark(uid) not in self.refused and _mark(uid) not in self.put_off), None)
        return Errand(_mark(uid), lambda: self._runs.mark_front(uid, uid in front), _nothing) if uid else None

    def _draw(self) -> None:
        """Send the front so far."""
        with tempfile.TemporaryDirectory(prefix="evonas-") as folder:
            self._put(Path(folder), summary.write_live(self._history, self._space, Path(folder)))
        self._outcomes_drawn = len(self._history.outcomes)
        self._draw_at = time.monotonic() + DRAW_SECONDS + DRAW_SECONDS_PER_OUTCOME * self._outcomes_drawn

    def _tell(self) -> None:
        """Send all pictures and tables."""
        with tempfile.TemporaryDirectory(prefix="evonas-") as folder:
            self._put(Path(folder), summary.write_final(self._history, self._space, self._run_folder, Path(folder)))

    def _tell_end(self) -> None:
        closed = self._history.closed
        status = "KILLED" if closed is None else "FAILED" if closed == "failures" else "FINISHED"
        self._runs.end(status, records.moment(self._history.header, self._history.elapsed))

    def _tell_audit(self) -> None:
        """Send what an audit of the run has come to."""
        if audit := summary.read_audit(self._run_folder):
            self._runs.put_points(records.audit_points(audit))
            with tempfile.TemporaryDirectory(prefix="evonas-") as folder:
                summary.copy_audit(self._run_folder, Path(folder))
                self._runs.put_artifacts(Path(folder), [])

    def _end(self) -> None:
        """Send the note again, which can link to every run of the front now, and the receipt if all is there."""
        self._put_note()
        receipt = "" if self.put_off else self._stamp()
        self._runs.put_tags({STATE: self._history.closed or "interrupted", SENT: receipt})

    def _put(self, folder: Path, broken: dict[str, Exception]) -> None:
        for file, error in broken.items():
            if isinstance(error, OSError):
                self.put_off[file] = reason(error)
            else:
                self._refuse(file, error)
        self._runs.put_artifacts(folder, [summary.TABLE] if (folder / summary.TABLE).exists() else [])
        self._put_note()

    def _put_note(self) -> None:
        text = summary.note(
            self._history, self._space, self._run_folder, self._place(), only_front=self.children == "front"
        )
        self._runs.put_tags({records.NOTE: text, "evonas.front_digest": self._history.front.digest()})

    def _pop_last_word(self) -> None:
        self._last_words.popleft()

    def _mark_ended(self) -> None:
        self._ended = True
        self._note_place()

    def _stamp(self) -> str:
        history, audit = self._history, summary.read_audit(self._run_folder)
        audited = f", audited {audit['created']}" if audit else ""
        return (
            f"{len(history.outcomes)} outcomes, {history.closed} after {history.elapsed} s, children: {self.children}"
            f"{audited}"
        )

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


def wanted_children(children: Children, history: History) -> Children:
    """Return which candidates of a search get runs of their own: `auto` depends on how long it is meant to be."""
    if children != "auto":
        return children
    return "all" if max(history.config.get("evaluations", 0), len(history.outcomes)) <= MANY else "front"


def _name(candidate: int) -> str:
    return f"candidate {candidate}"


def _mark(uid: str) -> str:
    return f"the front's mark of {uid}"


def _nothing() -> None:
    pass
