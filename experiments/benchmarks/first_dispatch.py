"""Runs an `evonas` command up to the first candidate that is handed to the pool, and says what Ray took of that time.

    python experiments/benchmarks/first_dispatch.py MOMENT run FILE [KEY=VALUE ...]

MOMENT is `time.monotonic()` when this process was started. Prints a line of two numbers of seconds: from then
to the first candidate, and those of them that Ray took to be imported and started.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

from evonas import cli

DISPATCHED = "dispatched after"


class Dispatched(Exception):
    """The first candidate is there: the search is over."""


def main() -> None:
    if len(sys.argv) < 3:
        print("a part of overhead.py: python experiments/benchmarks/overhead.py startup")
        sys.exit(2)
    began = float(sys.argv.pop(1))
    from evonas.workers import ray_crew, ray_pool

    connect, ray_seconds = ray_crew.connect, []

    def timed_connect(*given: Any, **named: Any) -> Any:
        started = time.monotonic()
        connection = connect(*given, **named)
        ray_seconds.append(time.monotonic() - started)
        return connection

    def submit(pool: ray_pool.RayPool, candidates: Any) -> None:
        print(f"\n{DISPATCHED} {time.monotonic() - began} {ray_seconds[0]}", flush=True)
        raise Dispatched

    ray_crew.connect, ray_pool.RayPool.submit = timed_connect, submit  # type: ignore[method-assign,assignment]
    with contextlib.suppress(Dispatched):
        cli.main()


if __name__ == "__main__":
    main()
