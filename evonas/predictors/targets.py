"""How targets are transformed before a predictor learns them, and how its predictions are taken back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evonas.predictor import Prediction

POWERS = np.linspace(-2.0, 4.0, 25)
"""The powers that are tried; 1 changes nothing, smaller ones shorten an upper tail, larger ones a lower one."""

EVIDENCE = 2.0
"""By how much the log-likelihood must grow before targets are bent at all: a few rows are no reason to."""


@dataclass(frozen=True, slots=True)
class TargetScale:
    """Standardises, and bends what is skewed (Yeo & Johnson 2000) with the power under which it looks most normal.

    Errors and latencies get about their logarithm so; accuracies about the logarithm of what they lack; zeros and
    negative targets are as good as any, and constant ones are predicted as they are. Predictions are held to the range
    of the targets, widened by itself on both sides, because powers have poles.
    """

    center: float
    spread: float
    power: float
    bent_center: float
    bent_spread: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, targets: np.ndarray) -> TargetScale:
        """Return the scale of finite targets, shape (rows,)."""
        center, spread = _moments(targets)
        plain = (targets - center) / (spread or 1.0)
        likelihoods = np.array([_log_likelihood(plain, power) for power in POWERS])
        best = int(likelihoods.argmax())
        power = float(POWERS[best]) if likelihoods[best] > _log_likelihood(plain, 1.0) + EVIDENCE else 1.0
        bent_center, bent_spread = _moments(_bent(plain, power))
        width = max(float(np.ptp(plain)), 1.0)
        ends = _bent(np.array([plain.min() - width, plain.max() + width]), power)
        lowest, highest = (float(end) for end in (ends - bent_center) / (bent_spread or 1.0))
        return cls(center, spread, power, bent_center, bent_spread, lowest, highest)

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Return transformed targets: mean 0 and deviation 1 over those that the scale is of, or all 0."""
        plain = (targets - self.center) / (self.spread or 1.0)
        return (_bent(plain, self.power) - self.bent_center) / (self.bent_spread or 1.0)

    def back(self, mean: np.ndarray, std: np.ndarray) -> Prediction:
        """Return a prediction on the scale of the targets.

        The mean is taken back as it is (so it is the median of a bent normal distribution, and ranks are kept); the
        deviation is half the way between what lies one deviation above and below, and never quite 0.
        """
        plain, above, below = self._back(mean), self._back(mean + std), self._back(mean - std)
        return Prediction(plain, np.maximum((above - below) / 2, 1e-9 * np.maximum(np.abs(plain), self.spread)))

    def array(self) -> np.ndarray:
        """Return the scale as seven numbers, which `TargetScale(*array)` takes."""
        fields = (self.center, self.spread, self.power, self.bent_center, self.bent_spread, self.lowest, self.highest)
        return np.array(fields)

    def _back(self, values: np.ndarray) -> np.ndarray:
        held = np.clip(values, self.lowest, self.highest) * self.bent_spread + self.bent_center
        return self.center + self.spread * _unbent(held, self.power)


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Return mean and deviation, which is 0 if values are constant but for rounding."""
    center, spread = float(values.mean()), float(values.std())
    return (center, spread) if spread > 1e-12 * np.abs(values).max() else (center, 0.0)


def _bent(values: np.ndarray, power: float) -> np.ndarray:
    from scipy.special import boxcox1p

    upper, lower = np.maximum(values, 0), np.maximum(-values, 0)
    bent: np.ndarray = np.where(values >= 0, boxcox1p(upper, power), -boxcox1p(lower, 2 - power))
    return bent


def _unbent(values: np.ndarray, power: float) -> np.ndarray:
    from scipy.special import inv_boxcox1p

    upper, lower = np.maximum(values, 0), np.maximum(-values, 0)
    unbent: np.ndarray = np.where(values >= 0, inv_boxcox1p(upper, power), -inv_boxcox1p(lower, 2 - power))
    return unbent


def _log_likelihood(values: np.ndarray, power: float) -> float:
    """Return the log-likelihood of a power, up to a constant, if bent values are normal."""
    variance = max(float(_bent(values, power).var()), 1e-12)
    jacobian = float((np.sign(values) * np.log1p(np.abs(values))).sum())
    return -0.5 * len(values) * float(np.log(variance)) + (power - 1) * jacobian
