"""A Ray cluster on 127.0.0.1 that asks for a token and takes jobs, as a user starts one."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from commands import EVONAS, environment
from loopback import free_port


@dataclass(frozen=True)
class JobCluster:
    """The dashboard of the cluster, its token, and a folder that stands for its shared storage."""

    url: str
    token: str
    storage: Path

    def variables(self) -> dict[str, str]:
        """The environment of a user who may use the cluster."""
        return {
            **environment(),
            "RAY_API_SERVER_ADDRESS": self.url,
            "RAY_AUTH_TOKEN": self.token,
            "RAY_AUTH_MODE": "token",
        }

    def evonas(
        self, *words: object, cwd: Path, timeout: float = 400, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of evonas to its end, as that user."""
        return subprocess.run(
            [str(EVONAS), *map(str, words)], cwd=cwd, env={**self.variables(), **variables},
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip


@contextmanager
def job_cluster(storage: Path, cpus: int = 2) -> Iterator[JobCluster]:
    """Start a head with a dashboard and a token; it and its files are gone afterwards."""
    folder, dashboard, token = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")), free_port(), secrets.token_hex(32)
    command = [
        Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
        f"--port={free_port()}", f"--num-cpus={cpus}", f"--temp-dir={folder}", "--object-store-memory=100000000",
        "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}",
        "--disable-usage-stats",
    ]  # fmt: skip
    variables = {
        **environment(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    with (storage / "head.log").open("w") as log:
        head = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{dashboard}"
        _wait_until_it_takes_jobs(url, token, head)
        yield JobCluster(url, token, storage)
    finally:
        head.send_signal(signal.SIGTERM)
        head.wait(timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_takes_jobs(url: str, token: str, head: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert head.poll() is None, "the head did not start"
        try:
            answer = requests.get(f"{url}/api/jobs/", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        except requests.RequestException:
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            return
        time.sleep(0.2)
    raise AssertionError("the head took no jobs within 90 s")
