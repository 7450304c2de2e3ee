"""Where an evaluation is made: host, device and the versions of what computes."""

from __future__ import annotations

import importlib.metadata
import platform
import socket
from pathlib import Path

from evonas.evaluation import Worker

LIBRARIES = ("evonas", "numpy", "torch")


def this_worker(device: str, threads: int) -> Worker:
    """Return what is known of this process, which computes on `device` (`cpu` or `cuda:N`) with so many threads."""
    if device == "cpu":
        device = f"cpu, {threads} thread{'s' if threads > 1 else ''}, {_processor()}"
    else:
        import torch

        if torch.cuda.is_available():
            device = f"{device}, {torch.cuda.get_device_name(device)}"
    return Worker(socket.gethostname(), device, (("python", platform.python_version()), *_versions()))


def _versions() -> list[tuple[str, str]]:
    found = []
    for library in LIBRARIES:
        try:
            found.append((library, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return the processor's name as Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
