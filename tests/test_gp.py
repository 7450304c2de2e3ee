"""The Gaussian process: the contract of predictors."""

from __future__ import annotations

from predictor_contract import PredictorContract

from evonas.component import Component


class TestGP(PredictorContract):
    component = Component("evonas.predictors.gp:GP")
