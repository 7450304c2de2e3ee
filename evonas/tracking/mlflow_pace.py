"""How often a thread beside a search may work: it takes a small share of the time, because the search comes first."""

from __future__ import annotations

import time

SHARE, SHARE_OF_IDLE, BUSY = 0.02, 0.10, 0.25
"""Of the time, what a thread may spend at work: while it holds Python's lock, the search stands still. More where the
rest of the process has the processor for less than a quarter of the time: such a search waits for its workers."""

SAVED_SECONDS = 20.0
"""So much time without work may be made up for at once: a generation's runs are sent as soon as it is complete."""

LONGEST_PAUSE = 5.0
"""What costs much is rare, and does not hold up what costs little."""


class Pace:
    """Counts the processor time of the thread that makes and uses it; waiting for a server or a disk costs nothing."""

    def __init__(self) -> None:
        self._looked = self._free_at = time.monotonic()
        self._spent, self._spent_by_all = time.thread_time(), time.process_time()

    def pause(self) -> float:
        """Return for how many seconds the thread should do nothing, after all that it has done."""
        now, spent, spent_by_all = time.monotonic(), time.thread_time(), time.process_time()
        work = spent - self._spent
        by_others = spent_by_all - self._spent_by_all - work
        share = SHARE_OF_IDLE if by_others < BUSY * (now - self._looked) else SHARE
        earned = max(self._free_at, now - SAVED_SECONDS)
        self._free_at = min(earned + work / share, now + LONGEST_PAUSE)
        self._looked, self._spent, self._spent_by_all = now, spent, spent_by_all
        return max(0.0, self._free_at - now)
