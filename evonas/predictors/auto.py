"""The choice among predictors, or their blend, by cross-validation on the rows at hand."""

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

CANDIDATES: tuple[str | dict[str, Any], ...] = ("evonas.predictors.gp:GP", "evonas.predictors.ridge:Ridge")
"""What is tried by default: a forest or boosted trees won on no table, and blended in by mistake they cost most."""

_NEAR = 0.05
"""How far behind the best, in Kendall's tau, a candidate still weighs 1/e of it."""

_HEAD_START = 0.04
"""What is added to Kendall's tau of the first candidate, which is to be taken when the folds do not tell."""

_MANY = 100
"""Rows above which a fold more or less makes no difference to what is learnt, but to the seconds that it takes."""

_FEWEST = 8
"""Rows below which there is nothing to choose by: all candidates are averaged."""


class Auto(Regressor):
    """Tries candidates in k-fold cross-validation, and blends them, or takes the best alone.

    With `blend` off it is the choice of MSuNAS (Lu et al., ECCV 2020): the highest mean of Kendall's tau over the folds
    minus its deviation. Deviation from the paper: from few rows that is a noisy choice, and an average is mostly about
    as good as the best in it, or better. So by default all are averaged, with a weight that falls by a factor of e for
    every 0.05 of Kendall's tau (of all predictions in the folds) that a candidate is behind the best. The first one has
    a head start of 0.04: name first what you would take without looking.

    Rows are dealt into `folds`, or half as many if there are more than 100 rows, `repeats` times. The deviation is the
    mixture's, stretched so that errors in the folds have it. `candidates` are import paths, or mappings of `use` and
    options.
    """

    def __init__(
        self,
        seed: int,
        candidates: Sequence[str | dict[str, Any]] = CANDIDATES,
        folds: int = 10,
        repeats: int = 1,
        blend: bool = True,
    ) -> None:
        require("folds", folds, folds >= 2, "2 or more")
        require("repeats", repeats, repeats >= 1, "1 or more")
        require("candidates", list(candidates), len(candidates) > 0, "at least one predictor")
        super().__init__(seed)
        self.candidates = tuple(candidates)
        self.folds = folds
        self.repeats = repeats
        self.blend = blend
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
        if len(targets) < _FEWEST or not targets.any():
            return np.full(len(candidates), 1 / len(candidates)), 1.0
        rng, many = generator(self.seed, "auto"), len(targets) > _MANY
        folds = max(2, min(self.folds // 2 if many else self.folds, len(targets) // 4))
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
        expected, truth = np.concatenate(means, axis=1), np.concatenate(truths)
        of_all = np.array([_tau(one, truth) for one in expected])
        weights = _blended(of_all) if self.blend else _best(np.array(taus))
        mean, std = _mixture(expected, np.concatenate(stds, axis=1), weights)
        stretch = np.sqrt(np.mean(((mean - truth) / np.maximum(std, 1e-9)) ** 2))
        return weights, float(np.clip(stretch, 0.5, 2.0))


def _best(taus: np.ndarray) -> np.ndarray:
    """Return weight 1 of the candidate with the best score, from Kendall's tau of shape (folds, candidates)."""
    scores = taus.mean(axis=0) - taus.std(axis=0)
    weights = np.zeros(len(scores))
    weights[scores.argmax()] = 1.0
    return weights


def _blended(taus: np.ndarray) -> np.ndarray:
    """Return weights that sum to 1, from Kendall's tau of each candidate; what would weigh little weighs nothing."""
    ahead = taus + np.where(np.arange(len(taus)) == 0, _HEAD_START, 0.0)
    weights = np.exp((ahead - ahead.max()) / _NEAR)
    weights[weights < 0.05] = 0.0
    return np.asarray(weights / weights.sum())


def _mixture(means: np.ndarray, stds: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the mixture of predictions, shape (candidates, rows) each."""
    mean: np.ndarray = weights @ means
    variance: np.ndarray = weights @ (stds**2 + (means - mean) ** 2)
    return mean, np.sqrt(variance)


def _tau(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return Kendall's tau; 0 where one side is constant."""
    from scipy.stats import kendalltau

    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return 0.0
    return float(kendalltau(predicted, truth).statistic)
