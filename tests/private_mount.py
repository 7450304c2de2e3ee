"""File systems that only one command sees: small, full or read-only ones, without touching the machine's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from commands import environment


def in_a_namespace(script: str, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount; skip the test where nobody lets us."""
    unshare = ["unshare", "--map-root-user", "--mount"]
    try:
        allowed = subprocess.run(
            [*unshare, "mount", "-t", "tmpfs", "tmpfs", cwd], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no 'unshare' here, which gives a command mounts of its own")
    if allowed.returncode:
        pytest.skip(f"mounts of one's own are not allowed here: {allowed.stderr.strip()}")
    return subprocess.run(
        [*unshare, "sh", "-c", script], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
