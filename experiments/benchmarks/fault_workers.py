"""Faults of workers and evaluators: killed, out of memory, hanging, raising, not a number."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
from fault_bench import Bench, Row
from fault_problem import MENDED
from fault_search import RAY


def actor_killed(bench: Bench) -> Iterator[Row]:
    """SIGKILL of an actor in the middle of an evaluation."""
    times = 3 if bench.quick else 10
    search = bench.search(pool=RAY, pause=0.2)
    search.start()
    hit: list[tuple[float, list[int]]] = []
    for _ in range(times):
        known = len(search.begun())
        search.until_begun(known + 1)
        last = search.begun()[-1]
        psutil.Process(last["process"]).kill()
        hit.append((time.time(), last["genome"]))
        search.until_outcomes(len(search.arrived) + 4)
    search.finish()
    yield bench.hit(Row("actor killed", "RayPool", times), search, hit)


def actor_memory(bench: Bench) -> Iterator[Row]:
    """An evaluation that takes more memory than its worker may have, the first time that it is tried."""
    pool = {**RAY, "memory_gb": 0.5}
    yield bench.troubled("actor over its memory limit", pool, trouble="take_memory")


def evaluation_hangs(bench: Bench) -> Iterator[Row]:
    """An evaluation that never returns, the first time that it is tried: its process is killed."""
    row = bench.troubled("evaluation hangs", {**RAY, "timeout_seconds": 3}, trouble="hang")
    left = [p for note in bench.last.troubles() if psutil.pid_exists(p := note["process"])]
    row.agrees &= not left
    row.remark = "timeout_seconds: 3; its processes are gone" if not left else f"processes {left} are left"
    yield row


def evaluator_raises(bench: Bench) -> Iterator[Row]:
    """An evaluator that raises on a tenth of all genomes, always: failures with their reason, and no others."""
    yield bench.troubled("evaluator raises on some", RAY, trouble="raise", once=False)


def evaluator_broken(bench: Bench) -> Iterator[Row]:
    """An evaluator that raises on all genomes: the search stops with the traceback; mended, it goes on."""
    search = bench.search(pool=RAY, trouble="raise", share=1.0, once=False)
    search.start()
    code, said = search.wait(), (search.folder / "output.log").read_text()
    stopped = code == 1 and "10 candidates in a row failed" in said and "RuntimeError: no layer for" in said
    fault = search.happened(time.time())
    (search.folder / MENDED).touch()
    failed = len(search.arrived)
    search.start()
    search.finish()
    row = Row("evaluator raises on all", "RayPool", 1, remark=f"stopped after {failed} failures, with the traceback")
    row.recoveries = [search.recovered(fault)]
    row.lost, row.agrees = search.lost(), stopped and len(search.arrived) == search.evaluations
    yield row


def metrics_not_finite(bench: Bench) -> Iterator[Row]:
    """An evaluator that returns NaN for a tenth of all genomes, always."""
    yield bench.troubled("NaN metrics", RAY, trouble="nan", once=False)
