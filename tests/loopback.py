"""A Ray cluster of one node on 127.0.0.1, as a user starts one, for tests that join it from other processes."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands import environment


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def loopback_cluster(cpus: int = 2) -> Iterator[str]:
    """Start a head and yield its address; it and its files are gone afterwards."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    command = [
        Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--include-dashboard=false",
        "--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cpus}", f"--temp-dir={folder}",
        "--object-store-memory=100000000",
    ]  # fmt: skip
    head = subprocess.Popen(
        command, env={**environment(), "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_until_it_listens(port, head)
        yield f"127.0.0.1:{port}"
    finally:
        head.send_signal(signal.SIGTERM)
        head.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_listens(port: int, head: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(2)  # the node registers after the port opens
                return
        assert head.poll() is None, "the head did not start"
        time.sleep(0.1)
    raise AssertionError("the head did not start within a minute")
