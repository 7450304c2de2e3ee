"""A history as it is at a moment, for a thread that reads it while the search goes on."""

from __future__ import annotations

from copy import copy

from evonas.history import History


def snapshot(history: History) -> History:
    """Return a copy that stays as it is; what is frozen (candidates, outcomes, the front) is shared, not copied.

    May be called on any thread: each container is copied at one go, and the front before the outcomes, which are
    therefore at least those of the front.
    """
    still = copy(history)
    for name, value in vars(still).items():
        if copied := getattr(value, "copy", None):
            setattr(still, name, copied())
    return still
