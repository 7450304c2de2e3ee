"""What the search is for: objectives to trade off and constraints to respect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evonas.errors import ConfigError
from evonas.space import Metrics

_TEST = re.compile(r"(?<![^_])test(?![^_])")  # a word of its own between underscores


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric to minimise (or maximise); `worst` is its coordinate of the hypervolume's reference point."""

    metric: str
    maximize: bool
    worst: float

    def loss(self, value: float) -> float:
        """Return `value` as a number to minimise."""
        return -value if self.maximize else value


@dataclass(frozen=True, slots=True)
class Constraint:
    """A metric that must stay within bounds; a candidate outside is dominated by every candidate inside."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def violation(self, value: float) -> float:
        """Return by how much `value` is out of bounds, relative to the bound's size; 0 inside."""
        excess = 0.0
        if self.at_most is not None:
            excess += max(0.0, value - self.at_most) / (abs(self.at_most) or 1.0)
        if self.at_least is not None:
            excess += max(0.0, self.at_least - value) / (abs(self.at_least) or 1.0)
        return excess


@dataclass(frozen=True, slots=True)
class Goals:
    """The objectives, at least one, and the constraints of a search."""

    objectives: Sequence[Objective]
    constraints: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ConfigError("a search needs at least one objective: add one under 'objectives:'")
        names = [objective.metric for objective in self.objectives]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"objectives must differ, and these are given twice: {', '.join(sorted(repeated))}")
        for name in [*names, *(constraint.metric for constraint in self.constraints)]:
            if of_test_split(name):
                raise ConfigError(
                    f"'{name}' is measured on the test split, which a search never sees: "
                    f"search on '{_TEST.sub('valid', name)}' and test the picked networks once"
                )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that must be measured."""
        return tuple(dict.fromkeys([o.metric for o in self.objectives] + [c.metric for c in self.constraints]))

    @property
    def reference(self) -> np.ndarray:
        """The reference point as losses, shape (objectives,)."""
        return np.array([objective.loss(objective.worst) for objective in self.objectives])

    def losses(self, metrics: Metrics) -> np.ndarray:
        """Return the objectives as numbers to minimise, shape (objectives,)."""
        return np.array([objective.loss(metrics[objective.metric]) for objective in self.objectives])

    def violation(self, metrics: Metrics) -> float:
        """Return the sum of relative constraint violations; 0 is feasible."""
        return sum(constraint.violation(metrics[constraint.metric]) for constraint in self.constraints)

    def feasible(self, metrics: Metrics) -> bool:
        """Say whether every constraint holds."""
        return self.violation(metrics) == 0.0


def of_test_split(metric: str) -> bool:
    """Say whether a metric is of the test split: `test` is a word of its name, as in `cifar10_test_accuracy`."""
    return _TEST.search(metric) is not None
