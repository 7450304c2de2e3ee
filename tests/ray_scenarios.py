"""What a RayPool does in a process where Ray has not been started yet; each function prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from fake_gpu import FakeGpuWorker, HoldingRecipe
from pool_contract import run
from pool_evaluators import ActionRecipe, candidates, processes

from evonas.errors import ResourceError
from evonas.evaluation import Candidate
from evonas.workers import ray_crew
from evonas.workers.ray_pool import RayPool


def private(folder: Path) -> dict[str, Any]:
    """Start a private Ray, use it, close it, and do so again."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    started = time.monotonic()
    pool = RayPool(ActionRecipe(folder), workers=2)
    run(pool, [*candidates("compute", range(8)), *candidates("kill_itself_once")])
    ray_processes = psutil.Process().children(recursive=True)
    listening = {address for process in [psutil.Process(), *ray_processes] for address in _listening(process)}
    pool.close()
    psutil.wait_procs(ray_processes, timeout=90)
    again = RayPool(ActionRecipe(folder), workers=1)
    evaluated_again = len(run(again, candidates("compute")))
    again.close()
    return {
        "listening": sorted(listening),
        "processes": len(ray_processes),
        "left": [process.name() for process in ray_processes if process.is_running()],
        "home": [path.name for path in (folder / ".ray").glob("*")],
        "sigterm_kept": signal.getsignal(signal.SIGTERM) is _on_sigterm,
        "evaluated_again": evaluated_again,
        "seconds": time.monotonic() - started,
    }


def cluster(folder: Path) -> dict[str, Any]:
    """Join a cluster of two nodes that asks for a token; lose a node while it evaluates, then the cluster."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80_000_000, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1, **small})
    lost = nodes.add_node(num_cpus=1, **small)
    nodes.wait_for_nodes(timeout=120)
    pool = RayPool(ActionRecipe(folder), workers=2, address=nodes.address)
    asked = candidates("wait_for_release", range(2))
    pool.submit(asked)
    while not all(processes(folder, "wait_for_release", number) for number in range(2)):
        assert pool.next_outcomes(timeout=0.1) == []
    first_attempts = [processes(folder, "wait_for_release", number)[0] for number in range(2)]
    nodes.remove_node(lost, allow_graceful=False)
    while all(psutil.pid_exists(process) for process in first_attempts):
        assert pool.next_outcomes(timeout=0.1) == []
    (folder / "release").touch()
    outcomes = [type(outcome).__name__ for _ in range(2) for outcome in pool.next_outcomes(timeout=120)]
    pool.close()
    on_gpu = RayPool(ActionRecipe(folder), gpus=0.5, cpus=0.5, address=nodes.address)
    gpu_workers = on_gpu.capacity
    device = [outcome.metrics["value"] for outcome in run(on_gpu, candidates("tell_device"))]  # type: ignore[union-attr]
    try:
        RayPool(ActionRecipe(folder), cpus=2, address=nodes.address)
    except ResourceError as error:
        refused = str(error)
    on_gpu.submit(candidates("hang"))
    nodes.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    closing = time.monotonic()
    on_gpu.close()
    return {
        "outcomes": outcomes,
        "attempts": sum(len(processes(folder, "wait_for_release", number)) for number in range(2)),
        "gpu_workers": gpu_workers,
        "device": device,
        "refused": refused,
        "closing_seconds": time.monotonic() - closing,
    }


def sharing(folder: Path) -> dict[str, Any]:
    """Let eight workers share two GPUs of 10 GiB each, and note what was there at the same time."""
    import ray

    ray.init("local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False)
    ray_crew.EvonasWorker = FakeGpuWorker  # type: ignore[misc]
    pool = RayPool(HoldingRecipe(folder), gpus=0.25, cpus=0.1)
    sizes = [1, 2, 3, 1, 2, 30, 1, 2, 3, 4, 1, 2, 3, 1, 2]  # one is larger than any device
    asked = [Candidate(number, (0, size), 0) for number, size in enumerate(sizes)]
    outcomes = run(pool, [*asked, *[Candidate(100 + size, (1, size), 0) for size in (2, 3)]])
    pool.close()
    held = [json.loads(line) for line in (folder / "held.jsonl").read_text().splitlines()]
    beside = [[a for a in held if a["device"] == b["device"] and a["began"] < b["ended"] and b["began"] < a["ended"]]
              for b in held]  # fmt: skip
    first_tries = [hold for hold in held if hold["failed"]]
    retried = [next(h for h in held if h["gib"] == first["gib"] and h["retried"]) for first in first_tries]
    return {
        "workers": pool.capacity,
        "outcomes": sorted({type(outcome).__name__ for outcome in outcomes}),
        "count": len(outcomes),
        "devices": sorted({hold["device"] for hold in held}),
        "most_at_once": max(sum(h["began"] <= b["began"] < h["ended"] for h in group)
                            for b, group in zip(held, beside, strict=True)),
        "most_gib": max(sum(h["gib"] for h in group if h["began"] <= b["began"] < h["ended"])
                        for b, group in zip(held, beside, strict=True) if b["gib"] < 30),
        "beside_the_largest": [len(group) for b, group in zip(held, beside, strict=True) if b["gib"] == 30],
        "failed_once": len(first_tries),
        "alone_when_retried": [len(beside[held.index(hold)]) for hold in retried],
    }  # fmt: skip


def _listening(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return [c.laddr.ip for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
    return []


def _on_sigterm(number: int, frame: object) -> None:
    raise SystemExit(1)


if __name__ == "__main__":
    scenario = {"private": private, "cluster": cluster, "sharing": sharing}[sys.argv[1]]
    print(json.dumps(scenario(Path(sys.argv[2]))), flush=True)  # noqa: T201
