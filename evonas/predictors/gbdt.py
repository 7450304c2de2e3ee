"""Gradient-boosted trees (LightGBM, which the extra `predictors` installs)."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from evonas.errors import ComponentError, require
from evonas.predictor import Features
from evonas.predictors.base import Arrays, Regressor
from evonas.predictors.members import errors_of, held_out, pooled
from evonas.seeds import derive_seed, generator


class GBDT(Regressor):
    """Gradient-boosted trees (Ke et al., LightGBM, NeurIPS 2017) on one-hot choices and numbers.

    The mean of `members` models, each learnt without a fifth of the rows, from whose errors at the rows left out the
    deviation comes. Trees are small, because tables of measured networks are. One thread, deterministic.
    """

    def __init__(
        self, seed: int, members: int = 10, trees: int = 300, learning_rate: float = 0.05, leaves: int = 4
    ) -> None:
        if find_spec("lightgbm") is None:  # said before anything is measured
            raise _unavailable("it is not installed")
        require("members", members, members >= 1, "1 or more")
        require("trees", trees, trees >= 1, "1 or more")
        require("learning_rate", learning_rate, 0 < learning_rate <= 1, "above 0 and at most 1")
        require("leaves", leaves, leaves >= 2, "2 or more")
        super().__init__(seed)
        self.members = members
        self.trees = trees
        self.learning_rate = learning_rate
        self.leaves = leaves

    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        matrix = features.matrix()
        left_out = held_out(len(targets), self.members, generator(self.seed, "gbdt"))
        models = [
            self._text(matrix[~rows], targets[~rows], derive_seed(self.seed, "gbdt", member))
            for member, rows in enumerate(left_out)
        ]
        predictions = np.array([_booster(model).predict(matrix, num_threads=1) for model in models])
        arrays = {f"model_{number}": np.frombuffer(model, dtype=np.uint8) for number, model in enumerate(models)}
        return {**arrays, "errors": errors_of(predictions, left_out, targets)}

    def _text(self, matrix: np.ndarray, targets: np.ndarray, seed: int) -> bytes:
        lightgbm = _lightgbm()
        options = {
            "objective": "regression", "learning_rate": self.learning_rate, "num_leaves": self.leaves,
            "min_data_in_leaf": min(5, 1 + len(targets) // 10), "min_data_in_bin": 1, "feature_fraction": 0.5,
            "bagging_fraction": 0.8, "bagging_freq": 1, "seed": seed % 2**31, "num_threads": 1, "deterministic": True,
            "force_row_wise": True, "feature_pre_filter": False, "verbosity": -1,
        }  # fmt: skip
        data = lightgbm.Dataset(matrix, targets, free_raw_data=True)
        text: str = lightgbm.train(options, data, num_boost_round=self.trees).model_to_string()
        return text.encode()

    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        matrix, models = features.matrix(), [name for name in learnt if name.startswith("model_")]
        if not len(matrix):
            return np.empty(0), np.empty(0)
        predictions = [_booster(learnt[name].tobytes()).predict(matrix, num_threads=1) for name in models]
        return pooled(np.array(predictions), learnt["errors"])


@lru_cache(maxsize=64)
def _booster(text: bytes) -> Any:
    return _lightgbm().Booster(model_str=text.decode())


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise _unavailable(error) from error
    return lightgbm


def _unavailable(why: object) -> ComponentError:
    return ComponentError(
        f"gradient-boosted trees need LightGBM, which cannot be loaded ({why}): pip install 'evonas[predictors]' "
        f"or choose another predictor: 'evonas list' shows them"
    )
