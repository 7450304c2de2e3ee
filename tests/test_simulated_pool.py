"""The pool on a virtual clock: the contract of every pool, and time that passes as it was told to."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pool_contract import AsynchronousPoolContract, run, timeless
from pool_evaluators import ActionRecipe, candidates
from pyarrow import csv, parquet
from toy import evaluated, header

from evonas.errors import ConfigError, DataError, JournalError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Outcome
from evonas.history import JOURNAL
from evonas.journal import Asked, Finished, Journal
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers.local_pool import LocalPool
from evonas.workers.simulated_pool import SimulatedPool


class TestSimulatedPool(AsynchronousPoolContract):
    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        return SimulatedPool(recipe, workers=3, median_seconds=1.0)

    test_waiting_ends_in_time_when_nothing_is_ready = None  # type: ignore[assignment]
    test_work_goes_on_while_nobody_waits = None  # type: ignore[assignment]


def simulated(folder: Path, count: int, **options: Any) -> tuple[SimulatedPool, list[Outcome]]:
    pool = SimulatedPool(ActionRecipe(folder), **options)
    return pool, run(pool, candidates("compute", range(count)))


def seconds(outcomes: list[Outcome]) -> list[float]:
    return [outcome.seconds for outcome in outcomes if isinstance(outcome, Evaluation)]


def test_evaluations_are_real_and_only_their_time_is_pretended(tmp_path: Path) -> None:
    started = time.monotonic()
    pool, outcomes = simulated(tmp_path, 40, workers=4, median_seconds=3600)
    assert time.monotonic() - started < 20
    expected = run(LocalPool(ActionRecipe(tmp_path)), candidates("compute", range(40)))
    assert [timeless(outcome) for outcome in outcomes] == [timeless(outcome) for outcome in expected]
    assert seconds(outcomes) == pytest.approx([3600] * 40)
    assert pool.clock() == pytest.approx(10 * 3600)
    assert pool.busy_seconds == pytest.approx(40 * 3600)


def test_ten_thousand_workers_are_no_trouble(tmp_path: Path) -> None:
    pool = SimulatedPool(ActionRecipe(tmp_path), workers=10_000, sigma=1.0)
    pool.submit([Candidate(number, (0, number % 100), 0) for number in range(10_000)])
    seen, moments = list[Outcome](), list[float]()
    while outcomes := pool.next_outcomes():
        seen += outcomes
        moments.append(pool.clock())
    assert sorted(outcome.candidate.id for outcome in seen) == list(range(10_000))
    assert moments == sorted(moments)
    assert pool.clock() == max(seconds(seen))


def test_durations_are_lognormal_with_that_median(tmp_path: Path) -> None:
    _, outcomes = simulated(tmp_path, 100, workers=7, median_seconds=50, sigma=0.5)
    assert 40 < statistics.median(seconds(outcomes)) < 62
    assert 25 < statistics.pstdev(seconds(outcomes)) < 55


def test_durations_grow_with_the_size_of_networks(tmp_path: Path) -> None:
    _, outcomes = simulated(tmp_path, 30, median_seconds=2.0, seconds_per_mac=0.01)
    macs = [outcome.metrics["macs"] for outcome in outcomes if isinstance(outcome, Evaluation)]
    assert seconds(outcomes) == pytest.approx([2.0 + 0.01 * mac for mac in macs])
    assert len(set(macs)) == 30


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_durations_come_from_a_column(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"measured{suffix}"
    table = pa.table({"name": ["a", "b"], "latency": [2.0, 7.0]})
    parquet.write_table(table, path) if suffix == ".parquet" else csv.write_csv(table, path)
    _, outcomes = simulated(tmp_path, 50, table=path, column="latency")
    assert set(seconds(outcomes)) == {2.0, 7.0}
    with pytest.raises(DataError, match="no column 'latencies'; did you mean 'latency'"):
        SimulatedPool(ActionRecipe(tmp_path), table=path, column="latencies")
    with pytest.raises(DataError, match="'name' must hold numbers, and row 1 holds 'a'"):
        SimulatedPool(ActionRecipe(tmp_path), table=path, column="name")
    with pytest.raises(ConfigError, match="'table' and 'column', or from 'run'"):
        SimulatedPool(ActionRecipe(tmp_path), column="latency")


def test_durations_come_from_an_earlier_run(tmp_path: Path) -> None:
    known = candidates("compute", range(3))
    journal = Journal.create(tmp_path / JOURNAL, header())
    journal.append([Asked(known), *[Finished(evaluated(candidate), 1.0) for candidate in known]])
    journal.close()
    _, outcomes = simulated(tmp_path, 6, run=tmp_path)
    assert seconds(outcomes) == [2.0] * 6
    with pytest.raises(JournalError, match="no journal"):
        SimulatedPool(ActionRecipe(tmp_path), run=tmp_path / "elsewhere")


def test_failures_come_at_their_rate_are_retried_and_told(tmp_path: Path) -> None:
    _, survived = simulated(tmp_path, 100, workers=5, failure_rate=0.3, retries=20, restart_seconds=5)
    assert len(seconds(survived)) == 100
    _, outcomes = simulated(tmp_path, 100, workers=5, failure_rate=0.5, retries=1)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert 12 <= len(failures) <= 40, "a quarter"
    assert failures[0].kind is FailureKind.CRASH
    assert failures[0].reason.startswith("attempt 1 of 2: the simulated worker died; attempt 2 of 2")


def test_a_timeout_ends_what_is_too_slow(tmp_path: Path) -> None:
    pool, outcomes = simulated(tmp_path, 10, workers=1, median_seconds=9, timeout_seconds=4, retries=0)
    assert {outcome.kind for outcome in outcomes if isinstance(outcome, Failure)} == {FailureKind.TIMEOUT}
    assert pool.clock() == pytest.approx(40)


def test_stragglers_are_slow_and_a_second_run_of_them_saves_time(tmp_path: Path) -> None:
    options = {"workers": 10, "median_seconds": 10.0, "straggler_rate": 0.05, "straggler_slowdown": 50.0}
    slow, outcomes = simulated(tmp_path, 60, **options)
    assert 1 <= sum(duration == pytest.approx(500) for duration in seconds(outcomes)) <= 14
    quick, again = simulated(tmp_path, 60, straggler_factor=2.0, **options)
    assert [timeless(outcome) for outcome in again] == [timeless(outcome) for outcome in outcomes]
    assert quick.clock() < slow.clock() / 2


@pytest.mark.parametrize(
    ("option", "value"),
    [("workers", 0), ("median_seconds", 0), ("sigma", -1), ("failure_rate", 1.5), ("straggler_slowdown", 0.5),
     ("retries", -1), ("timeout_seconds", 0), ("straggler_factor", 1), ("backoff_seconds", -1),
     ("seconds_per_mac", -1)],
)  # fmt: skip
def test_an_option_out_of_range_is_named(option: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'{option}' must be .*, and is {value}"):
        SimulatedPool(ActionRecipe(tmp_path), **{option: value})


def test_stragglers_that_always_fail_come_to_an_end(tmp_path: Path) -> None:
    options = {"workers": 8, "median_seconds": 5.0, "straggler_rate": 0.3, "timeout_seconds": 20.0}
    _, outcomes = simulated(tmp_path, 60, straggler_factor=1.5, retries=1, **options)
    assert len(outcomes) == 60


def test_what_happens_to_a_candidate_depends_on_no_other(tmp_path: Path) -> None:
    options: dict[str, Any] = {"failure_rate": 0.4, "retries": 1, "median_seconds": 5.0, "sigma": 1.0}
    _, one = simulated(tmp_path, 60, workers=1, **options)
    _, many = simulated(tmp_path, 60, workers=8, **options)
    assert {type(outcome) for outcome in one} == {Evaluation, Failure}
    assert [timeless(outcome) for outcome in one] == [timeless(outcome) for outcome in many]
