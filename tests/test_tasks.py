"""Calls to workers carry as many candidates as pays, and every worker gets some."""

from __future__ import annotations

import pytest

from evonas.workers.tasks import CallSize


def call_size(seconds_each: float) -> CallSize:
    """A CallSize that has seen enough evaluations of that duration."""
    calls = CallSize()
    for _ in range(10):
        calls.observe(calls.size, calls.size * seconds_each)
    return calls


def test_nothing_is_shared_before_a_duration_is_known() -> None:
    assert CallSize().share(queued=100, workers=2) == 1


@pytest.mark.parametrize("seconds_each", [0.06, 10.0])
def test_evaluations_that_are_worth_a_call_go_singly(seconds_each: float) -> None:
    assert call_size(seconds_each).share(queued=100, workers=2) == 1


def test_a_generation_of_cheap_candidates_goes_out_in_one_call_for_each_worker() -> None:
    calls = call_size(0.00002)  # a call is worth it from 50 on
    assert calls.share(queued=100, workers=2) == 50
    assert calls.share(queued=50, workers=2) == 50
    assert calls.share(queued=30, workers=2) == 30


def test_what_is_left_is_split_where_each_part_is_worth_a_call() -> None:
    calls = call_size(0.002)
    taken = []
    queued = 40
    while queued:
        taken.append(calls.share(queued, workers=4))
        queued -= taken[-1]
    assert taken == [10, 8, 6, 4, 3, 3, 2, 1, 1, 1, 1]


def test_a_call_takes_no_longer_than_it_should() -> None:
    assert call_size(0.001).share(queued=1_000, workers=2) == 50
    assert call_size(1e-9).share(queued=10_000, workers=2) == CallSize.LARGEST
