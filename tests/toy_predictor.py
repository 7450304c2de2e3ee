"""A predictor for tests of strategies: ridge regression, in a line of algebra, that counts its fits."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from evonas.predictor import Features, Prediction, Predictor


class Linear(Predictor):
    """Least squares with a penalty; the deviation is that of the residuals."""

    fits = 0

    def __init__(self, seed: int, penalty: float = 0.1) -> None:
        super().__init__(seed)
        self.penalty = penalty

    def fit(self, features: Features, targets: np.ndarray) -> None:
        type(self).fits += 1
        columns = features.matrix()
        self.mean = targets.mean()
        gram = columns.T @ columns + self.penalty * np.eye(columns.shape[1])
        self.weights = np.linalg.solve(gram, columns.T @ (targets - self.mean))
        self.std = (targets - self.mean - columns @ self.weights).std()

    def predict(self, features: Features) -> Prediction:
        mean = self.mean + (features.matrix() * self.weights).sum(axis=1)
        return Prediction(mean, np.full(len(features), self.std))

    def state(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights, "mean": np.array(self.mean), "std": np.array(self.std)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.weights, self.mean, self.std = state["weights"], float(state["mean"]), float(state["std"])


class Slow(Linear):
    """Says that it is fitting, and in which thread, and goes on when it may."""

    fitting: ClassVar = threading.Event()
    may_end: ClassVar = threading.Event()
    thread = ""

    def fit(self, features: Features, targets: np.ndarray) -> None:
        type(self).thread = threading.current_thread().name
        self.fitting.set()
        assert self.may_end.wait(300)
        super().fit(features, targets)


class Broken(Linear):
    """Cannot be fitted."""

    MESSAGE = "no rows to divide by"

    def fit(self, features: Features, targets: np.ndarray) -> None:
        raise ZeroDivisionError(self.MESSAGE)


class Pretrained(Linear):
    """Notes how many rows it is pretrained on."""

    rows: ClassVar[list[int]] = []

    def pretrain(self, features: Features) -> None:
        self.rows.append(len(features))
