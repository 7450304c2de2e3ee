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
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from commands import environment


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Member:
    """A node of a cluster with its raylet, which can be killed as a machine is that loses its power."""

    def __init__(self, cpus: int, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        command = [
            Path(sys.executable).with_name("ray"), "start", "--block", "--node-ip-address=127.0.0.1",
            f"--num-cpus={cpus}", f"--temp-dir={self._folder}", "--object-store-memory=100000000", *options,
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, env={**environment(), "RAY_AUTH_MODE": "disabled"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=self._folder,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Return its processes: daemons and workers."""
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(self._process.pid)
            return [started, *started.children(recursive=True)]
        return []

    def kill(self) -> None:
        """End all its processes with SIGKILL."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(timeout=120)
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End it in order."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=120)
        shutil.rmtree(self._folder, ignore_errors=True)


class Head(Member):
    """The head of a cluster on 127.0.0.1."""

    def __init__(self, port: int, cpus: int = 2) -> None:
        self.address = f"127.0.0.1:{port}"
        super().__init__(cpus, "--head", "--include-dashboard=false", f"--port={port}")
        _wait_until_it_listens(port, self._process)


class Node(Member):
    """Another node, which joins a head; returns before it has."""

    def __init__(self, address: str, cpus: int = 1) -> None:
        super().__init__(cpus, f"--address={address}", f"--dashboard-agent-listen-port={free_port()}")


@contextmanager
def loopback_cluster(cpus: int = 2) -> Iterator[str]:
    """Start a head and yield its address; it and its files are gone afterwards."""
    head = Head(free_port(), cpus)
    try:
        yield head.address
    finally:
        head.stop()


def _wait_until_it_listens(port: int, head: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(2)  # the node registers after the port opens
                return
        assert head.poll() is None, "the head did not start"
        time.sleep(0.1)
    raise AssertionError("the head did not start within a minute")
