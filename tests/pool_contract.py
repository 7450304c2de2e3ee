"""What every pool of workers must satisfy: inherit PoolContract as a test class and provide `make_pool`."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pool_evaluators import ActionRecipe, BatchRecipe, BrokenRecipe, OddRecipe, RefusingRecipe, candidates

from evonas.errors import ConfigError, DataError, EvonasError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Outcome, evaluate
from evonas.pool import EvaluatorRecipe, WorkerPool


def run(pool: WorkerPool, waiting: Sequence[Candidate], patience: float = 300) -> list[Outcome]:
    """Evaluate candidates as a search does, and return their outcomes ordered by candidate."""
    queue, outcomes, held = list(waiting), list[Outcome](), 0
    deadline = time.monotonic() + patience
    while queue or held:
        batch, queue = queue[: pool.capacity - held], queue[pool.capacity - held :]
        pool.submit(batch)
        ended = pool.next_outcomes(timeout=5)
        outcomes += ended
        held += len(batch) - len(ended)
        assert time.monotonic() < deadline, f"{held} of {len(waiting)} candidates have no outcome after {patience} s"
    assert pool.next_outcomes() == []
    return sorted(outcomes, key=lambda outcome: outcome.candidate.id)


def timeless(outcome: Outcome) -> Outcome:
    """Return an outcome without what may differ between two evaluations: time, place, the path through the code."""
    if isinstance(outcome, Evaluation):
        return replace(outcome, seconds=0.0, worker=None)
    return replace(outcome, reason=outcome.reason.splitlines()[-1]) if isinstance(outcome, Failure) else outcome


class PoolContract:
    """Claims about any WorkerPool; a test of a new pool is a class with a `make_pool` of one line."""

    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        raise NotImplementedError

    @pytest.fixture
    def pool(self, tmp_path: Path) -> Iterator[WorkerPool]:
        pool = self.make_pool(ActionRecipe(tmp_path))
        yield pool
        pool.close()

    def test_every_candidate_has_exactly_one_outcome(self, pool: WorkerPool) -> None:
        asked = candidates("compute", range(20))
        assert [outcome.candidate for outcome in run(pool, asked)] == asked

    def test_outcomes_are_those_of_evaluate(self, pool: WorkerPool, tmp_path: Path) -> None:
        actions = ("compute", "fail", "not_a_number", "diverge", "reject", "take_all_memory")
        asked = [candidate for action in actions for candidate in candidates(action, (1, 2))]
        evaluator = ActionRecipe(tmp_path).build()
        expected = [timeless(evaluate(evaluator, candidate)) for candidate in asked]
        outcomes = run(pool, asked)
        assert [timeless(outcome) for outcome in outcomes] == expected
        assert {outcome.kind for outcome in outcomes if isinstance(outcome, Failure)} == {
            FailureKind.ERROR,
            FailureKind.NOT_FINITE,
            FailureKind.OUT_OF_MEMORY,
        }

    def test_batches_are_measured_as_such_and_those_fail_that_must(self, tmp_path: Path) -> None:
        asked = [*candidates("compute", range(60)), *candidates("fail", (1, 2)), *candidates("compute", range(60, 99))]
        evaluator = BatchRecipe(tmp_path).build()
        expected = [timeless(evaluate(evaluator, candidate)) for candidate in asked]
        pool = self.make_pool(BatchRecipe(tmp_path))
        outcomes = {outcome.candidate.id: timeless(outcome) for outcome in run(pool, asked)}
        pool.close()
        assert [outcomes[candidate.id] for candidate in asked] == expected
        assert max(int(size) for size in (tmp_path / "batches").read_text().split()) > 1

    def test_what_raises_is_a_failure_with_its_traceback_and_the_next_candidate_is_evaluated(
        self, pool: WorkerPool
    ) -> None:
        evaluated, failed = run(pool, [*candidates("fail", (7,)), *candidates("sleep", (1,))])
        assert isinstance(failed, Failure)
        assert failed.kind is FailureKind.ERROR
        assert "Traceback" in failed.reason
        assert "ValueError: no layer number 7" in failed.reason
        assert "in fail" in failed.reason
        assert isinstance(evaluated, Evaluation)

    def test_torch_computes_with_one_thread_on_the_cpu(self, pool: WorkerPool) -> None:
        asked = [*candidates("tell_threads"), *candidates("tell_device")]
        assert [outcome.metrics["value"] for outcome in run(pool, asked)] == [1, 0]  # type: ignore[union-attr]

    def test_a_mistake_of_the_user_leaves_the_worker_as_it_is(self) -> None:
        pool = self.make_pool(RefusingRecipe())
        with pytest.raises(ConfigError, match=r"^'epochs' must be 1 or more, and is 0$"):
            run(pool, candidates("compute"))
        pool.close()

    def test_a_mistake_of_the_user_during_an_evaluation_does_too(self, pool: WorkerPool) -> None:
        with pytest.raises(DataError, match=r"^shard 3 of the data is empty: fetch it again$"):
            run(pool, candidates("refuse", (3,)))

    def test_a_mistake_that_cannot_be_pickled_is_an_evonas_error_with_its_message(self) -> None:
        pool = self.make_pool(OddRecipe())
        with pytest.raises(EvonasError, match="a hole in the data"):
            run(pool, candidates("compute"))
        pool.close()

    def test_an_evaluator_with_a_bug_in_its_constructor_is_shown_with_its_traceback(self) -> None:
        pool = self.make_pool(BrokenRecipe())
        with pytest.raises(EvonasError, match=r"(?s)KeyError: 'learning_rate'.*in build.*raise KeyError"):
            run(pool, candidates("compute"))
        pool.close()

    def test_nothing_held_means_no_outcomes_at_once(self, pool: WorkerPool) -> None:
        assert pool.next_outcomes() == []
        assert pool.next_outcomes(timeout=30) == []

    def test_capacity_is_positive_and_constant_where_evaluations_take_time(self, pool: WorkerPool) -> None:
        before = pool.capacity
        assert before >= 1
        run(pool, candidates("sleep", (1, 2, 3)))
        assert pool.capacity == before

    def test_an_evaluation_says_where_it_was_made(self, pool: WorkerPool) -> None:
        [outcome] = run(pool, candidates("compute"))
        assert isinstance(outcome, Evaluation)
        assert outcome.worker is not None
        assert outcome.worker.host == socket.gethostname()
        assert outcome.worker.device.startswith("cpu, 1 thread")
        assert dict(outcome.worker.versions)["numpy"] == np.__version__

    def test_the_clock_goes_forward(self, pool: WorkerPool) -> None:
        before = pool.clock()
        run(pool, candidates("sleep", (1,)))
        assert pool.clock() > before

    def test_closing_twice_is_closing_once_even_with_candidates_held(self, pool: WorkerPool) -> None:
        pool.submit(candidates("compute"))
        started = time.monotonic()
        pool.close()
        pool.close()
        assert time.monotonic() - started < 60


class AsynchronousPoolContract(PoolContract):
    """Further claims about a pool that works while the driver does something else."""

    def test_waiting_ends_in_time_when_nothing_is_ready(self, pool: WorkerPool, tmp_path: Path) -> None:
        pool.submit(candidates("wait_for_release"))
        for timeout in (0.0, 0.5):
            started = time.monotonic()
            assert pool.next_outcomes(timeout=timeout) == []
            assert timeout <= time.monotonic() - started < timeout + 20
        (tmp_path / "release").touch()
        assert len(pool.next_outcomes(timeout=90)) == 1

    def test_work_goes_on_while_nobody_waits(self, pool: WorkerPool) -> None:
        run(pool, candidates("compute"))
        pool.submit(candidates("sleep", (5,)))
        deadline, outcomes = time.monotonic() + 60, list[Outcome]()
        while not outcomes:
            assert time.monotonic() < deadline, "it does not begin, or does not end"
            time.sleep(1)
            outcomes = pool.next_outcomes(timeout=0)
        assert len(outcomes) == 1
