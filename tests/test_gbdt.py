"""Gradient-boosted trees: the contract of predictors."""

from __future__ import annotations

from predictor_contract import PredictorContract

from evonas.component import Component


class TestGBDT(PredictorContract):
    component = Component("evonas.predictors.gbdt:GBDT", {"members": 5, "trees": 150, "learning_rate": 0.1})
