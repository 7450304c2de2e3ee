"""Gradient-boosted trees: the contract of predictors, the effect of options, and what is said without LightGBM."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from predictor_contract import PredictorContract, toy_rows

from evonas.component import Component
from evonas.errors import ComponentError, ConfigError
from evonas.predictors.gbdt import GBDT


class TestGBDT(PredictorContract):
    component = Component("evonas.predictors.gbdt:GBDT", {"members": 5, "trees": 150, "learning_rate": 0.1})


def test_the_state_is_text_of_lightgbm_for_each_member() -> None:
    fitted = GBDT(seed=0, members=3, trees=7)
    fitted.fit(*toy_rows(30))
    models = [array for name, array in fitted.state().items() if name.startswith("model_")]
    assert len(models) == 3
    assert all(model.dtype == np.uint8 and model.tobytes().startswith(b"tree\n") for model in models)
    assert all(model.tobytes().count(b"\nTree=") == 7 for model in models)
    assert len({model.tobytes() for model in models}) == 3


def test_without_lightgbm_the_extra_is_named_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ComponentError, match=r"not installed\): pip install 'evonas\[predictors\]'"):
        Component("evonas.predictors.gbdt:GBDT").build({"seed": 0})


def test_a_lightgbm_that_cannot_be_loaded_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    built = GBDT(seed=0)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ComponentError, match=r"cannot be loaded .*pip install 'evonas\[predictors\]'"):
        built.fit(*toy_rows(10))


def test_options_that_make_no_sense_are_refused() -> None:
    for option, value in (("members", 0), ("trees", 0), ("learning_rate", 0.0), ("leaves", 1)):
        with pytest.raises(ConfigError, match=f"'{option}' must be"):
            Component("evonas.predictors.gbdt:GBDT", {option: value}).build({"seed": 0})
