"""The random forest: the contract of predictors."""

from __future__ import annotations

from predictor_contract import PredictorContract

from evonas.component import Component


class TestForest(PredictorContract):
    component = Component("evonas.predictors.forest:Forest", {"trees": 30})
    least_tau = 0.55
