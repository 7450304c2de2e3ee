"""The deep ensemble: the contract of predictors, and what pretraining is worth."""

from __future__ import annotations

import numpy as np
import pytest
from predictor_contract import PredictorContract, toy_rows

from evonas.component import Component
from evonas.errors import DataError
from evonas.predictor import Features
from evonas.predictors.columns import Columns
from evonas.predictors.ensemble import Ensemble, _hidden


class TestEnsemble(PredictorContract):
    component = Component("evonas.predictors.ensemble:Ensemble", {"steps": 150, "learning_rate": 0.03})


def test_what_is_learnt_starts_from_hidden_layers_that_know_the_costs() -> None:
    (features, targets), (unlabelled, _) = toy_rows(30), toy_rows(800, seed=2)
    errors = []
    for pretrained in (False, True):
        ensemble = Ensemble(seed=0, members=2, hidden=6, steps=400, learning_rate=0.03)
        if pretrained:
            ensemble.pretrain(unlabelled)
        ensemble.steps, ensemble.learning_rate = 1, 1e-9  # `fit` leaves the hidden layers as they are
        ensemble.fit(features, targets)
        columns = Columns.from_arrays(ensemble.state())
        rows = columns(unlabelled)
        hidden = _hidden(ensemble.state(), rows[:, ~columns.numeric], np.tanh)[0]
        costs = rows[:, columns.numeric]
        errors.append(float(np.linalg.lstsq(np.c_[hidden, np.ones(800)], costs, rcond=None)[1].mean() / 800))
    assert errors[1] < 0.5 * errors[0], errors


def test_what_was_pretrained_on_another_space_is_refused() -> None:
    features, targets = toy_rows(20)
    ensemble = Ensemble(seed=0, steps=2)
    ensemble.pretrain(Features(features.choices[:, :3], (3, 3, 3), features.numbers, features.names))
    with pytest.raises(DataError, match="features of another space"):
        ensemble.fit(features, targets)
