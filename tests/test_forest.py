"""The random forest: the contract of predictors, and scikit-learn's, which it must equal."""

from __future__ import annotations

import numpy as np
from predictor_contract import PredictorContract, toy_rows
from sklearn.ensemble import RandomForestRegressor

from evonas.component import Component
from evonas.predictors.forest import Forest
from evonas.seeds import derive_seed


class TestForest(PredictorContract):
    component = Component("evonas.predictors.forest:Forest", {"trees": 30})
    least_tau = 0.55


def test_its_trees_say_what_those_of_scikit_learn_say() -> None:
    (features, targets), (asked, _) = toy_rows(80, noise=1.0), toy_rows(200, seed=1)
    fitted = Forest(seed=3, trees=20)
    fitted.fit(features, targets)
    assert fitted._scale is not None
    reference = RandomForestRegressor(20, max_features=0.5, random_state=derive_seed(3, "forest"))
    reference.fit(features.matrix(), fitted._scale.forward(targets))
    mean, _ = fitted._estimate(asked, fitted._learnt)
    np.testing.assert_allclose(mean, reference.predict(asked.matrix()), rtol=1e-9, atol=1e-12)
