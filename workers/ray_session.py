"""How this process comes to a Ray: it joins a cluster, or starts a private one on loopback."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from evonas.errors import ResourceError
from evonas.workers.environment import environment
from evonas.workers.ray_cluster import Node, check_answers, cluster_address, entry_refused, prepare_token


@dataclass(frozen=True, slots=True)
class Connection:
    """Whether Ray was initialised for it, and whether the cluster is private to this process."""

    opened: bool
    private: bool


def connect(address: str | None, *, cpus_each: float = 1, workers: int | None = None) -> Connection:
    """Join the cluster at `address` or RAY_ADDRESS, or start a private one.

    A private cluster has the machine's CPUs, or as many as the workers ask for if that is more. A Ray that is already
    initialised is used. Raises ConfigError for an address that is none, and ResourceError for one where no cluster is.
    """
    target = cluster_address(address)
    if target is not None:
        check_answers(target)
    _first_import_of_ray(private=target is None)
    import ray

    if ray.is_initialized():
        current = ray.get_runtime_context().gcs_address
        if address is not None and target not in (None, current):
            raise ResourceError(f"this process uses the Ray cluster at {current}: it cannot join {target} as well")
        return Connection(opened=False, private=False)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        if target is None:
            _start_private(cpus_each, workers)
        else:
            _join(target)
    finally:
        if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray replaces it
    return Connection(opened=True, private=target is None)


def living_nodes() -> list[Node]:
    """Return what the nodes of the cluster that are alive have to give."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [
        Node(
            cpus=resources.get("CPU", 0.0),
            gpus=resources.get("GPU", 0.0),
            custom=tuple(sorted((name, n) for name, n in resources.items() if not _of_ray(name))),
        )
        for resources in alive
    ]


def _of_ray(resource: str) -> bool:
    """Whether every node has the resource, or Ray itself gives it its name."""
    return resource in ("CPU", "GPU", "object_store_memory") or resource.startswith("node:")


def _first_import_of_ray(private: bool) -> None:
    """Import Ray with two settings that it reads while it is imported, and at no other time.

    A private cluster shall listen on 127.0.0.1 only. Ray does so on Windows and macOS; on Linux it listens on every
    interface, even with `_node_ip_address="127.0.0.1"`, unless told that this is no place for clusters. And the
    terminal shall not hear at length of every death, as it does even with `log_to_driver=False`: outcomes tell of it.
    """
    settings = {"RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed while executing a task|Raylet is terminated"}
    if private:
        settings["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    with environment(settings):
        import ray  # noqa: F401


def _start_private(cpus_each: float, workers: int | None) -> None:
    import ray

    machine = os.cpu_count() or 1
    if cpus_each > machine:
        raise ResourceError(
            f"a worker of 'cpus: {cpus_each:g}' does not fit on this machine of {machine} CPUs: ask for less, or set "
            f"the 'address' of a cluster"
        )
    prepare_token()
    cpus = None if workers is None else max(machine, math.ceil(workers * cpus_each))
    try:
        ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises plain Exceptions here
        ray.shutdown()
        logs = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "session_latest" / "logs"
        raise ResourceError(f"Ray does not start on this machine ({error}); see {logs}") from error


def _join(target: str) -> None:
    import ray

    patience = "RAY_gcs_server_port_wait_time_s"  # Ray would try a wrong token for 20 s
    with environment({patience: os.environ.get(patience, "3")}):
        try:
            ray.init(target, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises plain Exceptions here
            ray.shutdown()
            raise entry_refused(target, error) from error
