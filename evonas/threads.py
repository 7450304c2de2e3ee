"""Small matrices are computed by one thread: more only wait for each other, and change the last bits of sums."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Literal


def one_thread(*, of: Literal["blas"] | None = None) -> AbstractContextManager[object]:
    """Let all of this process compute with one thread until the context is left; it takes a tenth of a millisecond.

    Of "blas", only what numpy and scipy compute is meant: torch, which another thread may be training with, is not.
    """
    limits: AbstractContextManager[object] = _libraries().limit(limits=1, user_api=of)
    return limits


@cache
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    # scipy brings a library of its own, which must be there to be found
    return ThreadpoolController()
