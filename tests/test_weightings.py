"""Weightings rank networks by weighted sums of proxies and exact ranks."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from evonas.proxies.weightings import Weightings, ranked

RNG = np.random.default_rng(0)
PROXIES = RNG.normal(size=(40, 3))


def test_ranks_are_those_of_scipy_from_0_to_1() -> None:
    values = RNG.integers(0, 8, size=(30, 4)).astype(float)
    values[3, 1] = -np.inf
    assert np.allclose(ranked(values) * 29 + 1, rankdata(values, axis=0))
    assert np.array_equal(ranked(np.ones((1, 2))), np.zeros((1, 2)))


def test_with_one_objective_the_weighted_sum_ranks() -> None:
    weightings = Weightings.drawn(PROXIES, np.empty((40, 0)), 1, 20, np.random.default_rng(1))
    assert np.array_equal(weightings.weights[:3, 0], np.eye(3)), "the first are each proxy alone"
    assert np.allclose(np.linalg.norm(weightings.weights, axis=2), 1.0)
    for number, first in enumerate(weightings.firsts()):
        sums = PROXIES @ weightings.weights[number, 0]
        assert np.array_equal(weightings.order(number), np.argsort(-sums))
        assert first == sums.argmax()


def test_a_known_loss_counts_by_its_share() -> None:
    losses = ranked(RNG.normal(size=(40, 1)))
    weightings = Weightings.drawn(PROXIES, losses, 1, 20, np.random.default_rng(1))
    assert weightings.vectors.shape == (20, 3 + 2)
    assert np.allclose(weightings.shares.sum(axis=1), 1.0)
    for number, (known, estimated) in enumerate(weightings.shares):
        expected = rankdata(-PROXIES @ weightings.weights[number, 0]) - 1
        assert np.allclose(-weightings.merits(number), known * losses[:, 0] + estimated * expected / 39)
