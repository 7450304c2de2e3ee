"""Ridge regression: the contract of predictors."""

from __future__ import annotations

from predictor_contract import PredictorContract

from evonas.component import Component


class TestRidge(PredictorContract):
    component = Component("evonas.predictors.ridge:Ridge")
