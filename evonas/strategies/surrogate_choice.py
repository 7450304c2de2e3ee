"""Which of many predicted networks are worth an evaluation: the choices that a batch can be made by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evonas.pareto import crowding_distances, hypervolume_gains, ranks
from evonas.strategies.surrogate_model import PredictedLosses

SHORT_LIST = 500
"""Networks whose expected gain is sampled; the others gain less even if they are better than expected."""


def by_rank(losses: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the best `count` losses: by non-domination rank, then by room in their front."""
    ranked = ranks(losses)
    room = np.zeros(len(losses))
    for rank in range(int(ranked.max(initial=-1)) + 1):
        front = np.flatnonzero(ranked == rank)
        room[front] = crowding_distances(losses[front])
        if (ranked <= rank).sum() >= count:
            break
    return np.lexsort((-room, ranked))[:count]


def by_gain(losses: np.ndarray, front: np.ndarray, reference: np.ndarray, count: int) -> np.ndarray:
    """Return `count` rows, each of which adds most hypervolume to the front and those chosen before it."""
    return by_expected_gain(losses, losses[None], front, reference, count)


def by_expected_gain(
    losses: np.ndarray, samples: np.ndarray, front: np.ndarray, reference: np.ndarray, count: int
) -> np.ndarray:
    """Return `count` rows, each of which adds most hypervolume on the mean over `samples`, (samples, rows, objectives).

    What is chosen joins the front with its expected `losses`. Where nothing adds any, the ranks of the least sampled
    losses decide.
    """
    chosen: list[int] = []
    count = min(count, len(losses))
    left = np.ones(len(losses), dtype=bool)
    points = samples.reshape(-1, losses.shape[1])
    while len(chosen) < count:
        gains = hypervolume_gains(points, front, reference).reshape(len(samples), -1).mean(axis=0)
        gains[~left] = -np.inf
        best = int(gains.argmax())
        if gains[best] <= 0:
            others = np.flatnonzero(left)
            chosen += others[by_rank(samples[:, others].min(axis=0), count - len(chosen))].tolist()
            break
        chosen.append(best)
        left[best] = False
        front = np.vstack([front, losses[best]])
    return np.array(chosen, dtype=int)


def expected_gain(
    predicted: PredictedLosses, front: np.ndarray, reference: np.ndarray, count: int, samples: int, rng: np.random.Generator
) -> np.ndarray:
    feasible = np.flatnonzero(predicted.violations <= 0)
    optimistic = predicted.losses[feasible] - predicted.deviations[feasible]
    gains = hypervolume_gains(optimistic, front, reference)
    short = feasible[np.argsort(-gains, kind="stable")[:SHORT_LIST]]
    losses, deviations = predicted.losses[short], predicted.deviations[short]
    normal = rng.standard_normal((samples // 2, losses.shape[1]))
    normal = np.concatenate([normal, -normal])
    drawn = losses + normal[:, None, :] * deviations
    return short[by_expected_gain(losses, drawn, front, reference, count)]
