"""Features as standardised columns in groups, in which distances and inner products mean something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evonas.predictor import Features

_ORDER = 0.7
"""The share of a numeric gene's variance that lies in its value; the rest lies in which option it is."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is subtracted from the raw columns and what they are multiplied by, and the group of each.

    A group is a gene (its one-hot columns and, if its options are numbers, its value) or a number of its own (a cost,
    a measured column). Over the rows that it was made of every group has mean 0 and variance 1 in all its columns
    together, or is 0 if it is constant.
    """

    center: np.ndarray
    scale: np.ndarray
    group: np.ndarray
    genes: int

    @classmethod
    def of(cls, features: Features) -> Columns:
        """Return the columns of these rows."""
        genes, own = len(features.sizes), len(features.names) - len(features.ordinals)
        group = [*np.repeat(np.arange(genes), features.sizes), *features.ordinals, *range(genes, genes + own)]
        raw = features.matrix()
        center, variance = raw.mean(axis=0), raw.var(axis=0)
        variance[variance <= 1e-18 * np.maximum(center**2, 1e-300)] = 0.0  # constant but for rounding
        options = sum(features.sizes)
        share = np.ones(len(group))
        numeric = np.isin(group, features.ordinals)
        share[:options][numeric[:options]] = 1 - _ORDER
        share[options:][numeric[options:]] = _ORDER
        whole = variance.copy()  # the variance that is made 1: of all options of a gene together, of a number alone
        for gene in range(genes):
            of_gene = np.flatnonzero(group[:options] == np.int64(gene))
            whole[of_gene] = variance[of_gene].sum()
        scale = np.sqrt(np.divide(share, whole, out=np.zeros_like(share), where=whole > 0))
        return cls(center, scale, np.array(group, dtype=int), genes)

    def __call__(self, features: Features) -> np.ndarray:
        """Return the columns of other rows, shape (rows, columns)."""
        columns: np.ndarray = (features.matrix() - self.center) * self.scale
        return columns

    @property
    def numeric(self) -> np.ndarray:
        """Which columns are numbers of their own, rather than a gene's."""
        return self.group >= self.genes

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays."""
        return {"center": self.center, "scale": self.scale, "group": self.group, "genes": np.array(self.genes)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Columns:
        """Return what `arrays` returned the arrays of."""
        return cls(arrays["center"], arrays["scale"], arrays["group"], int(arrays["genes"]))
