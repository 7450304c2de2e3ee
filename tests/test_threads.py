"""One thread computes, as long as it is said."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from evonas.threads import one_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_numpy_and_scipy_have_one_thread_inside_and_what_they_had_outside() -> None:
    with one_thread():
        assert threads() == {1}
    with threadpool_limits(limits=2):
        before = threads()
        with one_thread():
            assert threads() == {1}
            assert np.allclose(np.ones((3, 3)) @ np.ones(3), 3)
        assert threads() == before
