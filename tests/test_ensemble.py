"""The deep ensemble: the contract of predictors, and what pretraining is worth."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from predictor_contract import PredictorContract, toy_rows
from scipy.stats import kendalltau

from evonas.component import Component
from evonas.errors import DataError
from evonas.predictor import Features
from evonas.predictors.ensemble import Ensemble


class TestEnsemble(PredictorContract):
    component = Component("evonas.predictors.ensemble:Ensemble", {"steps": 150, "learning_rate": 0.03})


def test_pretraining_on_free_numbers_makes_few_rows_go_further() -> None:
    """The targets depend on the genes as a cost does, but that cost is not among the inputs when they are learnt."""
    (features, _), (asked, _), (unlabelled, _) = toy_rows(20), toy_rows(500, seed=1), toy_rows(1000, seed=2)
    cost = features.names.index("params")
    taus = []
    for pretrained in (False, True):
        ensemble = Ensemble(seed=0, steps=150, learning_rate=0.03)
        if pretrained:
            ensemble.pretrain(unlabelled)
        blind = [
            Features(rows.choices, rows.sizes, np.zeros_like(rows.numbers), rows.names, rows.ordinals)
            for rows in (features, asked)
        ]
        ensemble.fit(blind[0], np.exp(features.numbers[:, cost]))
        taus.append(kendalltau(ensemble.predict(blind[1]).mean, asked.numbers[:, cost]).statistic)
    assert taus[1] > taus[0] + 0.05, taus


def test_what_was_pretrained_on_another_space_is_refused() -> None:
    features, targets = toy_rows(20)
    ensemble = Ensemble(seed=0, steps=2)
    ensemble.pretrain(Features(features.choices[:, :3], (3, 3, 3), features.numbers, features.names))
    with pytest.raises(DataError, match="features of another space"):
        ensemble.fit(features, targets)


def test_predicting_needs_no_torch(tmp_path: object) -> None:
    (features, targets), (asked, _) = toy_rows(30), toy_rows(5, seed=1)
    fitted = Ensemble(seed=0, steps=5)
    fitted.fit(features, targets)
    np.savez(f"{tmp_path}/state.npz", allow_pickle=False, **fitted.state())  # type: ignore[arg-type]
    code = f"""
import sys, numpy as np
sys.path.insert(0, "tests")
sys.modules["torch"] = None
from predictor_contract import toy_rows
from evonas.predictors.ensemble import Ensemble
restored = Ensemble(seed=0)
restored.restore(dict(np.load("{tmp_path}/state.npz", allow_pickle=False)))
print(*restored.predict(toy_rows(5, seed=1)[0]).mean.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    np.testing.assert_allclose(np.array(done.stdout.split(), dtype=float), fitted.predict(asked).mean, rtol=1e-9)
