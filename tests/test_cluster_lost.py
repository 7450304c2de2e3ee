"""A cluster that is gone and comes back, or grows, while a search runs on it."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path

from commands import EVONAS, environment, evonas, write_experiment
from loopback import Head, Node, free_port, loopback_cluster


def outcomes(run: Path) -> list[int]:
    """Return the candidates of a journal that have an outcome, in its order."""
    journal = run / "journal.jsonl"
    return [record["id"] for record in map(json.loads, _whole_lines(journal)) if record["event"] == "finished"]


def result(run: Path) -> tuple[str, str]:
    found = json.loads((run / "front.json").read_text())
    return found["evaluations_hash"], found["front_hash"]


def started(experiment: Path, run: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("w") as log:
        return subprocess.Popen(
            [EVONAS, "run", experiment, "--run", run], cwd=folder, stdout=log, stderr=log,
            env={**environment(), "RAY_AUTH_MODE": "disabled"},
        )  # fmt: skip


def processes(folder: Path) -> list[int]:
    """Return the process of each evaluation."""
    return [json.loads(line)["process"] for line in _whole_lines(folder / "measured.jsonl")]


def _whole_lines(file: Path) -> list[str]:
    """Return the lines of a file that another process appends to, without one that is being written."""
    return file.read_text().split("\n")[:-1] if file.exists() else []


def test_a_search_outlives_its_cluster(tmp_path: Path) -> None:
    port = free_port()
    pool = {"use": "evonas.workers.ray_pool:RayPool", "workers": 2, "address": f"127.0.0.1:{port}"}
    unhurried = {"use": "slow:SlowFormula", "pause": 0.3}
    experiment = write_experiment(tmp_path, evaluator=unhurried, evaluations=48, pool=pool)
    head = Head(port)
    driver = started(experiment, "lost", tmp_path)
    try:
        while len(outcomes(tmp_path / "lost")) < 20:
            assert driver.poll() is None, (tmp_path / "output.log").read_text()
            time.sleep(0.05)
        head.kill()
        had = len(outcomes(tmp_path / "lost"))
        assert had < 48
        time.sleep(1)
        head = Head(port)
        assert driver.wait(timeout=240) == 0, (tmp_path / "output.log").read_text()
    finally:
        driver.kill()
        head.kill()
    assert Counter(outcomes(tmp_path / "lost")) == Counter(range(48)), "each once"
    assert "is gone; waiting" in (tmp_path / "output.log").read_text()
    write_experiment(tmp_path, evaluator="slow:SlowFormula", evaluations=48)
    assert evonas("run", experiment, "--run", "whole", cwd=tmp_path).returncode == 0
    assert result(tmp_path / "lost") == result(tmp_path / "whole")


def test_a_node_that_joins_gets_the_worker_that_did_not_fit(tmp_path: Path) -> None:
    with loopback_cluster(cpus=1) as address:
        pool = {"use": "evonas.workers.ray_pool:RayPool", "workers": 2, "address": address}
        evaluator = {"use": "slow:SlowFormula", "pause": 0.3, "folder": str(tmp_path)}
        experiment = write_experiment(tmp_path, evaluator=evaluator, evaluations=600, pool=pool)
        driver = started(experiment, "run", tmp_path)
        node = None
        try:
            while len(set(processes(tmp_path))) < 2:
                assert driver.poll() is None, (tmp_path / "output.log").read_text()
                if node is None and len(processes(tmp_path)) >= 3:
                    assert len(set(processes(tmp_path))) == 1
                    node = Node(address)
                time.sleep(0.05)
        finally:
            driver.kill()
            driver.wait()
            if node is not None:
                node.kill()
    assert "1 of 2 workers fit now, and the others start when nodes join" in (tmp_path / "output.log").read_text()
