"""Real MLflow servers on 127.0.0.1 that die, come back, stand behind a slow line or on a disk that is full."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loopback import free_port

from evonas.tracking.mlflow_store import ui_command, ui_environment


class Server:
    """A tracking server, started as `evonas ui` starts it, that can be killed and brought back."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self._process is None:
            self._process = self._start([])
        wait_until(self._answers, 120)

    def kill(self) -> None:
        """SIGKILL the server and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Lose everything that a killed server kept."""
        (self.root / "mlflow.db").unlink()
        shutil.rmtree(self.root / "mlartifacts", ignore_errors=True)

    def _start(self, wrapped: Sequence[str]) -> subprocess.Popen[bytes]:
        (self.root / "mlflow.db").touch()
        command = ui_command(self.root, uri=f"sqlite:///{self.root}/mlflow.db", port=self.port)
        served = ["--serve-artifacts", "--artifacts-destination", str(self.root / "mlartifacts")]
        root = command.index("--default-artifact-root")
        command[root : root + 2] = served  # as a server of its own does it: the artifacts pass through it
        with (self.root.parent / f"{self.root.name}.log").open("ab") as log:
            return subprocess.Popen(
                [*wrapped, *command], env={**os.environ, **ui_environment()}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class SmallDisk(Server):
    """A server that keeps everything on a disk of its own, which can be filled up; see `can_mount`."""

    MIB = 64

    @staticmethod
    def can_mount() -> bool:
        """Say whether this machine lets us mount a disk in a namespace of our own."""
        try:
            done = subprocess.run(
                [*_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
            )
        except OSError:
            return False
        return done.returncode == 0

    def fill(self) -> None:
        """Take every free byte of the disk."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()

    def _start(self, wrapped: Sequence[str]) -> subprocess.Popen[bytes]:
        script = f'mount -t tmpfs -o size={self.MIB}m none "$0" && touch "$0/mlflow.db" && exec "$@"'
        return super()._start([*_NAMESPACE, "sh", "-c", script, str(self.root)])

    @property
    def _filler(self) -> Path:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/root") / self.root.relative_to("/") / "filler"


_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


@contextmanager
def slow_line(port: int, seconds: float | None) -> Iterator[str]:
    """Yield the address of a proxy that holds each answer of a server back; None holds it back for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port, seconds), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def wait_until(claim: Callable[[], bool], limit: float = 120.0) -> None:
    """Return when a claim holds, or is no longer expected to."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            if claim():
                return
        except Exception:  # what is asked about is not there yet
            if time.monotonic() > deadline - 0.2:
                raise
        time.sleep(0.05)
    raise AssertionError("in vain")


def _accept(listening: socket.socket, port: int, seconds: float | None) -> None:
    with contextlib.suppress(OSError):  # the end of the proxy
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(("127.0.0.1", port)) if seconds is not None else client
            threading.Thread(target=_pass, args=(client, server, 0.0), daemon=True).start()
            if server is not client:
                threading.Thread(target=_pass, args=(server, client, seconds), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Hand on what comes, `seconds` late; swallow it where the target is the source itself."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            time.sleep(seconds)
            if target is not source:
                target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
