"""One private Ray for all tests that need one: starting it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evonas.workers.ray_session import connect


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray as a pool starts it, with four CPUs; pools that are made meanwhile use it and leave it running."""
    connection = connect("local", workers=4)
    yield
    if connection.opened:
        import ray

        ray.shutdown()
