"""The Gaussian process: the contract of predictors, the posterior by its textbook formula, and what it costs."""

from __future__ import annotations

import numpy as np
from predictor_contract import PredictorContract, toy_rows

from evonas.component import Component
from evonas.predictors.columns import Columns
from evonas.predictors.gp import GP
from evonas.predictors.gp_kernel import Kernel


class TestGP(PredictorContract):
    component = Component("evonas.predictors.gp:GP")
    least_tau = 0.85


def test_mean_and_deviation_are_the_posterior() -> None:
    (features, targets), (asked, _) = toy_rows(40, noise=1.0), toy_rows(20, seed=1)
    fitted = GP(seed=0)
    fitted.fit(features, targets)
    assert fitted._scale is not None
    columns, learnt = Columns.of(features), fitted._learnt
    kernel, logs, known, rows = Kernel(columns), learnt["logs"], columns(features), columns(asked)
    precision = np.linalg.inv(kernel(logs, known, known) + kernel.noise(logs) * np.eye(40))
    across = kernel(logs, rows, known)
    mean = across @ precision @ fitted._scale.forward(targets)
    variance = np.diag(kernel(logs, rows, rows) - across @ precision @ across.T) + kernel.noise(logs)
    expected = fitted._scale.back(mean, float(learnt["stretch"]) * np.sqrt(variance))
    found = fitted.predict(asked)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-7)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-6)


def test_what_is_far_from_all_rows_is_doubted_more() -> None:
    features, targets = toy_rows(80, noise=0.2)
    near = features.choices[:, 0] < 2
    fitted = GP(seed=0)
    fitted.fit(features.rows(near), targets[near])
    std = fitted.predict(features).std
    assert std[~near].mean() > 1.2 * std[near].mean()


def test_rows_beyond_the_limit_are_left_out_and_cost_nothing() -> None:
    features, targets = toy_rows(300, noise=0.5)
    fitted = GP(seed=0, tuning_rows=50, rows=100)
    fitted.fit(features, targets)
    assert fitted.state()["known"].shape[0] == 100
