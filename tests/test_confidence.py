"""Probabilities of being on the front against closed forms, and an interval that holds the hypervolume."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from toy import toy_goals

from evonas.confidence import confidence
from evonas.errors import ConfigError
from evonas.pareto import normalised_hypervolume
from evonas.seeds import generator


def measured(errors: np.ndarray, params: np.ndarray) -> np.ndarray:
    """Return losses, shape (networks, seeds, 2), of errors with a column a seed, and exact parameters."""
    return np.stack([errors, np.broadcast_to(params[:, None], errors.shape)], axis=2)


def test_probability_of_two_networks_of_one_size_is_that_of_the_t_distribution() -> None:
    errors = np.array([[0.30, 0.32, 0.34], [0.31, 0.33, 0.38]])
    found = confidence(measured(errors, np.array([20.0, 20.0])), toy_goals(), generator(0))
    statistic = stats.ttest_ind(errors[1], errors[0]).statistic  # pooled variance, 4 degrees of freedom
    better = float(stats.t.cdf(statistic, df=4))
    assert found.probabilities == pytest.approx([better, 1 - better], abs=0.03)


def test_a_smaller_network_is_on_the_front_whatever_its_error() -> None:
    errors = np.array([[0.1, 0.2], [0.5, 0.6], [0.1, 0.2]])
    found = confidence(measured(errors, np.array([20.0, 10.0, 30.0])), toy_goals(), generator(0))
    assert found.probabilities[1] == 1.0
    assert found.probabilities[0] == pytest.approx(1.0, abs=0.02)
    assert found.probabilities[2] == pytest.approx(0.5, abs=0.04), "as good on average, and larger"


def test_without_noise_nothing_is_uncertain() -> None:
    errors = np.array([[0.3, 0.3], [0.4, 0.4], [0.5, 0.5]])
    found = confidence(measured(errors, np.array([30.0, 20.0, 25.0])), toy_goals(), generator(0))
    assert found.probabilities.tolist() == [1.0, 1.0, 0.0]
    assert found.hypervolume.low == found.hypervolume.value == found.hypervolume.high


def test_interval_holds_the_hypervolume_of_the_expected_values() -> None:
    params = np.linspace(10, 70, 8)
    truth = 0.6 - 0.005 * params
    expected = normalised_hypervolume(np.stack([truth, params], axis=1), toy_goals())
    held = 0
    for trial in range(80):
        rng = generator(trial, "noise")
        errors = truth[:, None] + rng.normal(scale=0.03, size=(8, 3))
        held += confidence(measured(errors, params), toy_goals(), rng).hypervolume.includes(expected)
    assert 0.88 <= held / 80 <= 1.0, "0.95 less three deviations of 0.024"


def test_one_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="'seeds' must be at least 2"):
        confidence(np.zeros((3, 1, 2)), toy_goals(), generator(0))
