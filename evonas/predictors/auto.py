"""The choice among predictors, by cross-validation on the rows at hand."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evonas.component import Component
from evonas.errors import ConfigError, require
from evonas.predictor import Features, Predictor
from evonas.predictors.base import Arrays, Regressor
from evonas.seeds import generator

CANDIDATES = ("evonas.predictors.ridge:Ridge", "evonas.predictors.gp:GP", "evonas.predictors.forest:Forest")
"""What is tried by default: what is quick, and needs no extra."""

_FEWEST = 8
"""Rows below which there is nothing to choose by: all candidates are averaged."""


class Auto(Regressor):
    """Tries candidates in k-fold cross-validation, and averages those that are as good as the best.

    A candidate's score is the mean of Kendall's tau over the folds minus its deviation (MSuNAS, Lu et al., ECCV 2020).
    Deviation from the paper, which takes the best alone: scores from few rows are noisy, so that the best is averaged
    with all whose mean shortfall is below its standard error. Folds are dealt `repeats` times. The deviation is that of
    the mixture, stretched so that errors in the folds have it.

    `candidates` are import paths, or mappings of `use` and options.
    """

    def __init__(
        self,
        seed: int,
        candidates: Sequence[str | dict[str, Any]] = CANDIDATES,
        folds: int = 5,
        repeats: int = 2,
    ) -> None:
        require("folds", folds, folds >= 2, "2 or more")
        require("repeats", repeats, repeats >= 1, "1 or more")
        require("candidates", list(candidates), len(candidates) > 0, "at least one predictor")
        super().__init__(seed)
        self.candidates = tuple(candidates)
        self.folds = folds
        self.repeats = repeats
        self._unlabelled: Features | None = None

    def pretrain(self, features: Features) -> None:
        """Hand the rows to every candidate, when it is built."""
        self._unlabelled = features

    def _learn(self, features: Features, targets: np.ndarray) -> Arrays:
        candidates = self._built()
        weights, stretch = self._judged(candidates, features, targets)
        learnt = {"weights": weights, "stretch": np.array(stretch)}
        for number in np.flatnonzero(weights):
            candidates[number].fit(features, targets)
            learnt |= {f"{number}/{name}": array for name, array in candidates[number].state().items()}
        return learnt

    def _estimate(self, features: Features, learnt: Arrays) -> tuple[np.ndarray, np.ndarray]:
        weights = learnt["weights"]
        used = np.flatnonzero(weights)
        predictions = []
        for number in used:
            candidate = self._build(self.candidates[number])
            start = f"{number}/"
            candidate.restore({name.removeprefix(start): learnt[name] for name in learnt if name.startswith(start)})
            predictions.append(candidate.predict(features))
        means, stds = np.array([p.mean for p in predictions]), np.array([p.std for p in predictions])
        mean, std = _mixture(means, stds, weights[used])
        return mean, float(learnt["stretch"]) * std

    def _built(self) -> list[Predictor]:
        candidates = [self._build(candidate) for candidate in self.candidates]
        if self._unlabelled is not None:
            for candidate in candidates:
                candidate.pretrain(self._unlabelled)
        return candidates

    def _build(self, candidate: str | Mapping[str, Any]) -> Predictor:
        component = Component.of(candidate)
        loaded = component.load()
        if not (inspect.isclass(loaded) and issubclass(loaded, Predictor)):  # nothing else is called
            raise ConfigError(f"'candidates' are predictors, and {component.use} is none: 'evonas list' shows them")
        predictor: Predictor = component.build({"seed": self.seed})
        return predictor

    def _judged(
        self, candidates: Sequence[Predictor], features: Features, targets: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the weight of each candidate, and by what the deviation of their mixture is to be multiplied."""
        everyone = np.full(len(candidates), 1 / len(candidates))
        if len(targets) < _FEWEST or not targets.any():
            return everyone, 1.0
        rng, folds = generator(self.seed, "auto"), min(self.folds, len(targets) // 4)
        taus, means, stds, truths = [], [], [], []
        for _ in range(self.repeats):
            deal = rng.permutation(len(targets)) % folds
            for fold in range(folds):
                asked = deal == fold
                for candidate in candidates:
                    candidate.fit(features.rows(~asked), targets[~asked])
                predictions = [candidate.predict(features.rows(asked)) for candidate in candidates]
                taus.append([_tau(prediction.mean, targets[asked]) for prediction in predictions])
                means.append([prediction.mean for prediction in predictions])
                stds.append([prediction.std for prediction in predictions])
                truths.append(targets[asked])
        weights = _weights(np.array(taus))
        mean, std = _mixture(np.concatenate(means, axis=1), np.concatenate(stds, axis=1), weights)
        stretch = np.sqrt(np.mean(((mean - np.concatenate(truths)) / np.maximum(std, 1e-9)) ** 2))
        return weights, float(np.clip(stretch, 0.5, 2.0))


def _weights(taus: np.ndarray) -> np.ndarray:
    """Return equal weights for what is as good as the best, from Kendall's tau of shape (folds, candidates)."""
    best = int((taus.mean(axis=0) - taus.std(axis=0)).argmax())
    shortfall = taus[:, [best]] - taus
    as_good = shortfall.mean(axis=0) <= shortfall.std(axis=0) / np.sqrt(len(taus))
    weights: np.ndarray = as_good / as_good.sum()
    return weights


def _mixture(means: np.ndarray, stds: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the mixture of predictions, shape (candidates, rows) each."""
    mean = weights @ means
    return mean, np.sqrt(weights @ (stds**2 + (means - mean) ** 2))


def _tau(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return Kendall's tau; 0 where one side is constant."""
    from scipy.stats import kendalltau

    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return 0.0
    return float(kendalltau(predicted, truth).statistic)
