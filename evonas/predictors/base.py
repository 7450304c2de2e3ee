"""What the predictors that ship share: rows are checked, targets transformed, and what is learnt is arrays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from evonas.errors import DataError
from evonas.predictor import Features, Prediction, Predictor
from evonas.predictors.targets import TargetScale

Arrays = Mapping[str, np.ndarray]
"""What a predictor has learnt, by name."""

_BLOCK = 2000
"""How many rows are predicted at a time, so that memory is bounded."""


class Regressor(Predictor):
    """Learns transformed targets: a subclass says how to learn and how to estimate, on that scale, from arrays."""

    _scale: TargetScale | None = None
    _learnt: Arrays

    @abstractmethod
    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        """Return what is learnt from targets of mean 0 and deviation 1 (all 0 if they are constant)."""

    @abstractmethod
    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and deviation of every row on that scale."""

    def fit(self, features: Features, targets: np.ndarray) -> None:
        """Learn; raise DataError unless there are two rows, a target each, and all numbers are finite."""
        targets = np.asarray(targets, dtype=float)
        if len(features) < 2 or targets.shape != (len(features),):
            raise DataError(
                f"a predictor learns from two rows or more and a target each, not from {len(features)} rows and "
                f"targets of shape {targets.shape}: measure more networks"
            )
        if not np.isfinite(targets).all():
            raise DataError(
                f"a predictor learns from finite targets, and {np.sum(~np.isfinite(targets))} of {len(targets)} are "
                f"not: leave those rows out"
            )
        self._scale = TargetScale.of(targets)
        self._shape = _shape(features)
        self._learnt = self._learn(features, self._scale.forward(targets))

    def predict(self, features: Features) -> Prediction:
        """Return mean and deviation of every row; raise DataError if the columns are not those it was fitted on."""
        if self._scale is None:
            raise DataError(f"{type(self).__name__} has not learnt anything: call 'fit' or 'restore' before 'predict'")
        if not np.array_equal(_shape(features), self._shape):
            raise DataError(
                f"{type(self).__name__} was fitted on genes of {self._shape[2:].tolist()} options and {self._shape[0]} "
                f"numbers, not on genes of {list(features.sizes)} options and {len(features.names)} numbers: fit it on "
                f"features of the same space, or predict with them"
            )
        blocks = [np.arange(start, min(start + _BLOCK, len(features))) for start in range(0, len(features), _BLOCK)]
        estimates = [self._estimate(features.rows(block), self._learnt) for block in blocks]
        mean, std = np.concatenate([np.empty((2, 0)), *(np.array(estimate) for estimate in estimates)], axis=1)
        return self._scale.back(mean, std)

    def state(self) -> dict[str, np.ndarray]:
        """Return what was learnt, the scale of the targets, and the shape of the features."""
        if self._scale is None:
            raise DataError(f"{type(self).__name__} has not learnt anything: call 'fit' before 'state'")
        return {**self._learnt, "target_scale": self._scale.array(), "feature_shape": self._shape}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what `state` returned."""
        self._learnt = {name: np.asarray(array) for name, array in state.items()}
        self._scale = TargetScale(*(float(number) for number in state["target_scale"]))
        self._shape = np.asarray(state["feature_shape"])


def _shape(features: Features) -> np.ndarray:
    if not np.isfinite(features.numbers).all():
        bad = [
            name
            for name, column in zip(features.names, features.numbers.T, strict=True)
            if not np.isfinite(column).all()
        ]
        raise DataError(
            f"features must be finite numbers, and {', '.join(bad)} are not: leave those rows or columns out"
        )
    return np.array([len(features.names), len(features.ordinals), *features.sizes])
