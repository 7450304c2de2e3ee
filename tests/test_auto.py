"""The choice among predictors: the contract of predictors."""

from __future__ import annotations

from predictor_contract import PredictorContract

from evonas.component import Component


class TestAuto(PredictorContract):
    component = Component(
        "evonas.predictors.auto:Auto",
        {"candidates": ["evonas.predictors.ridge:Ridge", "evonas.predictors.gp:GP"], "repeats": 1},
    )
