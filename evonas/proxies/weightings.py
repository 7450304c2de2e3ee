"""Weightings of proxies, and how each ranks networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weightings:
    """Ways to rank networks, by the weighted sum of their ranks in each objective.

    `proxies` has scores, shape (networks, proxies); `losses` has ranks, from 0 to 1, by each objective that is known
    exactly, shape (networks, exact). `weights` of the proxies, shape (weightings, estimated objectives, proxies), have
    length 1 for each objective. `shares` of the objectives, shape (weightings, objectives), the exact ones first, add
    up to 1.
    """

    proxies: np.ndarray
    losses: np.ndarray
    weights: np.ndarray
    shares: np.ndarray

    @classmethod
    def drawn(
        cls, proxies: np.ndarray, losses: np.ndarray, estimated: int, count: int, rng: np.random.Generator
    ) -> Weightings:
        """Draw as many as `count`: weights are uniform, but for the first, each proxy alone; so are shares."""
        number = proxies.shape[1]
        weights = rng.uniform(-1.0, 1.0, size=(count, estimated, number))
        weights[:number] = np.eye(number)[:, None, :]
        weights /= np.linalg.norm(weights, axis=2, keepdims=True)
        return cls(proxies, losses, weights, rng.dirichlet(np.ones(losses.shape[1] + estimated), size=count))

    @property
    def vectors(self) -> np.ndarray:
        """What tells weightings apart, shape (weightings, numbers)."""
        return np.hstack([self.weights.reshape(len(self.weights), -1), self.shares])

    def merits(self, number: int) -> np.ndarray:
        """Return how good a weighting takes the networks to be, shape (networks,): 0 at most."""
        estimates = -self.proxies @ self.weights[number].T
        merits: np.ndarray = -np.hstack([self.losses, ranked(estimates)]) @ self.shares[number]
        return merits

    def order(self, number: int) -> np.ndarray:
        """Return the networks as a weighting ranks them, the best first, shape (networks,)."""
        return np.argsort(-self.merits(number), kind="stable")

    def firsts(self) -> np.ndarray:
        """Return the network that each ranks first, shape (weightings,)."""
        return np.array([int(self.merits(number).argmax()) for number in range(len(self.weights))])

    def rows(self, index: np.ndarray) -> Weightings:
        """Return the same weightings of these networks."""
        return Weightings(self.proxies[index], self.losses[index], self.weights, self.shares)


def ranked(values: np.ndarray) -> np.ndarray:
    """Return the ranks of each column, from 0 to 1 for the highest; equal values have their mean rank."""
    ordered = np.sort(values, axis=0)
    ranks = np.empty(values.shape)
    for number, (column, known) in enumerate(zip(values.T, ordered.T, strict=True)):
        ranks[:, number] = (known.searchsorted(column, "left") + known.searchsorted(column, "right") - 1) / 2
    return ranks / max(len(values) - 1, 1)
