"""Small matrices are computed by one thread: more only wait for each other, and change the last bits of sums."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[object]:
    """Let numpy and scipy compute with one thread until the context is left; it takes a tenth of a millisecond."""
    limits: AbstractContextManager[object] = _libraries().limit(limits=1)
    return limits


@cache
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    # scipy brings a library of its own, which must be there to be found
    return ThreadpoolController()
