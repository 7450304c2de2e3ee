"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started in the background of a shell: Ctrl-C would be ignored by all processes that tests start, and send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)

SLOWEST = (
    "readme",
    "mlflow_faults",
    "ensemble",
    "mlflow",
    "auto",
    "ray_pool",
    "search",
    "mo_asha",
    "cache",
    "ray_jobs",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left with one of them when the others are done."""
    ranks = {f"test_{name}": rank for rank, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
