"""Ridge regression: the contract of predictors, and the primal regression that its dual form must equal."""

from __future__ import annotations

import numpy as np
from predictor_contract import PredictorContract, toy_rows
from sklearn.linear_model import Ridge as PrimalRidge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from evonas.component import Component
from evonas.predictors import ridge
from evonas.predictors.columns import Columns
from evonas.predictors.ridge import Ridge


class TestRidge(PredictorContract):
    component = Component("evonas.predictors.ridge:Ridge")


def test_the_dual_form_is_the_regression_on_all_columns_and_products_of_two(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (features, targets), (asked, _) = toy_rows(60, noise=1.0), toy_rows(30, seed=1)
    monkeypatch.setattr(ridge, "PAIRS", (0.3,))
    monkeypatch.setattr(ridge, "NUMBERS", (0.5,))
    monkeypatch.setattr(ridge, "PENALTIES", np.array([0.2]))
    fitted = Ridge(seed=0)
    fitted.fit(features, targets)
    assert fitted._scale is not None
    columns = Columns.of(features)
    numeric = columns.numeric
    weights = np.where(numeric, 0.5 / numeric.sum(), 0.5 / 8) ** 0.5

    def primal(rows: np.ndarray) -> np.ndarray:
        single = rows * weights
        pairs = (single[:, :, None] * single[:, None, :]).reshape(len(rows), -1)
        return np.hstack([np.ones((len(rows), 1)), single, 0.3**0.5 * pairs])

    scaled = fitted._scale.forward(targets)
    regression = PrimalRidge(alpha=0.2, fit_intercept=False).fit(primal(columns(features)), scaled)
    expected = regression.predict(primal(columns(asked)))
    found = fitted._scale.forward(fitted.predict(asked).mean)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_errors_of_leaving_one_out_are_those_of_leaving_one_out() -> None:
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(25, 4)), rng.normal(size=25)
    errors = {}
    for penalty in (0.01, 1.0, 100.0):
        model = PrimalRidge(alpha=penalty, fit_intercept=False)
        errors[penalty] = float(np.mean((cross_val_predict(model, rows, targets, cv=LeaveOneOut()) - targets) ** 2))
    best = min(errors, key=lambda penalty: errors[penalty])
    error, penalty = ridge._best_penalty(rows @ rows.T, targets)
    assert error <= errors[best] + 1e-9
    model = PrimalRidge(alpha=penalty, fit_intercept=False)
    brute = np.mean((cross_val_predict(model, rows, targets, cv=LeaveOneOut()) - targets) ** 2)
    np.testing.assert_allclose(error, brute, rtol=1e-8)
