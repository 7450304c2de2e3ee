"""A predictor of a few lines: least squares on one-hot choices and numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evonas.predictor import Features, Prediction, Predictor


class Linear(Predictor):
    """Fits weights; `shrink` keeps them small. The deviation is that of the residuals."""

    def __init__(self, seed: int, *, shrink: float = 1e-6) -> None:
        super().__init__(seed)
        self.shrink = shrink
        self._state: Mapping[str, np.ndarray] = {}

    def fit(self, features: Features, targets: np.ndarray) -> None:
        columns = features.matrix()
        center = targets.mean()
        square = columns.T @ columns + self.shrink * len(columns) * np.eye(columns.shape[1])
        weights = np.linalg.solve(square, columns.T @ (targets - center))
        deviation = np.std(targets - center - columns @ weights)
        self._state = {"weights": weights, "center": np.array(center), "std": np.array(deviation)}

    def predict(self, features: Features) -> Prediction:
        mean = self._state["center"] + features.matrix() @ self._state["weights"]
        return Prediction(mean, np.full(len(features), float(self._state["std"])))

    def state(self) -> dict[str, np.ndarray]:
        return dict(self._state)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._state = {name: state[name] for name in ("weights", "center", "std")}
