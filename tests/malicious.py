"""A pickle that runs a command when it is read as pickles usually are."""

from __future__ import annotations

import os
import pickle
from pathlib import Path


class Command:
    """An object whose pickle calls os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def making(file: Path, protocol: int = 4) -> bytes:
    """Return a pickle, of a dictionary as benchmarks are, that makes `file` when it is read."""
    return pickle.dumps({"meta_archs": [], "arch2infos": {0: Command(f"touch {file}")}}, protocol=protocol)
