"""What a pool has to do comes in order, comes again after a pause, and shares calls where calls cost more than work."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from toy import candidates

from evonas.errors import ConfigError
from evonas.evaluation import Failure, FailureKind, Source
from evonas.workers.tasks import LONGEST_BACKOFF_SECONDS, CallSize, Stragglers, Task, TaskQueue

ONE, OTHER = candidates(0, 2)


def ids(tasks: list[Task]) -> list[int]:
    return [task.candidate.id for task in tasks]


def queue_of(count: int, retries: int = 1, backoff_seconds: float = 2.0) -> TaskQueue:
    queue = TaskQueue(retries, backoff_seconds)
    queue.add(candidates(0, count))
    return queue


class TestTaskQueue:
    def test_tasks_come_in_order_as_many_as_are_asked_for(self) -> None:
        queue = queue_of(5)
        assert [ids(queue.take(2, now=0)) for _ in range(4)] == [[0, 1], [2, 3], [4], []]

    def test_a_retry_comes_first_when_its_pause_is_over_and_alone_in_its_call(self) -> None:
        queue = queue_of(4)
        [lost] = queue.take(1, now=10)
        assert queue.retry(lost, FailureKind.CRASH, "gone", now=10) is None
        assert (len(queue), queue.next_due()) == (4, 12)
        assert ids(queue.take(2, now=11.9)) == [1, 2]
        assert ids(queue.take(2, now=12)) == [0]
        assert queue.next_due() == math.inf

    def test_pauses_double_up_to_a_limit(self) -> None:
        queue, due = queue_of(1, retries=8), 0.0
        pauses = []
        for _ in range(8):
            [task] = queue.take(1, now=due)
            queue.retry(task, FailureKind.TIMEOUT, "slow", now=due)
            pauses.append(queue.next_due() - due)
            due = queue.next_due()
        assert pauses == [2, 4, 8, 16, 32, LONGEST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS]

    def test_the_last_attempt_makes_a_failure_that_tells_of_all(self) -> None:
        queue = queue_of(1, retries=1, backoff_seconds=0)
        queue.retry(queue.take(1, now=0)[0], FailureKind.CRASH, "died", now=0)
        failure = queue.retry(queue.take(1, now=0)[0], FailureKind.TIMEOUT, "hung", now=0)
        assert failure == Failure(
            candidates(0, 1)[0], "attempt 1 of 2: died; attempt 2 of 2: hung", FailureKind.TIMEOUT
        )
        assert len(queue) == 0

    def test_what_ran_out_of_memory_wants_a_device_alone(self) -> None:
        queue = queue_of(2, backoff_seconds=0)
        first, second = queue.take(2, now=0)
        queue.retry(first, FailureKind.OUT_OF_MEMORY, "full", now=0)
        queue.retry(second, FailureKind.CRASH, "died", now=0)
        assert [task.alone for task in [*queue.take(1, now=0), *queue.take(1, now=0)]] == [True, False]

    def test_what_was_lost_together_comes_back_first_singly_and_without_blame(self) -> None:
        queue = queue_of(6)
        queue.put_back(queue.take(3, now=0), single=True)
        assert [ids(queue.take(4, now=0)) for _ in range(4)] == [[0], [1], [2], [3, 4, 5]]
        queue.put_back([Task(candidate) for candidate in candidates(7, 1)])
        queue.add(candidates(8, 1))
        assert ids(queue.take(2, now=0)) == [7, 8], "what was not begun may share again"

    def test_the_first_that_fits_is_taken_and_the_others_keep_their_order(self) -> None:
        queue = queue_of(4, backoff_seconds=0)
        [first] = queue.take(1, now=0)
        queue.retry(first, FailureKind.CRASH, "died", now=0)
        taken = queue.take_first(lambda task: task.candidate.id > 1, now=0)
        assert taken is not None
        assert taken.candidate.id == 2
        assert queue.take_first(lambda task: False, now=0) is None
        assert [ids(queue.take(3, now=0)) for _ in range(2)] == [[0], [1, 3]]

    def test_nothing_is_lost_whatever_happens(self) -> None:
        for seed in range(50):
            rng, queue, out, ended = random.Random(seed), queue_of(20, retries=2), list[Task](), list[int]()
            now = 0.0
            while len(ended) < 20:
                now += rng.random() * 5
                out += queue.take(rng.randint(1, 4), now)
                rng.shuffle(out)
                for _ in range(rng.randint(0, len(out))):
                    task = out.pop()
                    match rng.randint(0, 2):
                        case 0:
                            ended.append(task.candidate.id)
                        case 1:
                            queue.put_back([task])
                        case _:
                            failure = queue.retry(task, FailureKind.CRASH, "died", now)
                            ended += [failure.candidate.id] if failure else []
            assert sorted(ended) == list(range(20))
            assert len(queue) == 0

    @pytest.mark.parametrize(("retries", "backoff"), [(-1, 0), (0, -1), (0, math.inf)])
    def test_options_out_of_range_are_refused(self, retries: int, backoff: float) -> None:
        with pytest.raises(ConfigError, match=r"'(retries|backoff_seconds)' must be 0 or more"):
            TaskQueue(retries, backoff)


def knowing(seconds: float) -> CallSize:
    """A CallSize that has seen enough evaluations of that duration."""
    calls = CallSize()
    for _ in range(12):
        calls.observe(calls.size, seconds=seconds * calls.size)
    return calls


class TestCallSize:
    def test_evaluations_that_take_time_have_a_call_each(self) -> None:
        calls = CallSize()
        for _ in range(10):
            calls.observe(1, seconds=0.1)
        assert calls.size == 1

    def test_cheap_ones_share_calls_that_double_until_they_take_their_time(self) -> None:
        calls, sizes = CallSize(), []
        for _ in range(8):
            calls.observe(calls.size, seconds=0.001 * calls.size)
            sizes.append(calls.size)
        assert sizes == [2, 4, 8, 16, 32, 50, 50, 50]

    def test_there_is_a_largest_call(self) -> None:
        calls = CallSize()
        for _ in range(12):
            calls.observe(calls.size, seconds=0.0)
        assert calls.size == CallSize.LARGEST

    def test_evaluations_that_become_slow_end_the_sharing_at_once(self) -> None:
        calls = CallSize()
        for _ in range(12):
            calls.observe(calls.size, seconds=1e-5 * calls.size)
        calls.observe(calls.size, seconds=1.0 * calls.size)
        assert calls.size == 1

    def test_nothing_is_shared_before_a_duration_is_known(self) -> None:
        assert CallSize().share(queued=100, workers=2) == 1

    @pytest.mark.parametrize("seconds", [0.06, 10.0])
    def test_what_takes_time_goes_singly_from_a_long_queue_too(self, seconds: float) -> None:
        assert knowing(seconds).share(queued=100, workers=2) == 1

    def test_a_generation_of_cheap_candidates_goes_out_in_one_call_for_each_worker(self) -> None:
        calls = knowing(0.00002)  # a call is worth it from 50 on
        assert calls.share(queued=100, workers=2) == 50
        assert calls.share(queued=50, workers=2) == 50
        assert calls.share(queued=30, workers=2) == 30

    def test_what_is_left_is_split_where_each_part_is_worth_a_call(self) -> None:
        calls, taken, queued = knowing(0.002), list[int](), 40
        while queued:
            taken.append(calls.share(queued, workers=4))
            queued -= taken[-1]
        assert taken == [10, 8, 6, 4, 3, 3, 2, 1, 1, 1, 1]


class TestStragglers:
    def test_nothing_is_late_without_a_factor_or_before_durations_are_known(self) -> None:
        never, soon = Stragglers(None), Stragglers(3.0)
        for _ in range(4):
            never.observe(ONE, 1.0)
            soon.observe(ONE, 1.0)
        assert (never.late_after(ONE), soon.late_after(ONE), never.active, soon.active) == (
            math.inf,
            math.inf,
            False,
            True,
        )
        never.observe(ONE, 1.0)
        soon.observe(ONE, 1.0)
        assert (never.late_after(ONE), soon.late_after(ONE)) == (math.inf, 3.0)

    def test_late_is_a_multiple_of_the_median(self) -> None:
        stragglers = Stragglers(2.0)
        for seconds in (1.0, 2.0, 3.0, 4.0, 1000.0):
            stragglers.observe(ONE, seconds)
        assert stragglers.late_after(OTHER) == 6.0

    def test_each_fidelity_has_a_median_of_its_own(self) -> None:
        stragglers, full = Stragglers(2.0), ONE
        few, proxy = replace(full, budget=3), replace(full, source=Source.ZERO_COST)
        for asked, seconds in ((full, 100.0), (few, 10.0), (proxy, 0.1)):
            for _ in range(5):
                stragglers.observe(asked, seconds)
        assert [stragglers.late_after(asked) for asked in (full, few, proxy)] == [200.0, 20.0, 0.2]
        stragglers.observe(few, 1000.0)
        assert stragglers.late_after(few) == 20.0
        assert stragglers.late_after(replace(full, budget=1)) == math.inf

    def test_a_factor_that_makes_everything_late_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="'straggler_factor' must be above 1, or null, and is 1"):
            Stragglers(1.0)
