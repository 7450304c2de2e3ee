"""What a predictor is: it is fitted to features and measured numbers, and predicts the number of other features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evonas.errors import ConfigError, nearest
from evonas.space import Genome, SearchSpace


@dataclass(frozen=True, slots=True)
class Features:
    """What predictors see of architectures, a row each.

    `choices` are option indices, shape (rows, genes), of genes that have `sizes` options. `numbers` are real columns,
    shape (rows, len(names)): first the values of the genes `ordinals`, whose options are numbers, then logarithms of
    exact static costs, features of the space, and what was measured besides.
    """

    choices: np.ndarray
    sizes: tuple[int, ...]
    numbers: np.ndarray
    names: tuple[str, ...]
    ordinals: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.choices)

    def rows(self, index: np.ndarray) -> Features:
        """Return these rows: positions or a mask."""
        return Features(self.choices[index], self.sizes, self.numbers[index], self.names, self.ordinals)

    def one_hot(self) -> np.ndarray:
        """Return the choices one-hot, shape (rows, sum of sizes), float64."""
        starts = np.concatenate(([0], np.cumsum(self.sizes)[:-1])).astype(int)
        features = np.zeros((len(self), sum(self.sizes)))
        if len(self):
            features[np.arange(len(self))[:, None], self.choices + starts] = 1.0
        return features

    def matrix(self) -> np.ndarray:
        """Return one-hot choices and numbers side by side, shape (rows, sum of sizes + len(names)), float64."""
        return np.hstack([self.one_hot(), self.numbers])


class Encoding:
    """Turns genomes of a space into features: genes, costs, what the space tells of their networks, measured columns.

    `costs` are the static costs to include, all that the space counts by default; they are exact, so that a predictor
    need not learn them. `measured` names columns that are given with the genomes, such as the score of a proxy.
    """

    def __init__(self, space: SearchSpace, *, costs: Sequence[str] | None = None, measured: Sequence[str] = ()) -> None:
        known = sorted(space.costs(space.smallest()))
        for name in costs or ():
            if name not in known:
                raise ConfigError(f"'{name}' is no static cost of the space{nearest(name, known)}")
        self.space = space
        self.costs = tuple(known if costs is None else costs)
        self.features = tuple(sorted(space.features(space.smallest())))
        self.measured = tuple(measured)
        taken = {*(gene.name for gene in space.genes), *known, *measured}
        if twice := taken & set(self.features):
            raise ConfigError(
                f"the space tells a feature '{min(twice)}', which names a gene, a static cost or a measured column "
                f"already: call it something else"
            )
        self._ordinal = [
            (number, np.array(gene.options, dtype=float))
            for number, gene in enumerate(space.genes)
            if len(gene.options) > 1 and all(_is_number(option) for option in gene.options)
        ]
        self.sizes = tuple(len(gene.options) for gene in space.genes)
        self.ordered = tuple(space.genes[number].name for number, _ in self._ordinal)
        self.names = (*self.ordered, *self.costs, *self.features, *self.measured)

    def __call__(self, genomes: Sequence[Genome], measured: Sequence[Mapping[str, float]] = ()) -> Features:
        """Return the features of genomes, a row each; `measured` has a mapping a genome where columns are measured."""
        choices = np.array(genomes, dtype=int).reshape(len(genomes), len(self.sizes))
        columns = [values[choices[:, number]] for number, values in self._ordinal]
        if self.costs:
            costs = [self.space.costs(genome) for genome in genomes]
            columns += [np.log1p(np.maximum([cost[name] for cost in costs], 0.0)) for name in self.costs]
        if self.features:
            columns += [*self._told(genomes).T]
        columns += [np.array([row[name] for row in measured], dtype=float) for name in self.measured]
        numbers = np.stack(columns, axis=1) if columns else np.empty((len(genomes), 0))
        return Features(choices, self.sizes, numbers, self.names, tuple(gene for gene, _ in self._ordinal))

    def _told(self, genomes: Sequence[Genome]) -> np.ndarray:
        """Return the features of the space, shape (rows, features)."""
        told = [self.space.features(genome) for genome in genomes]
        rows = [[features.get(name, np.nan) for name in self.features] for features in told]
        numbers = np.array(rows, dtype=float).reshape(-1, len(self.features))
        if not (finite := np.isfinite(numbers).all(axis=1)).all():
            row = int(finite.argmin())
            raise ConfigError(
                f"the features of {list(genomes[row])} are {dict(told[row])}: a space tells finite numbers of every "
                f"genome, by the same names, here {', '.join(self.features)}"
            )
        return numbers


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a predictor expects, and how far off it may be: mean and standard deviation, shape (rows,) each."""

    mean: np.ndarray
    std: np.ndarray


class Predictor(ABC):
    """Predicts one number of an architecture, in its natural unit.

    The same seed, features and targets give the same predictions. Constructing a predictor is cheap and imports no
    framework.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def pretrain(self, features: Features) -> None:
        """Learn what there is to learn before `fit` from rows without targets; most predictors have no use for them.

        Whoever has the space may give the features of a few thousand sampled genomes: they are free to know.
        """
        return

    @abstractmethod
    def fit(self, features: Features, targets: np.ndarray) -> None:
        """Learn from at least two rows and their finite targets, shape (rows,); what was learnt before is gone."""

    @abstractmethod
    def predict(self, features: Features) -> Prediction:
        """Return mean and deviation of every row; a row's does not depend on which others are asked for with it."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Return what `predict` needs as arrays, none of them of objects; `restore` takes it back, in any process."""

    @abstractmethod
    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Become the fitted predictor that this is the state of; it was constructed with the same options."""


def _is_number(option: object) -> bool:
    return isinstance(option, int | float) and not isinstance(option, bool)
