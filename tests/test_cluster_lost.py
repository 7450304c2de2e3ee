"""A cluster that is gone and comes back while a search runs on it: the search waits, and loses nothing."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path

from commands import EVONAS, environment, evonas, write_experiment
from loopback import Head, free_port


def outcomes(run: Path) -> list[int]:
    """Return the candidates of a journal that have an outcome, in its order."""
    journal = run / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [record["id"] for record in map(json.loads, lines) if record["event"] == "finished"]


def result(run: Path) -> tuple[str, str]:
    found = json.loads((run / "front.json").read_text())
    return found["evaluations_hash"], found["front_hash"]


def test_a_search_outlives_its_cluster(tmp_path: Path) -> None:
    port = free_port()
    pool = {"use": "evonas.workers.ray_pool:RayPool", "workers": 2, "address": f"127.0.0.1:{port}"}
    experiment = write_experiment(tmp_path, evaluator="slow:SlowFormula", evaluations=48, pool=pool)
    head = Head(port)
    with (tmp_path / "output.log").open("w") as log:
        driver = subprocess.Popen(
            [EVONAS, "run", experiment, "--run", "lost"], cwd=tmp_path, stdout=log, stderr=log,
            env={**environment(), "RAY_AUTH_MODE": "disabled"},
        )  # fmt: skip
    try:
        while len(outcomes(tmp_path / "lost")) < 20:
            assert driver.poll() is None, (tmp_path / "output.log").read_text()
            time.sleep(0.05)
        head.kill()
        had = len(outcomes(tmp_path / "lost"))
        assert had < 48
        time.sleep(1)
        head = Head(port)
        assert driver.wait(timeout=120) == 0, (tmp_path / "output.log").read_text()
    finally:
        driver.kill()
        head.kill()
    assert Counter(outcomes(tmp_path / "lost")) == Counter(range(48)), "each once"
    assert "is gone; waiting" in (tmp_path / "output.log").read_text()
    write_experiment(tmp_path, evaluator="slow:SlowFormula", evaluations=48)
    assert evonas("run", experiment, "--run", "whole", cwd=tmp_path).returncode == 0
    assert result(tmp_path / "lost") == result(tmp_path / "whole")
