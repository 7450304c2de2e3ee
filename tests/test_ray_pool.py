"""The pool of Ray actors: what the contract says, and what happens to workers that die, hang or are taken away."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pool_contract import AsynchronousPoolContract, run, timeless
from pool_evaluators import (
    ActionRecipe,
    BatchRecipe,
    DyingRecipe,
    SharedRecipe,
    SlowToPrepareRecipe,
    candidates,
    processes,
)
from ray_fixture import ray_cluster as ray_cluster  # a fixture

from evonas.errors import ConfigError, ResourceError
from evonas.evaluation import Evaluation, Failure, FailureKind, Outcome
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers import ray_cluster as cluster_module
from evonas.workers import ray_crew
from evonas.workers.local_pool import LocalPool
from evonas.workers.ray_cluster import Node, Vigil, workers_to_start
from evonas.workers.ray_pool import RayPool

with_ray = pytest.mark.usefixtures("ray_cluster")


@with_ray
class TestRayPool(AsynchronousPoolContract):
    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        return RayPool(recipe, workers=2, cpus=1)


def outcomes_of(pool: RayPool, asked: list[Any]) -> list[Outcome]:
    try:
        return run(pool, asked)
    finally:
        pool.close()


def until(happened: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"nothing happened within {seconds} s"
        time.sleep(0.02)


def share_calls(pool: RayPool, capacity: int) -> None:
    """Evaluate what is cheap until workers take so many at once."""
    until(lambda: run(pool, candidates("compute", range(60))) and pool.capacity >= capacity)


@with_ray
class TestLostWorkers:
    def test_a_candidate_whose_worker_is_killed_once_is_evaluated(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=1, retries=1)
        [outcome] = outcomes_of(pool, candidates("kill_itself_once"))
        assert isinstance(outcome, Evaluation)
        first, second = processes(tmp_path, "kill_itself_once")
        assert first != second

    def test_a_candidate_that_always_kills_its_worker_fails_alone(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2, retries=2)
        *others, killer = outcomes_of(pool, [*candidates("kill_itself"), *candidates("compute", range(8))])
        assert all(isinstance(outcome, Evaluation) for outcome in others)
        assert isinstance(killer, Failure)
        assert killer.kind is FailureKind.CRASH
        tried = processes(tmp_path, "kill_itself")
        assert len(set(tried)) == 3
        for attempt, process in enumerate(tried, start=1):
            assert f"attempt {attempt} of 3: the worker died: process {process} on 127.0.0.1" in killer.reason
        assert "Worker unexpectedly exits" in killer.reason
        assert [len(processes(tmp_path, "compute", number)) for number in range(8)] == [1] * 8

    def test_a_candidate_that_hangs_is_ended_with_its_process(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2, timeout_seconds=3, retries=1)
        run(pool, candidates("compute", range(2)))
        started = time.monotonic()
        *others, hanging = outcomes_of(pool, [*candidates("hang"), *candidates("compute", range(2, 6))])
        assert time.monotonic() - started < 60
        assert all(isinstance(outcome, Evaluation) for outcome in others)
        assert isinstance(hanging, Failure)
        assert hanging.kind is FailureKind.TIMEOUT
        assert hanging.reason.count("no result within 3 s, so the worker was killed") == 2
        assert len(set(processes(tmp_path, "hang"))) in (2, 3), "twice alone, and perhaps first in company"
        for process in processes(tmp_path, "hang"):
            until(lambda process=process: not psutil.pid_exists(process))  # type: ignore[misc]

    @pytest.mark.parametrize("recipe", [ActionRecipe, BatchRecipe])
    def test_what_is_lost_in_company_is_tried_singly_and_nobody_is_blamed_for_another(
        self, recipe: Callable[[Path], EvaluatorRecipe], tmp_path: Path
    ) -> None:
        pool = RayPool(recipe(tmp_path), workers=1, retries=0)
        share_calls(pool, 16)
        *others, killer = outcomes_of(pool, [*candidates("kill_itself_once"), *candidates("compute", range(60, 70))])
        assert isinstance(killer, Evaluation), "the first time was in company, and is not counted"
        assert all(isinstance(outcome, Evaluation) for outcome in others)
        assert len(processes(tmp_path, "kill_itself_once")) == 2

    def test_candidates_that_suddenly_take_long_do_not_wait_for_each_other(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2)
        share_calls(pool, 32)
        pool.submit([*candidates("sleep", (6,)), *candidates("wait_for_release", range(7))])
        [first] = pool.next_outcomes(timeout=60)
        assert first.candidate == candidates("sleep", (6,))[0], "it came without those that were in its call"
        (tmp_path / "release").touch()
        seen: list[Outcome] = []
        until(lambda: seen.extend(pool.next_outcomes(timeout=10)) or len(seen) == 7)
        pool.close()
        assert {outcome.candidate.genome[1] for outcome in seen} == set(range(7))
        assert [len(processes(tmp_path, "wait_for_release", number)) for number in range(7)] == [1] * 7

    def test_a_candidate_that_takes_more_memory_than_allowed_fails_alone(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=1, retries=1, memory_gb=0.3)
        small, large = outcomes_of(pool, candidates("take_memory", (1, 9)))
        assert isinstance(small, Evaluation)
        assert isinstance(large, Failure)
        assert large.kind is FailureKind.OUT_OF_MEMORY
        assert "attempt 2 of 2" in large.reason
        assert len(processes(tmp_path, "take_memory", 9)) == 2

    def test_a_retry_comes_after_a_pause_in_which_others_are_evaluated(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2, retries=1, backoff_seconds=3)
        run(pool, candidates("sleep", (2, 3)))  # both workers are there
        began, worked = time.monotonic(), time.process_time()
        pool.submit([*candidates("kill_itself_once"), *candidates("sleep", (1,))])
        outcomes = [*pool.next_outcomes(timeout=90), *pool.next_outcomes(timeout=90)]
        assert time.monotonic() - began >= 3, "though a worker was free all the time"
        assert time.process_time() - worked < 2, "the driver sleeps meanwhile"
        pool.close()
        assert [type(outcome) for outcome in outcomes] == [Evaluation, Evaluation]

    def test_a_straggler_is_run_a_second_time_and_the_first_result_wins(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2, straggler_factor=5)
        run(pool, candidates("sleep", range(1, 6)))
        pool.submit(candidates("hang_once"))
        [outcome] = pool.next_outcomes(timeout=90)
        assert isinstance(outcome, Evaluation)
        slow, _ = processes(tmp_path, "hang_once")
        until(lambda: not psutil.pid_exists(slow))
        assert len(run(pool, candidates("sleep", (6, 7)))) == 2, "both workers are at work again"
        pool.close()

    def test_a_straggler_that_always_hangs_fails_in_the_end(self, tmp_path: Path) -> None:
        pool = RayPool(
            ActionRecipe(tmp_path), workers=3, straggler_factor=2, timeout_seconds=3, retries=1, backoff_seconds=0
        )
        run(pool, candidates("sleep", range(1, 6)))
        pool.submit(candidates("hang"))
        [outcome] = pool.next_outcomes(timeout=60)
        pool.close()
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.TIMEOUT
        assert len(processes(tmp_path, "hang")) in (2, 3)

    def test_a_candidate_is_not_blamed_for_workers_that_died_while_they_had_nothing_to_do(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2, retries=0)
        run(pool, candidates("sleep", (1, 2)))
        time.sleep(1.2)
        for number in (1, 2):
            os.kill(processes(tmp_path, "sleep", number)[0], signal.SIGKILL)
        outcomes = outcomes_of(pool, candidates("sleep", (3, 4)))
        assert [type(outcome) for outcome in outcomes] == [Evaluation, Evaluation]

    def test_what_a_worker_loads_counts_in_no_candidates_time_limit(self, tmp_path: Path) -> None:
        pool = RayPool(SlowToPrepareRecipe(tmp_path), workers=1, retries=2, timeout_seconds=1.5)
        [outcome] = outcomes_of(pool, candidates("compute"))
        assert isinstance(outcome, Evaluation)

    def test_a_worker_killed_from_outside_costs_one_retry(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=2)
        pool.submit(candidates("wait_for_release", range(2)))
        until(
            lambda: pool.next_outcomes(timeout=0.1) or all(processes(tmp_path, "wait_for_release", n) for n in range(2))
        )
        os.kill(processes(tmp_path, "wait_for_release", 0)[0], signal.SIGKILL)
        until(lambda: pool.next_outcomes(timeout=0.1) or len(processes(tmp_path, "wait_for_release", 0)) == 2)
        (tmp_path / "release").touch()
        outcomes = [*pool.next_outcomes(timeout=90), *pool.next_outcomes(timeout=90)]
        pool.close()
        assert [type(outcome) for outcome in outcomes] == [Evaluation, Evaluation]
        assert [len(processes(tmp_path, "wait_for_release", number)) for number in range(2)] == [2, 1]

    def test_workers_that_die_while_they_start_end_the_search(self) -> None:
        pool = RayPool(DyingRecipe(), workers=1)
        with pytest.raises(ResourceError, match="4 workers in a row died while they started"):
            run(pool, candidates("compute"))
        pool.close()


@with_ray
class TestWorkers:
    def test_any_number_of_workers_gives_the_evaluations_of_the_local_pool(self, tmp_path: Path) -> None:
        asked = [*candidates("compute", range(6)), *candidates("train")]
        expected = [timeless(outcome) for outcome in run(LocalPool(ActionRecipe(tmp_path)), asked)]
        for workers in (1, 3):
            pool = RayPool(ActionRecipe(tmp_path), workers=workers, cpus=1)
            assert pool.capacity == workers
            assert [timeless(outcome) for outcome in outcomes_of(pool, asked)] == expected

    def test_torch_computes_with_as_many_threads_as_cpus(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), workers=1, cpus=2)
        [outcome] = outcomes_of(pool, candidates("tell_threads"))
        assert outcome.metrics["value"] == 2  # type: ignore[union-attr]

    def test_there_are_as_many_workers_as_fit_by_default(self, tmp_path: Path) -> None:
        pool = RayPool(ActionRecipe(tmp_path), cpus=1.5)
        assert pool.capacity == 2
        pool.close()

    def test_what_is_shared_cannot_be_written_by_any_worker(self) -> None:
        pool = RayPool(SharedRecipe(), np.ones(100_000), workers=2)
        outcomes = outcomes_of(pool, [*candidates("compute", range(4)), *candidates("fail", range(4))])
        assert [outcome.metrics["value"] for outcome in outcomes if isinstance(outcome, Evaluation)] == [100_000] * 4
        assert all("read-only" in outcome.reason for outcome in outcomes if isinstance(outcome, Failure))

    def test_modules_beside_the_experiment_are_found_by_the_workers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "recipe_of_a_user.py").write_text(
            "import pool_evaluators\nclass Mine(pool_evaluators.ActionRecipe):\n    pass\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        import recipe_of_a_user  # type: ignore[import-not-found]

        pool = RayPool(recipe_of_a_user.Mine(tmp_path), workers=1)
        assert len(outcomes_of(pool, candidates("compute"))) == 1

    def test_a_worker_that_cannot_import_evonas_says_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "only_here.py").write_text(
            "import evonas.workers.worker_actor as there\nclass EvonasWorker(there.EvonasWorker):\n    pass\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        import only_here  # type: ignore[import-not-found]

        monkeypatch.setattr(ray_crew, "EvonasWorker", only_here.EvonasWorker)
        pool = RayPool(ActionRecipe(tmp_path), workers=1)
        with pytest.raises(ResourceError, match=r"(?s)evonas.* must be installed.*No module named 'only_here'"):
            run(pool, candidates("compute"))
        pool.close()

    def test_closing_ends_the_workers_and_leaves_ray_to_who_started_it(self, tmp_path: Path) -> None:
        import ray

        pool = RayPool(ActionRecipe(tmp_path), workers=1)
        run(pool, candidates("compute"))
        pool.close()
        until(lambda: not psutil.pid_exists(processes(tmp_path, "compute")[0]))
        assert ray.is_initialized()


class TestRequests:
    @pytest.mark.parametrize(
        ("option", "value"),
        [("workers", 0), ("cpus", 0), ("gpus", -1), ("gpus", 1.5), ("timeout_seconds", 0), ("retries", -1)],
    )
    def test_an_option_out_of_range_is_named(self, option: str, value: float, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=f"'{option}' must be .*, and is {value}"):
            RayPool(ActionRecipe(tmp_path), **{option: value})  # type: ignore[arg-type]

    @with_ray
    def test_a_gpu_that_is_not_there_is_refused_and_not_awaited(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceError, match=r"'gpus: 1' do not fit, 0 would; nodes: 1 of 4 CPUs and 0 GPUs"):
            RayPool(ActionRecipe(tmp_path), workers=1, gpus=1)

    @with_ray
    def test_more_memory_than_a_node_has_is_refused_and_not_awaited(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceError, match=r"memory_gb: 100000.0 do not fit, 0 would; nodes: .*, memory_gb: \d+"):
            RayPool(ActionRecipe(tmp_path), workers=1, memory_gb=100_000)

    @with_ray
    def test_a_custom_resource_that_no_node_has_is_refused_and_not_awaited(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceError, match=r"fpga: 1 do not fit, 0 would"):
            RayPool(ActionRecipe(tmp_path), workers=1, resources={"fpga": 1})

    @with_ray
    def test_more_cpus_than_a_node_has_are_refused_and_not_awaited(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceError, match=r"'cpus: 5' .* do not fit, 0 would"):
            RayPool(ActionRecipe(tmp_path), workers=1, cpus=5)

    def test_a_worker_must_fit_on_one_node(self) -> None:
        nodes = [Node(cpus=4, gpus=0), Node(cpus=1, gpus=2)]
        assert workers_to_start(nodes, None, cpus=1, gpus=0, grows=True) == 5
        assert workers_to_start(nodes, None, cpus=0.1, gpus=0.25, grows=True) == 8
        assert workers_to_start(nodes, 64, cpus=1, gpus=1, grows=True) == 64
        with pytest.raises(ResourceError, match="64 worker"):
            workers_to_start(nodes, 64, cpus=1, gpus=1, grows=False)
        with pytest.raises(ResourceError, match=r"nodes: 1 of 1 CPUs and 2 GPUs, 1 of 4 CPUs and 0 GPUs"):
            workers_to_start(nodes, None, cpus=2, gpus=1, grows=True)


class TestAddress:
    @pytest.mark.parametrize("address", ["head", "http://head:8265", "ray://head:10001"])
    def test_what_is_no_address_is_refused(self, address: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=f"'address' must read host:port.*'{address}'"):
            RayPool(ActionRecipe(tmp_path), address=address)

    def test_an_address_where_nobody_answers_is_refused_within_seconds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{unused.getsockname()[1]}"
            started = time.monotonic()
            expected = f"{address}.*RAY_AUTH_MODE is token and a token is in RAY_AUTH_TOKEN.*leave the address out"
            with pytest.raises(ResourceError, match=expected):
                RayPool(ActionRecipe(tmp_path), address=address)
        assert time.monotonic() - started < 30

    def test_an_address_where_something_else_answers_is_refused_within_seconds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
            with pytest.raises(ResourceError, match=r"is not the head of a Ray cluster.*RAY_AUTH_MODE is unset"):
                RayPool(ActionRecipe(tmp_path))
            thread.join()

    def test_a_head_that_is_too_busy_to_answer_at_first_is_asked_once_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 3.0)
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                (silent, _), (answering, _) = server.accept(), server.accept()
                with silent, answering:
                    answering.recv(100)
                    answering.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))  # an HTTP/2 frame of settings

            thread = threading.Thread(target=answer)
            thread.start()
            cluster_module.check_answers(f"127.0.0.1:{server.getsockname()[1]}")
            thread.join()


class TestVigil:
    """Short patience, real sockets."""

    @pytest.fixture(autouse=True)
    def _patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, seconds in {"WATCH_SECONDS": 0.0, "HEAD_SECONDS": 0.1, "START_SECONDS": 0.1}.items():
            monkeypatch.setattr(cluster_module, name, seconds)

    def test_a_silent_head_is_borne_for_a_while_only(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            vigil = Vigil(f"127.0.0.1:{server.getsockname()[1]}")
            assert vigil.complaint(True, lambda: [Node(1, 0)]) is None
        assert vigil.complaint(True, lambda: [Node(1, 0)]) is None
        time.sleep(0.15)
        assert "has not answered" in str(vigil.complaint(True, lambda: [Node(1, 0)]))

    def test_a_cluster_without_workers_is_borne_for_a_while_only(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            vigil = Vigil(f"127.0.0.1:{server.getsockname()[1]}")
            for working in (False, True, False):
                assert vigil.complaint(working, lambda: [Node(1, 0)]) is None
                time.sleep(0.15)
            assert "no worker has started" in str(vigil.complaint(False, lambda: [Node(1, 0)]))

    def test_a_cluster_without_nodes_is_not_borne(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            vigil = Vigil(f"127.0.0.1:{server.getsockname()[1]}")
            assert "every node of the Ray cluster is gone" in str(vigil.complaint(False, list))


class TestScenarios:
    """What happens in processes where no Ray is yet: see ray_scenarios.py."""

    def test_a_private_ray_is_on_loopback_leaves_nothing_behind_and_can_be_started_again(
        self, scenarios: dict[str, Scenario]
    ) -> None:
        seen, printed = scenarios["private"].result()
        assert re.fullmatch(r"candidate \d+: the worker died: process \d+ on 127\.0\.0\.1: .*\n?", printed), printed
        assert all(ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback for address in seen["listening"])
        assert seen["processes"] > 4
        assert seen["left"] == []
        assert seen["home"] == []
        assert seen["sigterm_kept"]
        assert seen["evaluated_again"] == 1

    def test_a_cluster_is_joined_by_address_and_a_lost_node_costs_one_retry(
        self, scenarios: dict[str, Scenario]
    ) -> None:
        seen, _ = scenarios["cluster"].result()
        assert seen["outcomes"] == ["Evaluation", "Evaluation"]
        assert seen["attempts"] == 3
        assert seen["gpu_workers"] == 2
        assert seen["device"] == [1]
        assert "'cpus: 2' and 'gpus: 0' do not fit, 0 would; nodes: 1 of 1 CPUs and 1 GPUs" in seen["refused"]
        assert seen["closing_seconds"] < 60

    def test_workers_share_gpus_by_memory_and_what_finds_too_little_is_tried_alone(
        self, scenarios: dict[str, Scenario]
    ) -> None:
        seen, _ = scenarios["sharing"].result()
        assert (seen["workers"], seen["devices"]) == (8, ["GPU-0", "GPU-1"])
        assert (seen["outcomes"], seen["count"]) == (["Evaluation"], 17)
        assert 2 <= seen["most_at_once"] <= 4
        assert seen["most_gib"] <= 10 * 0.92 - 4 * 0.5, "without the reserve, and what idle workers keep"
        assert seen["beside_the_largest"] == [1], "itself"
        assert (seen["failed_once"], seen["alone_when_retried"]) == (2, [1, 1])


class Scenario:
    """A function of ray_scenarios.py that runs in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.ray_folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "RAY_TMPDIR": self.ray_folder.name,  # short, for the names of sockets
            "RAY_timeout_ms_task_wait_for_death_info": "20000",  # as in ray_fixture.py
        }
        # a loaded machine ends raylets later than Ray cares to wait for them
        warnings = ["-W", "error", "-W", "ignore:subprocess:ResourceWarning"]
        self.process = subprocess.Popen(
            [sys.executable, *warnings, Path(__file__).with_name("ray_scenarios.py"), name, folder],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> tuple[dict[str, Any], str]:
        """Return what the function saw, and what else was printed."""
        out, err = self.process.communicate(timeout=400)
        assert self.process.returncode == 0, err
        *printed, seen = out.splitlines()
        return json.loads(seen), "\n".join([*printed, err])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.ray_folder.cleanup()


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scenario]]:
    """All scenarios at once, because most of their time is waiting."""
    started = {name: Scenario(name, tmp_path_factory.mktemp(name)) for name in ("private", "cluster", "sharing")}
    yield started
    for scenario in started.values():
        scenario.end()
