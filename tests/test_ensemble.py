"""The deep ensemble: the contract of predictors."""

from __future__ import annotations

from predictor_contract import PredictorContract

from evonas.component import Component


class TestEnsemble(PredictorContract):
    component = Component("evonas.predictors.ensemble:Ensemble", {"steps": 150})
