"""The kernel of the Gaussian process, against what defines it: finite differences, and the density of a normal."""

from __future__ import annotations

import numpy as np
from predictor_contract import toy_rows
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm

from evonas.predictors.columns import Columns
from evonas.predictors.gp_kernel import Kernel

FEATURES, TARGETS = toy_rows(25, noise=1.0)
COLUMNS = Columns.of(FEATURES)
ROWS = COLUMNS(FEATURES)
KERNEL = Kernel(COLUMNS)
LOGS = KERNEL.expected + 0.5 * np.random.default_rng(0).normal(size=len(KERNEL.expected))
SCALED = (TARGETS - TARGETS.mean()) / TARGETS.std()


def improbability(logs: np.ndarray) -> float:
    """Return what `tuned` minimises, from its definition."""
    covariance = KERNEL(logs, ROWS, ROWS) + KERNEL.noise(logs) * np.eye(len(ROWS))
    likelihood = multivariate_normal(np.zeros(len(ROWS)), covariance).logpdf(SCALED)
    return -float(likelihood + norm(KERNEL.expected, KERNEL.doubt).logpdf(logs).sum())


def test_it_is_a_covariance() -> None:
    covariance = KERNEL(LOGS, ROWS, ROWS)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    np.testing.assert_allclose(KERNEL.diagonal(LOGS, ROWS), np.diag(covariance))
    np.testing.assert_allclose(KERNEL(LOGS, ROWS[:3], ROWS[5:9]), covariance[:3, 5:9])


def test_value_and_gradient_are_those_of_the_posterior() -> None:
    products = np.array(
        [ROWS[:, COLUMNS.group == group] @ ROWS[:, COLUMNS.group == group].T for group in range(KERNEL.groups)]
    )
    squares = np.array([np.diag(product) / 2 for product in products])
    distances = squares[:, :, None] + squares[:, None, :] - products
    value, gradient = KERNEL._improbability(LOGS, products, distances, SCALED)
    other, _ = KERNEL._improbability(KERNEL.expected, products, distances, SCALED)
    np.testing.assert_allclose(value - other, improbability(LOGS) - improbability(KERNEL.expected), rtol=1e-9)
    np.testing.assert_allclose(gradient, approx_fprime(LOGS, improbability, 1e-6), atol=1e-3)


def test_what_is_tuned_is_more_probable_than_anything_near() -> None:
    tuned = KERNEL.tuned(ROWS, SCALED)
    rng = np.random.default_rng(1)
    assert all(improbability(tuned) < improbability(tuned + 0.3 * rng.normal(size=len(tuned))) for _ in range(20))
    assert improbability(tuned) < improbability(KERNEL.expected)


def test_a_gene_that_does_not_matter_is_less_relevant() -> None:
    features, targets = toy_rows(150, noise=0.3)
    columns = Columns.of(features)
    logs = Kernel(columns).tuned(columns(features), (targets - targets.mean()) / targets.std())
    relevance = logs[8:16]
    assert relevance.argmin() == 7, "the only gene that the targets do not depend on but through its costs"
