"""How often a thread beside a search may work: it takes a small share of the time, because the search comes first."""

from __future__ import annotations

import time

SHARE = 0.02
"""Of the time, what a thread may spend at work: while it holds Python's lock, the search stands still."""

SAVED_SECONDS = 20.0
"""So much time without work may be made up for at once: a generation's runs are sent as soon as it is complete."""

LONGEST_PAUSE = 5.0
"""What costs much is rare, and does not hold up what costs little."""


class Pace:
    """Counts the processor time of the thread that makes and uses it; waiting for a server or a disk costs nothing."""

    def __init__(self) -> None:
        self._spent = time.thread_time()
        self._free_at = time.monotonic()

    def pause(self) -> float:
        """Return for how many seconds the thread should do nothing, after all that it has done."""
        now, spent = time.monotonic(), time.thread_time()
        earned = max(self._free_at, now - SAVED_SECONDS)
        self._free_at = min(earned + (spent - self._spent) / SHARE, now + LONGEST_PAUSE)
        self._spent = spent
        return max(0.0, self._free_at - now)
