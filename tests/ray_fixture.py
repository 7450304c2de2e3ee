"""One private Ray for all tests that need one: starting it takes seconds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest

from evonas.workers.ray_session import connect


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray as a pool starts it, with four CPUs; pools that are made meanwhile use it and leave it running.

    On a loaded machine the news of how a worker died takes longer than Ray waits for it.
    """
    os.environ.setdefault("RAY_timeout_ms_task_wait_for_death_info", "20000")
    connection = connect("local", workers=4)
    yield
    if connection.opened:
        import ray

        with warnings.catch_warnings():  # a loaded machine ends raylets later than Ray cares to wait for them
            warnings.filterwarnings("ignore", "subprocess", ResourceWarning)
            ray.shutdown()
