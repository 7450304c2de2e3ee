"""The search loop: the only place where strategy, pool, journal and trackers meet."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Literal

from evonas.early_exit import EarlyExit
from evonas.errors import EvonasError, SearchStopped
from evonas.evaluation import Candidate, Outcome, Source
from evonas.history import Generation, History
from evonas.journal import Asked, Closed, Event, Finished, Journal
from evonas.plateau import Plateau
from evonas.pool import WorkerPool
from evonas.space import Genome
from evonas.strategies.base import Strategy
from evonas.tracking.base import Tracker

_log = logging.getLogger(__name__)


class Controller:
    """Keeps the pool busy with what the strategy asks for until `evaluations` candidates have an outcome.

    The journal is the only checkpoint: a controller that is given a history continues it, the candidates without an
    outcome first. Outcomes are written the moment they arrive, and one `sync` a turn of the loop makes them and the
    candidates that were asked for in reply durable, before a worker or a tracker hears of them.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        early_exit: EarlyExit,
        pool: WorkerPool,
        journal: Journal,
        history: History,
        trackers: Sequence[Tracker],
        evaluations: int,
        max_consecutive_failures: int,
        plateau: Plateau | None = None,
    ) -> None:
        self._strategy = strategy
        self._early_exit = early_exit
        self._pool = pool
        self._journal = journal
        self._history = history
        self._trackers = list(trackers)
        self._evaluations = evaluations
        self._max_consecutive_failures = max_consecutive_failures
        self._plateau = plateau
        if plateau:
            plateau.asked(history.candidates.values())
            for outcome in history.outcomes.values():
                plateau.tell(outcome)
        self._queue: deque[Candidate] = deque(history.pending)
        self._held: set[int] = set()
        self._news: list[Outcome | Generation] = []
        self._asked: dict[tuple[Source | None, int | None], dict[Genome, int]] = {}
        for candidate in history.candidates.values():
            self._asked.setdefault((candidate.source, candidate.budget), {})[candidate.genome] = candidate.id
        self._clock_start = pool.clock() - history.elapsed

    def run(self) -> History:
        """Search to the end; raise SearchStopped after too many failures in a row, and let an interrupt through."""
        self._tell_trackers("started")
        try:
            self._loop()
        finally:
            self._tell_trackers("closed")
        return self._history

    def _loop(self) -> None:
        while True:
            self._fill()
            if not self._held:
                reason = self._ending()
                if self._history.closed != reason:
                    self._close(reason)
                return
            outcomes = self._pool.next_outcomes()
            self._release(outcomes)
            elapsed = self._elapsed()
            self._record([Finished(outcome, elapsed) for outcome in outcomes])
            self._stop_if_all_fail()

    def _ending(self) -> str:
        if self._history.asked >= self._evaluations:
            return "budget"
        return "plateau" if self._left() <= 0 else "exhausted"

    def _fill(self) -> None:
        """Hand the pool as many candidates as it can take, asking the strategy for more when the queue is empty.

        Audits that are due come first; they are no part of the search's length.
        """
        if self._history.audit and (due := self._history.audit.due):
            self._record([Asked(due)])
            self._queue.extendleft(reversed(due))
        while (free := self._pool.capacity - len(self._held)) > 0:
            if not self._queue:
                self._ask(free)
            if not self._queue:
                break
            batch = [self._queue.popleft() for _ in range(min(free, len(self._queue)))]
            self._commit()
            self._pool.submit(batch)
            self._held.update(candidate.id for candidate in batch)
        self._commit()

    def _ask(self, free: int) -> None:
        left = self._left()
        if left <= 0:
            return
        candidates = self._strategy.ask(min(free, left))[:left]
        if not candidates:
            return
        self._refuse_repeated(candidates)
        self._record([Asked(candidates, self._early_exit.take_counts())])
        self._queue.extend(candidates)

    def _left(self) -> int:
        """Return how many more candidates may be asked for."""
        left = self._evaluations - self._history.asked
        before_plateau = self._plateau.left(self._strategy.most_open) if self._plateau else None
        return left if before_plateau is None else min(left, before_plateau)

    def _refuse_repeated(self, candidates: Sequence[Candidate]) -> None:
        new: set[int] = set()
        for candidate in candidates:
            asked = self._asked.setdefault((candidate.source, candidate.budget), {})
            earlier = asked.setdefault(candidate.genome, candidate.id)
            if earlier != candidate.id or candidate.id in new or candidate.id in self._history.candidates:
                raise EvonasError(
                    f"the strategy proposed candidate {candidate.id} {list(candidate.genome)} again (it was candidate "
                    f"{earlier}): ids must be new, and no network is evaluated twice at the same source and budget"
                )
            new.add(candidate.id)

    def _release(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            raise EvonasError(f"the pool returned no outcome although it holds candidates {sorted(self._held)}")
        for outcome in outcomes:
            if outcome.candidate.id not in self._held:
                raise EvonasError(
                    f"the pool returned an outcome of candidate {outcome.candidate.id}, which it does not hold"
                )
            self._held.remove(outcome.candidate.id)

    def _record(self, events: Sequence[Event]) -> None:
        """Write events, so that they outlive this process, and let the history and the strategy know."""
        self._journal.write(events)
        for event in events:
            completed = self._history.apply(event)
            if isinstance(event, Finished):
                if not event.outcome.candidate.is_audit:
                    self._strategy.tell(event.outcome)
                self._news.append(event.outcome)
            if self._plateau and isinstance(event, Asked):
                self._plateau.asked(event.candidates)
            elif self._plateau and isinstance(event, Finished):
                self._plateau.tell(event.outcome)
            self._news.extend(completed)

    def _commit(self) -> None:
        """Make what is written durable, and let the trackers know."""
        self._journal.sync()
        news, self._news = self._news, []
        for item in news:
            self._tell_trackers("generation" if isinstance(item, Generation) else "outcome", item)

    def _close(self, reason: str) -> None:
        self._record([Closed(reason, self._elapsed(), self._strategy.remarks(self._history.evaluations))])
        self._commit()

    def _tell_trackers(
        self, hook: Literal["started", "outcome", "generation", "closed"], *news: Outcome | Generation
    ) -> None:
        """Call a hook of every tracker; one that raises hears nothing more, because a tracker never stops a search."""
        for tracker in list(self._trackers):
            try:
                getattr(tracker, hook)(self._history, *news)
            except Exception:
                _log.exception("%s is broken and is told nothing more of this search", type(tracker).__name__)
                self._trackers.remove(tracker)

    def _stop_if_all_fail(self) -> None:
        failures = self._history.failures_in_a_row
        if len(failures) < self._max_consecutive_failures:
            return
        failure = failures[-1]
        self._close("failures")
        raise SearchStopped(
            f"{len(failures)} candidates in a row failed, which looks like a bug and not like bad luck. "
            f"The last one, candidate {failure.candidate.id} {list(failure.candidate.genome)} ({failure.kind}):\n\n"
            f"{failure.reason}"
        )

    def _elapsed(self) -> float:
        return round(self._pool.clock() - self._clock_start, 3)


def replay(strategy: Strategy, events: Sequence[Event]) -> None:
    """Bring a new strategy to where the journal's events left the old one; nothing is computed again."""
    for event in events:
        if isinstance(event, Asked):
            if own := [candidate for candidate in event.candidates if not candidate.is_audit]:
                strategy.adopt(own)
        elif isinstance(event, Finished) and not event.outcome.candidate.is_audit:
            strategy.tell(event.outcome)
