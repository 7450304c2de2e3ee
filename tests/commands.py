"""How tests run the command line: as a user does, in a process of its own, or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evonas.cli import main

EVONAS = Path(sys.executable).with_name("evonas")
TESTS = Path(__file__).parent

FORMULA: Mapping[str, Any] = {
    "name": "formula",
    "space": "synthetic:IntegerSpace",
    "data": None,
    "evaluator": "synthetic:FormulaEvaluator",
    "strategy": {"population": 12},
    "gates": [{"metric": "params", "at_most": {"quantile": 0.9}}],
    "evaluations": 60,
    "pool": "evonas.workers.local_pool:LocalPool",
    "tracking": None,
}
"""An experiment whose evaluations cost nothing, for what is about the search and not about training."""


def environment() -> dict[str, str]:
    """The environment of a user, with the test's own modules importable and nothing of another cluster or server."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MLFLOW_", "EVONAS_"))}
    return {**mine, "PYTHONPATH": str(TESTS), "COLUMNS": "140", "NO_COLOR": "1"}


def write_experiment(folder: Path, **changes: Any) -> Path:
    """Write the formula experiment with changed keys into `folder`; None drops a key's value."""
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({**FORMULA, **changes}))
    return path


Command = Callable[..., tuple[int, str, str]]
"""Runs the command line in this process; returns exit code and what it says on both streams."""


def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what runs the command line in this process."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evonas", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, said.err

    return run


def evonas(*words: object, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run `evonas` to its end."""
    command = [str(EVONAS), *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )


def start(*words: object, cwd: Path) -> subprocess.Popen[str]:
    """Start `evonas` and return at once; its output goes to a file in `cwd`."""
    command = [str(EVONAS), *map(str, words)]
    with (cwd / "output.log").open("a") as log:
        return subprocess.Popen(command, cwd=cwd, env=environment(), stdout=log, stderr=log, text=True)
