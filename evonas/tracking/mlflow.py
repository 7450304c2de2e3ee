"""A search in MLflow: it is followed on a thread of its own, so that the server may be slow, gone or late."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evonas.errors import EvonasError, TrackingError
from evonas.evaluation import Outcome
from evonas.history import Generation, History
from evonas.space import SearchSpace
from evonas.tracking.base import Tracker
from evonas.tracking.mlflow_delivery import MANY, Children, Delivery
from evonas.tracking.mlflow_links import Place
from evonas.tracking.mlflow_pace import Pace
from evonas.tracking.mlflow_store import UI_PORT, Store, reason

FIRST_SECONDS = 10.0
"""How long a search runs before MLflow hears of it: making a new store takes the processor for a second."""

LOOK_SECONDS = 0.5
"""At most this often is looked for news."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between attempts while the server is gone."""

CLOSE_SECONDS, CLOSE_SECONDS_AT_MOST, CLOSE_SHARE = 15.0, 30.0, 0.02
"""How long the end of a search waits for a server that answers: a share of what the search took, within bounds."""

INTERRUPTED_SECONDS = 5.0
"""How long a person who interrupts a search waits for that."""

STEP_SECONDS = 1.0
"""How long either waits for the last step, begun before the time was over."""

SILENT_SECONDS = 2.0
"""How long either waits without a word; and how long it waits for a server that fails."""

LAST_ATTEMPTS, HANGING_SECONDS = 3, 3.0
"""So often a server that fails at once is tried at the end of a search; one that takes longer to fail is given up."""

SYNC_ATTEMPTS, SYNC_PAUSE = 6, 2.0
"""So often a sync fails without sending anything in between before it gives up, and its longest pause."""

ONLY_THE_FRONT = (
    "this search is longer than %d evaluations: in MLflow only the networks of its front get runs of their own; "
    "'evonas sync %s tracking.children=all' sends all of them"
)

EMPTY_BYTES, CHILD_BYTES = 1_000_000, 5_000
"""The embedded store without a run, and what a child run adds; measured after searches of 72 and of 192 evaluations."""

log = logging.getLogger("evonas")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a `sync` sent: runs of candidates, and by name what the server refused."""

    runs: int
    refused: dict[str, str]
    address: str

    def __str__(self) -> str:
        refused = f"; refused: {', '.join(self.refused)}" if self.refused else ""
        return f"sent {self.runs} runs to MLflow at {self.address}, which has everything now{refused}"


class MLflow(Tracker):
    """The search as a run of MLflow, its candidates as child runs (`children`: all, only the front's, or none).

    `uri` defaults to MLFLOW_TRACKING_URI, else to a store beside the run folders; `experiment` to the search's name;
    `children` to all of a search of up to 1,000 evaluations, and to the front's of a longer one. With `must_answer:
    false` a search begins although its server does not answer; one that is resumed does so anyway.
    """

    def __init__(
        self,
        run_folder: Path,
        space: SearchSpace,
        *,
        uri: str | None = None,
        experiment: str | None = None,
        children: Children = "auto",
        must_answer: bool = True,
    ) -> None:
        self.unsent = 0
        """What the server lacked when the search was closed: runs, generations and the summary."""
        self._run_folder, self._space, self._experiment, self._children = run_folder, space, experiment, children
        self._store = Store.of(run_folder.absolute().parent, uri)
        self._must_answer = must_answer
        self._delivery: Delivery | None = None
        self._thread: threading.Thread | None = None
        self._news, self._ending = threading.Event(), threading.Event()
        self._deadline = float("inf")
        self._step_began = 0.0
        self._failing = False
        self._trouble = ""

    def check(self) -> None:
        """Raise TrackingError if the address makes no sense, or if its server must answer and does not.

        A server at which this search was seen before need not answer: its address is right, and it will be back.
        """
        self._store.check_scheme()
        threading.Thread(target=self._store.load, name="evonas-mlflow-import", daemon=True).start()
        if self._must_answer and not self._place():
            self._store.check_answer()

    def started(self, history: History) -> None:
        """Begin to follow the search."""
        if self._thread is None:
            self._delivery = self._new_delivery(history)
            if self._children == "auto" and self._delivery.children == "front":
                log.info(ONLY_THE_FRONT, MANY, self._run_folder)
            self._thread = threading.Thread(
                target=self._follow, args=(self._delivery,), name="evonas-mlflow", daemon=True
            )
            self._thread.start()

    def outcome(self, history: History, outcome: Outcome) -> None:
        """Wake the thread."""
        if self._delivery:
            self._delivery.follow(history)
        if not self._news.is_set():
            self._news.set()

    def generation(self, history: History, generation: Generation) -> None:
        """Wake the thread."""
        if self._delivery:
            self._delivery.follow(history)
        self._news.set()

    def closed(self, history: History) -> None:
        """Wait until everything is there, the server fails, the time is over, or Ctrl-C; say what is missing."""
        if self._thread is None or self._delivery is None:
            return
        self._delivery.follow(history)
        try:
            share = min(max(CLOSE_SECONDS, CLOSE_SHARE * history.elapsed), CLOSE_SECONDS_AT_MOST)
            self._wait(self._thread, share if history.closed else INTERRUPTED_SECONDS)
        except KeyboardInterrupt:
            self._deadline = 0.0
        if not self._thread.is_alive():
            with contextlib.suppress(Exception):  # a hook never raises, and this only counts
                self._delivery.settle()
        self._thread = None
        self.unsent = self._delivery.unsent
        if self.unsent:
            log.warning(
                "MLflow at %s lacks %d things of this search%s: send them with 'evonas sync %s'",
                self._store.address, self.unsent, f" ({self._trouble})" if self._trouble else "", self._run_folder,
            )  # fmt: skip

    def sync(self, progress: Callable[[int, int], None] | None = None) -> Sent:
        """Send whatever MLflow lacks of a search that nobody runs; `progress` is told what is sent and what is not.

        Raises TrackingError when the server does not answer, JournalError when there is no journal.
        """
        self._store.check_scheme()
        self._store.check_answer()
        delivery = self._new_delivery(History.read(self._run_folder))
        failures, steps, left = 0, 0, float("inf")
        while True:
            try:
                if not delivery.step(ending=True):
                    if delivery.put_off:
                        raise self._fails(
                            delivery, "; ".join(f"{what}: {how}" for what, how in delivery.put_off.items())
                        )
                    return Sent(delivery.sent, delivery.refused, self._store.address)
            except EvonasError:
                raise
            except Exception as error:
                failures += 1
                if failures == SYNC_ATTEMPTS:
                    raise self._fails(delivery, reason(error)) from error
                time.sleep(min(FIRST_PAUSE * 2**failures, SYNC_PAUSE))
                continue
            steps += 1
            if delivery.unsent < left:  # it has not only answered: it has taken something
                failures, left = 0, delivery.unsent
            if progress:
                progress(steps, delivery.unsent)

    def disk_bytes(self, evaluations: int, front: int, results: int) -> int:
        """Return the size of the embedded store with one search in it: runs, and a copy of the results."""
        if not self._store.uri.startswith("sqlite"):
            return 0
        children = {"all": evaluations, "front": front, "none": 0}
        children["auto"] = children["all" if evaluations <= MANY else "front"]
        return EMPTY_BYTES + CHILD_BYTES * children[self._children] + results

    def link(self, server: str | None = None) -> str | None:
        """Return the address of the search's page once it is known; for an embedded store, on `evonas ui`'s server."""
        place = self._place()
        return f"{self._server(server)}/{place.page}" if place else None

    def compare_link(self, server: str | None = None) -> str | None:
        """Return the address of the comparison of the front's networks; None without two runs."""
        place = self._place()
        return f"{self._server(server)}/{place.comparison}" if place and place.comparison else None

    def _place(self) -> Place | None:
        place = Place.read(self._run_folder)
        return place if place and place.uri == self._store.address else None

    def _server(self, server: str | None) -> str:
        return (server or (self._store.address if self._store.remote else f"http://127.0.0.1:{UI_PORT}")).rstrip("/")

    def _fails(self, delivery: Delivery, how: str) -> TrackingError:
        return TrackingError(
            f"MLflow at {self._store.address} fails again and again ({how}), and lacks {delivery.unsent} things of "
            f"this search: repeat 'evonas sync {self._run_folder}' later"
        )

    def _new_delivery(self, history: History) -> Delivery:
        return Delivery(history, self._run_folder, self._space, self._store, self._experiment, self._children)

    def _wait(self, thread: threading.Thread, limit: float) -> None:
        """Let the thread send the rest: it begins nothing new after `limit` seconds, or soon if the server fails."""
        self._deadline = time.monotonic() + limit
        self._ending.set()
        self._news.set()
        thread.join(min(SILENT_SECONDS, limit))
        if thread.is_alive() and self._failing:
            self._deadline = 0.0
        elif thread.is_alive():
            log.warning("sending the rest to MLflow at %s: Ctrl-C skips it, 'evonas sync %s' sends it later",
                        self._store.address, self._run_folder)  # fmt: skip
            thread.join(max(0.0, self._deadline - time.monotonic()) + STEP_SECONDS)

    def _follow(self, delivery: Delivery) -> None:
        """Send what the search comes to until it ends; whatever goes wrong, try again later."""
        self._ending.wait(FIRST_SECONDS)
        pace, pause, last_attempts = Pace(), FIRST_PAUSE, LAST_ATTEMPTS
        while time.monotonic() < self._deadline:
            ending = self._ending.is_set()
            try:
                self._catch_up(delivery, pace)
            except Exception as error:
                self._fail(error)
                if self._ending.is_set():
                    last_attempts -= 1
                    if not last_attempts or time.monotonic() - self._step_began > HANGING_SECONDS:
                        return
                    continue
                self._ending.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            self._recover()
            pause = FIRST_PAUSE
            if ending:
                return
            self._news.wait()
            self._news.clear()

    def _catch_up(self, delivery: Delivery, pace: Pace) -> None:
        more = True
        while more and time.monotonic() < self._deadline:
            self._step_began = time.monotonic()
            more = delivery.step(ending=self._ending.is_set())
            self._failing = False
            self._ending.wait(pace.pause() if more else max(LOOK_SECONDS, pace.pause()))

    def _fail(self, error: Exception) -> None:
        if not self._trouble and not self._ending.is_set():
            log.warning("MLflow at %s fails (%s): the search goes on, what is missing is sent when it is back",
                        self._store.address, reason(error))  # fmt: skip
        self._failing, self._trouble = True, reason(error)
        log.debug("MLflow fails", exc_info=error)

    def _recover(self) -> None:
        if self._trouble:
            log.info("MLflow at %s is back", self._store.address)
        self._trouble = ""
