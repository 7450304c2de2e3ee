"""Choices of a batch among predicted networks, held against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from evonas.pareto import hypervolume_gains
from evonas.strategies.surrogate_choice import (
    SHORT_LIST,
    by_expected_gain,
    by_rank,
    by_sampled_gain,
    by_spread,
    feasible_first,
)
from evonas.strategies.surrogate_model import PredictedLosses

REFERENCE = np.array([1.0, 1.0])
FRONT = np.array([[0.2, 0.8], [0.5, 0.5], [0.8, 0.2]])


def predicted(losses: np.ndarray, deviation: float = 0.0, violations: np.ndarray | None = None) -> PredictedLosses:
    violations = np.zeros(len(losses)) if violations is None else violations
    return PredictedLosses(losses, np.full(losses.shape, deviation), violations)


@pytest.fixture
def losses() -> np.ndarray:
    return np.random.default_rng(0).random((2 * SHORT_LIST, 2))


def test_the_best_ranks_come_first_and_of_a_rank_who_has_room() -> None:
    line = [[0.0, 1.0], [0.1, 0.9], [0.4, 0.6], [0.45, 0.55], [1.0, 0.0]]
    behind = [[0.6, 1.0], [1.0, 0.6]]
    assert by_rank(np.array([*behind, *line]), 4).tolist()[:2] == [2, 6], "the ends"
    assert set(by_rank(np.array([*behind, *line]), 5).tolist()) == {2, 3, 4, 5, 6}
    assert by_rank(np.empty((0, 2)), 3).tolist() == []


def test_spread_fills_the_widest_gap_first() -> None:
    points = np.stack([np.linspace(0, 1, 101), np.linspace(1, 0, 101)], axis=1)
    front = np.array([[0.0, 1.0], [0.2, 0.8], [1.0, 0.0]])
    assert by_spread(points, front, 3, [1])[0] == 60
    assert sorted(by_spread(points, front, 3, [0, 1]).tolist()) in ([40, 60, 80], [39, 60, 80], [40, 60, 79])
    assert len(set(by_spread(points, front, 200, [0]).tolist())) == 101, "no row twice"
    assert by_spread(points, np.empty((0, 2)), 2, [0]).tolist() == [0, 100]


def test_spread_takes_the_best_ranks_only() -> None:
    good = np.array([[0.1, 0.2], [0.2, 0.1]])
    lonely = np.array([[5.0, 9.0]])
    assert sorted(by_spread(np.concatenate([lonely, good]), FRONT, 2, [0, 1]).tolist()) == [1, 2]


def test_gain_is_greedy(losses: np.ndarray) -> None:
    rows = by_expected_gain(predicted(losses), FRONT, REFERENCE, 4, np.zeros((1, 2)))
    front = FRONT
    for row in rows.tolist():
        gains = hypervolume_gains(losses, front, REFERENCE)
        assert gains[row] == gains.max()
        front = np.vstack([front, losses[row]])


def test_unsure_networks_are_worth_more_where_certain_ones_gain_nothing() -> None:
    losses = np.array([[0.55, 0.55], [0.52, 0.52], [0.9, 0.9]])
    certain = PredictedLosses(losses, np.array([[0.1, 0.1], [0.0, 0.0], [0.0, 0.0]]), np.zeros(3))
    normal = np.random.default_rng(0).standard_normal((20, 2))
    assert by_expected_gain(certain, FRONT, REFERENCE, 1, np.concatenate([normal, -normal])).tolist() == [0]


def test_expected_gain_is_the_mean_over_samples() -> None:
    """The exact expectation of one point, by integration, decides between two."""
    losses = np.array([[0.45, 0.45], [0.35, 0.65]])
    deviations = np.array([[0.02, 0.02], [0.2, 0.2]])
    drawn = losses + np.random.default_rng(1).standard_normal((200_000, 1, 2)) * deviations
    exact = hypervolume_gains(drawn.reshape(-1, 2), FRONT, REFERENCE).reshape(-1, 2).mean(axis=0)
    normal = np.random.default_rng(2).standard_normal((64, 2))
    chosen = by_expected_gain(
        PredictedLosses(losses, deviations, np.zeros(2)), FRONT, REFERENCE, 1, np.concatenate([normal, -normal])
    )
    assert chosen.tolist() == [int(exact.argmax())]


@pytest.mark.parametrize("sampled", [True, False])
def test_where_nothing_gains_ranks_decide_and_no_row_comes_twice(sampled: bool) -> None:
    hopeless = predicted(np.array([[1.5, 1.5], [1.2, 1.3], [1.3, 1.2], [0.1, 0.1]]))
    if sampled:
        rows = by_sampled_gain(hopeless, FRONT, REFERENCE, 9, np.random.default_rng(0))
    else:
        rows = by_expected_gain(hopeless, FRONT, REFERENCE, 9, np.zeros((1, 2)))
    assert rows[0] == 3
    assert sorted(rows[1:3].tolist()) == [1, 2]
    assert rows.tolist()[3:] == [0]


def test_thompson_sampling_prefers_what_is_likely_to_gain_and_leaves_chances(losses: np.ndarray) -> None:
    chosen = [
        int(by_sampled_gain(predicted(losses, 0.2), FRONT, REFERENCE, 1, np.random.default_rng(seed))[0])
        for seed in range(30)
    ]
    assert len(set(chosen)) > 10
    assert losses[chosen].sum(axis=1).mean() < 0.7 < losses.sum(axis=1).mean()


def test_the_infeasible_come_last_the_least_violating_first(losses: np.ndarray) -> None:
    violations = np.full(len(losses), 5.0)
    violations[[3, 7, 9]] = 0.0
    violations[[11, 13]] = 2.0, 1.0
    some = predicted(losses, violations=violations)
    rows = feasible_first(some, 5, lambda feasible: by_rank(feasible.losses, 5)).tolist()
    assert set(rows[:3]) == {3, 7, 9}
    assert rows[3:] == [13, 11]
    none = predicted(losses[:2], violations=np.array([2.0, 1.0]))
    assert feasible_first(none, 5, lambda feasible: by_rank(feasible.losses, 5)).tolist() == [1, 0]
