"""Faults of a cluster on loopback: nodes leave and join, and all of it goes and comes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault_bench import Bench, Row
from fault_search import RAY, FaultySearch

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from loopback import Head, Node, free_port


@contextmanager
def cluster(cpus: int = 2) -> Iterator[Head]:
    """Start a head on loopback; it is gone afterwards."""
    head = Head(free_port(), cpus)
    try:
        yield head
    finally:
        head.kill()


def node_leaves(bench: Bench) -> Iterator[Row]:
    """A node of two is killed in the middle of an evaluation, with all its processes; another takes its place."""
    times = 1 if bench.quick else 3
    with cluster(cpus=1) as head:
        search = bench.search(pool={**RAY, "address": head.address}, evaluations=60 * times, pause=0.3)
        node = Node(head.address)
        hit: list[tuple[float, list[int]]] = []
        try:
            search.start()
            for _ in range(times):
                search.until_outcomes(len(search.arrived) + 5)
                search.until(lambda: bool(_held(search, node)))  # noqa: B023 - called at once
                held = _held(search, node)
                node.kill()
                hit += [(time.time(), genome) for genome in held]
                node = Node(head.address)
            search.finish()
        finally:
            node.kill()
    yield bench.hit(Row("node leaves", "RayPool, 2 nodes", times), search, hit)


def node_joins(bench: Bench) -> Iterator[Row]:
    """A node joins a search that has a worker too many for the first node."""
    with cluster(cpus=1) as head:
        search = bench.search(pool={**RAY, "address": head.address}, pause=0.3)
        search.start()
        search.until_outcomes(5)
        node, moment = Node(head.address), time.time()
        try:
            search.until(lambda: len({note["process"] for note in search.begun()}) > 1)
            first = search.begun()[-1]
            search.finish()
        finally:
            node.kill()
    row = Row("node joins", "RayPool, 1 to 2 nodes", 1, remark="recovery: until the second worker began")
    yield bench.ended(row, search, [first["time"] - moment])


def cluster_gone(bench: Bench) -> Iterator[Row]:
    """The whole cluster is killed, and started again at the same address."""
    times, port = 1 if bench.quick else 2, free_port()
    head = Head(port)
    search = bench.search(pool={**RAY, "address": head.address}, pause=0.1)
    row = Row("cluster gone and back", "RayPool, cluster", times)
    try:
        search.start()
        for kill in range(1, 1 + times):
            search.until_outcomes(kill * 15)
            head.kill()
            fault = search.happened(time.time())
            head = Head(port)
            row.recoveries.append(search.recovered(fault))
        search.finish()
    finally:
        head.kill()
    row.remark = "the driver waits and joins again"
    yield bench.ended(row, search)


def _held(search: FaultySearch, node: Node) -> list[list[int]]:
    """Return the genomes whose evaluation has begun on a node and has not ended."""
    processes = {process.pid for process in node.processes()}
    latest = {note["process"]: note["genome"] for note in search.begun() if note["process"] in processes}
    return [genome for genome in latest.values() if search.outcome_of(genome) is None]
