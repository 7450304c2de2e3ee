"""A model of the losses of networks: static costs as they are, and a predictor for each metric that is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evonas.component import Component
from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.predictor import Encoding, Features, Predictor
from evonas.seeds import derive_seed, generator
from evonas.space import Genome, SearchSpace

CHUNK = 200
"""Networks that are predicted at a time: what a kernel makes of them stays in a processor's cache."""


UNIFORM = 2000
"""Networks that predictors are pretrained on: their costs and features are free to know."""


@dataclass(frozen=True)
class Networks:
    """Networks and what is known of them without measuring: features, and the static costs that the goals name."""

    genomes: Sequence[Genome]
    features: Features
    costs: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.genomes)

    def rows(self, index: np.ndarray) -> Networks:
        """Return these rows."""
        genomes = [self.genomes[row] for row in index.tolist()]
        return Networks(genomes, self.features.rows(index), {name: costs[index] for name, costs in self.costs.items()})


@dataclass(frozen=True)
class PredictedLosses:
    """What a model expects of networks, a row each.

    `losses` to minimise and their `deviations`, shape (rows, objectives), 0 where a loss is exact; `violations` of the
    constraints, shape (rows,), 0 where all are expected to hold.
    """

    losses: np.ndarray
    deviations: np.ndarray
    violations: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[PredictedLosses]) -> PredictedLosses:
        """Return the rows of all, at least one."""
        columns = [(part.losses, part.deviations, part.violations) for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def rows(self, index: np.ndarray) -> PredictedLosses:
        """Return these rows."""
        return PredictedLosses(self.losses[index], self.deviations[index], self.violations[index])


class LossModel:
    """Predicts objectives and constraints of networks of a space, after it was fitted to evaluations.

    What the space counts exactly is never predicted. Each other metric that the goals name has a predictor of its own,
    built from the component and pretrained on `uniform` networks; it predicts in the metric's natural unit.
    """

    def __init__(self, space: SearchSpace, goals: Goals, predictor: Component, seed: int) -> None:
        self.space = space
        self.goals = goals
        self._seed = seed
        counted = space.costs(space.smallest())
        self._exact = [name for name in goals.metrics if name in counted]
        self._encoding = Encoding(space)
        self._pretrained: set[str] = set()
        self._predictors: dict[str, Predictor] = {
            name: predictor.build({"space": space, "seed": derive_seed(seed, "predictor", name)})
            for name in goals.metrics
            if name not in counted
        }

    def networks(self, genomes: Sequence[Genome]) -> Networks:
        """Return networks as `predict` wants them."""
        costs = [self.space.costs(genome) for genome in genomes] if self._exact else []
        columns = {name: np.array([cost[name] for cost in costs]) for name in self._exact}
        return Networks(genomes, self._encoding(genomes), columns)

    @cached_property
    def uniform(self) -> Networks:
        """`UNIFORM` networks of the space, canonical forms of uniform genomes."""
        rng = generator(self._seed, "uniform networks")
        return self.networks([self.space.canonical(self.space.sample(rng)) for _ in range(UNIFORM)])

    def fit(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn from two evaluations or more; what was learnt before is gone."""
        features = self._encoding([evaluation.candidate.genome for evaluation in evaluations])
        for name, predictor in self._predictors.items():
            if name not in self._pretrained and type(predictor).pretrain is not Predictor.pretrain:
                predictor.pretrain(self.uniform.features)
            self._pretrained.add(name)
            predictor.fit(features, np.array([evaluation.metrics[name] for evaluation in evaluations]))

    def predict(self, networks: Networks) -> PredictedLosses:
        """Return what is expected of networks."""
        chunks = [np.arange(first, min(first + CHUNK, len(networks))) for first in range(0, len(networks), CHUNK)]
        return PredictedLosses.joined([self._predicted(networks.rows(chunk)) for chunk in chunks or [np.arange(0)]])

    def _predicted(self, networks: Networks) -> PredictedLosses:
        means, deviations = dict(networks.costs), {name: np.zeros(len(networks)) for name in networks.costs}
        for name, predictor in self._predictors.items():
            prediction = predictor.predict(networks.features)
            means[name], deviations[name] = prediction.mean, prediction.std
        losses = [-means[o.metric] if o.maximize else means[o.metric] for o in self.goals.objectives]
        violations = np.zeros(len(networks))
        for constraint in self.goals.constraints:
            violations += [constraint.violation(value) for value in means[constraint.metric].tolist()]
        spread = [deviations[o.metric] for o in self.goals.objectives]
        return PredictedLosses(np.stack(losses, axis=1), np.stack(spread, axis=1), violations)
