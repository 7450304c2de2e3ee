"""Which of many predicted networks are worth an evaluation: the choices that a batch can be made by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evonas.pareto import crowding_distances, hypervolume_gains, ranks
from evonas.strategies.surrogate_model import PredictedLosses

SHORT_LIST = 500
"""Networks whose expected gain is sampled: those that would gain most if they were a deviation better than expected."""


def feasible_first(
    predicted: PredictedLosses, count: int, choose: Callable[[PredictedLosses], np.ndarray]
) -> np.ndarray:
    """Return `count` rows: those that `choose` takes of the feasible ones, then the least violating."""
    feasible, others = np.flatnonzero(predicted.violations <= 0), np.flatnonzero(predicted.violations > 0)
    chosen = feasible[choose(predicted.rows(feasible))] if feasible.size else feasible
    least = others[np.argsort(predicted.violations[others], kind="stable")]
    rows: np.ndarray = np.concatenate([chosen, least])[:count]
    return rows


def by_rank(losses: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the best `count` losses: by non-domination rank, then by room in their front."""
    ranked = ranks(losses)
    room = np.zeros(len(losses))
    for rank in range(int(np.sort(ranked)[:count].max(initial=-1)) + 1):
        front = np.flatnonzero(ranked == rank)
        room[front] = crowding_distances(losses[front])
    return np.lexsort((-room, ranked))[:count]


def by_spread(losses: np.ndarray, front: np.ndarray, count: int, axes: Sequence[int]) -> np.ndarray:
    """Return `count` rows of the best ranks, each the farthest from the front and those chosen before it.

    Distances are Euclidean in the losses numbered `axes`, each scaled to the range of the best ranks and the front.
    """
    ranked = ranks(losses)
    best = np.flatnonzero(ranked <= np.sort(ranked)[: max(count, 1)].max(initial=-1))
    points, known = losses[best][:, axes], front[:, axes]
    together = np.concatenate([points, known])
    scale = np.ptp(together, axis=0)
    scale[scale == 0] = 1.0
    room = np.full(len(points), np.inf)
    for point in known:
        room = np.minimum(room, _distances(points, point, scale))
    chosen: list[int] = []
    while len(chosen) < min(count, len(best)):
        row = int(room.argmax())
        chosen.append(row)
        room = np.minimum(room, _distances(points, points[row], scale))
        room[chosen] = -np.inf
    rows: np.ndarray = best[np.array(chosen, dtype=int)]
    return rows


def by_expected_gain(
    predicted: PredictedLosses, front: np.ndarray, reference: np.ndarray, count: int, normal: np.ndarray
) -> np.ndarray:
    """Return `count` rows, each of which is expected to add most hypervolume to the front and those chosen before it.

    The expectation is the mean over samples, each of which has all losses off by the same `normal` deviations, shape
    (samples, objectives). What is chosen joins the front of each sample as it is there: where predictions are wrong,
    they are wrong together, and the next choice hopes for something else. Where nothing gains, ranks decide.
    """
    optimistic = predicted.losses - predicted.deviations
    gains = hypervolume_gains(optimistic, front, reference)
    short = np.argsort(-gains, kind="stable")[: max(SHORT_LIST, count)]
    samples = predicted.losses[short] + normal[:, None, :] * predicted.deviations[short]

    def gains_with(chosen: list[int]) -> np.ndarray:
        fronts = (np.concatenate([front, losses[chosen]]) for losses in samples)
        each = [hypervolume_gains(losses, with_, reference) for losses, with_ in zip(samples, fronts, strict=True)]
        mean: np.ndarray = np.mean(each, axis=0)
        return mean

    rows: np.ndarray = short[_greedily(gains_with, optimistic[short], count)]
    return rows


def by_sampled_gain(
    predicted: PredictedLosses, front: np.ndarray, reference: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return `count` rows, each of which adds most hypervolume if its losses are as sampled, anew for each choice.

    What is chosen joins the front as predicted. Where no sample adds any, ranks decide.
    """

    def gains_with(chosen: list[int]) -> np.ndarray:
        drawn = predicted.losses + rng.standard_normal(predicted.losses.shape) * predicted.deviations
        return hypervolume_gains(drawn, np.concatenate([front, predicted.losses[chosen]]), reference)

    return _greedily(gains_with, predicted.losses - predicted.deviations, count)


def _greedily(gains_with: Callable[[list[int]], np.ndarray], optimistic: np.ndarray, count: int) -> np.ndarray:
    """Return the rows that gain most with those chosen before them; where none gains, the best `optimistic` ranks."""
    left = np.ones(len(optimistic), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(count, len(optimistic)):
        gains = np.where(left, gains_with(chosen), 0.0)
        best = int(gains.argmax())
        if gains[best] <= 0:
            others = np.flatnonzero(left)
            chosen += others[by_rank(optimistic[others], count - len(chosen))].tolist()
            break
        chosen.append(best)
        left[best] = False
    return np.array(chosen, dtype=int)


def _distances(points: np.ndarray, point: np.ndarray, scale: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.linalg.norm((points - point) / scale, axis=1)
    return distances
