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
from pool_contract import run
from pool_evaluators import ActionRecipe, candidates, processes

from evonas.errors import ResourceError
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
    psutil.wait_procs(ray_processes, timeout=10)
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
    nodes.wait_for_nodes()
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
    outcomes = [type(outcome).__name__ for _ in range(2) for outcome in pool.next_outcomes(timeout=60)]
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


def _listening(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return [c.laddr.ip for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
    return []


def _on_sigterm(number: int, frame: object) -> None:
    raise SystemExit(1)


if __name__ == "__main__":
    print(json.dumps({"private": private, "cluster": cluster}[sys.argv[1]](Path(sys.argv[2]))), flush=True)  # noqa: T201
