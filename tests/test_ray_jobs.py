"""Searches that are submitted to a Ray cluster with a token: followed, resumed, stopped, refused."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import EVONAS, TESTS, write_experiment
from job_cluster import JobCluster, job_cluster

from evonas import config, search
from evonas.errors import ConfigError, JobError
from evonas.history import History
from evonas.pareto import digest
from evonas.workers import ray_jobs
from evonas.workers.ray_jobs import RayJobs, job_address

POOL = {"use": "evonas.workers.ray_pool:RayPool", "workers": 1}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobCluster]:
    with job_cluster(tmp_path_factory.mktemp("storage")) as started:
        yield started


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A working directory: the experiment's own modules, and files that no cluster needs."""
    for name in ("synthetic.py", "noting.py"):
        shutil.copy(TESTS / name, tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "large.bin").write_bytes(bytes(2**20))
    return tmp_path


def measured(storage: Path) -> list[str]:
    return (storage / "measured.jsonl").read_text().splitlines()


@contextmanager
def following(cluster: JobCluster, *words: object, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that follows a job; its output goes to a new `output.log`."""
    with (cwd / "output.log").open("w") as log:
        command = [str(EVONAS), *map(str, words)]
        process = subprocess.Popen(command, cwd=cwd, env=cluster.variables(), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the log says so."""
    deadline = time.monotonic() + 180
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


class TestOnACluster:
    """One head for all, and its storage."""

    def test_a_submitted_search_is_followed_left_alone_stopped_and_goes_on_when_it_is_submitted_again(
        self, cluster: JobCluster, project: Path
    ) -> None:
        experiment = write_experiment(
            project, evaluator="noting:Noting", pool=POOL, tracking={"use": "evonas.tracking.mlflow:MLflow"}
        )
        run, runs = cluster.storage / "runs" / "formula", ("--runs", cluster.storage / "runs")
        submit = ("submit", experiment, *runs, "--cpus", "0.5", "-e", f"NOTED_IN={cluster.storage}", "--follow")
        with following(cluster, *submit, "-e", "NOTED_SECONDS=3", cwd=project) as follower:
            wait_for("12 of 60, hypervolume", project / "output.log", follower)
            follower.send_signal(signal.SIGINT)
            assert follower.wait(timeout=90) == 130
        log = (project / "output.log").read_text()
        assert f"submitted evonas-formula-1, run folder {run}" in log
        assert "The job evonas-formula-1 goes on without being watched" in log

        twice = cluster.evonas(*submit, cwd=project)
        assert (twice.returncode, "the job evonas-formula-1 searches in" in twice.stderr) == (2, True), twice.stderr
        with following(cluster, "logs", "formula", "--follow", cwd=project) as follower:
            wait_for("12 of 60, hypervolume", project / "output.log", follower)
            stopped = cluster.evonas("stop", "evonas-formula-1", cwd=project)
            assert stopped.returncode == 0, stopped.stderr
            assert follower.wait(timeout=120) == 130
        log = (project / "output.log").read_text()
        assert "Interrupted. Nothing finished is lost" in log
        assert "Traceback" not in log
        before = len(History.read(run).outcomes)
        assert 12 <= before < 60
        assert json.loads((run / "front.json").read_text())["front"]

        longer = cluster.evonas(*submit, "evaluations=72", "pool.workers=2", cwd=project)
        assert longer.returncode == 0, longer.stdout + longer.stderr
        assert f"resumed at {before} of 72" in longer.stdout
        generations = [line for line in longer.stdout.splitlines() if line.startswith("generation ")]
        assert len(generations) == len(set(generations)) == 6 - before // 12, "no line of the log is lost or repeated"
        history = History.read(run)
        assert len(history.evaluations) == 72
        assert len(measured(cluster.storage)) <= 72 + 1, "at most the one under way at the stop is measured again"
        here = search.run(config.load(write_experiment(project)), project / "here")[1]
        assert digest(history.evaluations[:60]) == digest(here.evaluations), "as on this machine alone"
        with sqlite3.connect(cluster.storage / "runs" / "mlflow.db") as store:
            tracked = store.execute("select status from runs where name = 'formula'").fetchall()
        assert tracked == [("FINISHED",)], "one run for both jobs, in a store that outlives them"
        states = {
            line.split()[0]: line.split()[1] for line in cluster.evonas("status", cwd=project).stdout.splitlines()
        }
        assert (states["evonas-formula-1"], states["evonas-formula-2"]) == ("stopped", "succeeded")

    def test_a_search_that_fails_there_says_why_and_exits_with_1(self, cluster: JobCluster, project: Path) -> None:
        experiment = write_experiment(project, name="greedy", pool={**POOL, "cpus": 64})
        done = cluster.evonas("submit", experiment, "--runs", cluster.storage / "runs", "-f", cwd=project)
        assert done.returncode == 1
        assert "'cpus: 64' and 'gpus: 0' do not fit" in done.stdout
        assert "evonas-greedy-1 has failed" in done.stderr
        assert "do not fit" in cluster.evonas("status", "greedy", cwd=project).stdout

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"RAY_AUTH_TOKEN": "wrong" * 8}, "the one in RAY_AUTH_TOKEN is not its token"),
            ({"RAY_AUTH_TOKEN": "", "HOME": "/nonexistent"}, "there is none here: copy ~/.ray/auth_token of the head"),
            ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is disabled"),
        ],
    )
    def test_without_the_token_nobody_is_let_in(
        self, variables: dict[str, str], said: str, cluster: JobCluster, tmp_path: Path
    ) -> None:
        done = cluster.evonas("status", cwd=tmp_path, **variables)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr

    def test_a_token_that_is_there_is_sent_though_no_mode_is_set(self, cluster: JobCluster, tmp_path: Path) -> None:
        done = cluster.evonas("logs", "nothing-of-that-name", cwd=tmp_path, RAY_AUTH_MODE="")
        assert done.returncode == 2
        assert "the cluster knows no run 'nothing-of-that-name'" in done.stderr


class TestUpload:
    """What is sent is measured first."""

    def test_a_working_directory_too_large_for_ray_is_not_sent(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ray_jobs, "UPLOAD_BYTES", 2 * 2**20)
        (project / ".gitignore").write_text("ignored.bin\n")
        (project / "ignored.bin").write_bytes(bytes(3 * 2**20))
        ray_jobs._check_upload(project, ["/runs"])
        (project / "images").mkdir()
        (project / "images" / "train.bin").write_bytes(bytes(3 * 2**20))
        with pytest.raises(ConfigError, match=r"has 3 MiB, and Ray takes 2 MiB: .* are images \(3 MiB\); name"):
            ray_jobs._check_upload(project, ["/runs"])
        monkeypatch.setattr(ray_jobs, "UPLOAD_BYTES", 2**17)
        with pytest.raises(ConfigError, match=r"more than \d MiB"):
            ray_jobs._check_upload(project, ["/runs"])

    def test_a_working_directory_that_would_hold_its_own_copy_is_refused(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(project / "runs"))
        with pytest.raises(ConfigError, match="holds the folder for temporary files"):
            ray_jobs._check_upload(project, ["/runs"])


class TestAddress:
    """What can be said without a cluster."""

    @pytest.fixture(autouse=True)
    def _nothing_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
            monkeypatch.delenv(name, raising=False)

    def test_the_option_is_preferred_to_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_ADDRESS", "head:6379")
        with pytest.raises(ConfigError, match=r"no cluster is named: say --address http://HEAD:8265"):
            job_address(None)
        monkeypatch.setenv("RAY_ADDRESS", "http://by-ray:8265")
        assert job_address(None) == "http://by-ray:8265"
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265/")
        assert job_address(None) == "http://head:8265"
        assert job_address("other:8265") == "http://other:8265"

    @pytest.mark.parametrize("address", ["ray://head:10001", "http://", "http://head:port", "http://head:99999"])
    def test_what_is_no_dashboard_is_refused(self, address: str) -> None:
        with pytest.raises(ConfigError, match="is no address of a Ray dashboard"):
            job_address(address)

    def test_silence_is_an_answer_within_seconds(self) -> None:
        with pytest.raises(JobError, match=r"nothing answers at http://127\.0\.0\.1:1: .* ssh -L 8265"):
            RayJobs("http://127.0.0.1:1")
