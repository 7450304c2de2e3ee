"""The Pareto front of a set of evaluations, with its exact hypervolume, contributions and knee."""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import moocore
import numpy as np

from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.space import Metrics


@dataclass(frozen=True)
class ParetoFront:
    """The feasible, non-dominated evaluations, best first objective first; of equal losses the lowest id is kept."""

    goals: Goals
    members: Sequence[Evaluation]

    @classmethod
    def of(cls, evaluations: Iterable[Evaluation], goals: Goals) -> ParetoFront:
        """Return the front of `evaluations`."""
        feasible = [e for e in evaluations if goals.feasible(e.metrics)]
        feasible.sort(key=lambda e: e.candidate.id)
        if not feasible:
            return cls(goals, ())
        losses = np.array([goals.losses(e.metrics) for e in feasible])
        kept = np.flatnonzero(moocore.is_nondominated(losses, keep_weakly=False))
        return cls(goals, tuple(feasible[i] for i in sorted(kept, key=lambda i: tuple(losses[i]))))

    def including(self, evaluation: Evaluation) -> ParetoFront:
        """Return the front with one more evaluation, quickly: this very front if that changes nothing."""
        if not self.goals.feasible(evaluation.metrics):
            return self
        losses = self.goals.losses(evaluation.metrics)
        row = tuple(losses.tolist())
        place = bisect.bisect(self._rows, row)  # only members before it can be as good in every objective
        if place and self._covers(place - 1, row, evaluation):  # with two objectives no other member needs a look
            return self
        covering = (self.losses[:place] <= losses).all(axis=1)
        if covering.any() and self._covers(int(covering.argmax()), row, evaluation):
            return self
        kept = np.logical_not((losses <= self.losses).all(axis=1))  # what the newcomer neither dominates nor equals
        members = [member for member, stays in zip(self.members, kept.tolist(), strict=True) if stays]
        remaining = self.losses[kept]
        place = int(kept[:place].sum())
        front = ParetoFront(self.goals, (*members[:place], evaluation, *members[place:]))
        return front._with_losses(np.insert(remaining, place, losses, axis=0))

    def _covers(self, number: int, row: tuple[float, ...], evaluation: Evaluation) -> bool:
        """Say whether a member dominates an evaluation of losses `row`, or equals it and was asked for before."""
        rival = self._rows[number]
        if rival == row:
            return self.members[number].candidate.id <= evaluation.candidate.id
        return all(ours <= theirs for ours, theirs in zip(rival, row, strict=True))

    @cached_property
    def _rows(self) -> list[tuple[float, ...]]:
        return [tuple(row) for row in self.losses.tolist()]

    @cached_property
    def losses(self) -> np.ndarray:
        """The members' objectives as losses, shape (members, objectives), read-only."""
        losses = np.array([self.goals.losses(member.metrics) for member in self.members])
        losses = losses.reshape(len(self.members), len(self.goals.objectives))
        losses.setflags(write=False)
        return losses

    def _with_losses(self, losses: np.ndarray) -> ParetoFront:
        """Return this front with its losses known."""
        losses.setflags(write=False)
        self.__dict__["losses"] = losses  # where cached_property keeps it
        return self

    @cached_property
    def hypervolume(self) -> float:
        """The volume between the front and the reference point: see `normalised_hypervolume`."""
        return normalised_hypervolume(self.losses, self.goals)

    @cached_property
    def contributions(self) -> np.ndarray:
        """What the hypervolume would lose without each member, shape (members,)."""
        if len(self.members) <= 1:  # moocore counts no contributions of one objective, whose front is one point
            return np.full(len(self.members), self.hypervolume)
        contributions: np.ndarray = moocore.hv_contributions(self.losses, ref=self.goals.reference) / _box(self.goals)
        return contributions

    @cached_property
    def knee(self) -> Evaluation | None:
        """The member farthest below the hyperplane through the front's extremes, objectives scaled to [0, 1].

        For two objectives this is the knee of Das 1999 ("On characterizing the knee of the Pareto curve"). Objectives
        that share an extreme, as parameters and MACs do, share the weight of one; otherwise three costs would outvote
        an error, and the smallest network would always be the knee.
        """
        if not self.members:
            return None
        low, high = self.losses.min(axis=0), self.losses.max(axis=0)
        differ = high > low
        scaled = (self.losses[:, differ] - low[differ]) / (high - low)[differ]
        totals = scaled.sum(axis=1)
        extremes = scaled[[np.lexsort((totals, column))[0] for column in scaled.T]]
        weights = np.linalg.pinv(extremes).sum(axis=1).clip(min=0.0)  # the least solution of: extremes @ weights = 1
        return self.members[int(np.argmin(np.round(scaled @ weights, 12)))]

    def digest(self) -> str:
        """Return a hash of the front: genomes and metrics, timings aside."""
        return digest(self.members)


def normalised_hypervolume(losses: np.ndarray, goals: Goals) -> float:
    """Return the exact hypervolume of losses, shape (points, objectives), as a share of the box from 0 to the worst.

    For losses that cannot fall below 0 (errors, sizes, times) this lies in [0, 1]. An objective that is maximised,
    or whose reference is 0, is counted in its own unit. Points that do not dominate the reference count nothing.
    """
    if len(losses) == 0:
        return 0.0
    return float(moocore.hypervolume(losses, ref=goals.reference)) / _box(goals)


def hypervolume_of(columns: Mapping[str, np.ndarray], goals: Goals) -> float:
    """Return the normalised hypervolume of the front of many networks, given as a column a metric."""
    losses = np.stack([-columns[o.metric] if o.maximize else columns[o.metric] for o in goals.objectives], axis=1)
    feasible = np.full(len(losses), True)
    for constraint in goals.constraints:
        if constraint.at_most is not None:
            feasible &= columns[constraint.metric] <= constraint.at_most
        if constraint.at_least is not None:
            feasible &= columns[constraint.metric] >= constraint.at_least
    if not feasible.any():
        return 0.0
    losses = losses[feasible]
    return normalised_hypervolume(losses[moocore.is_nondominated(losses)], goals)


def hypervolume_gains(points: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return by how much each point alone would enlarge the hypervolume of a front, shape (points,), in natural units.

    `points` and `front` are losses, shapes (points, objectives) and (members, objectives). Exact, for many points at a
    time: the space below the reference is cut into slabs at the members' last coordinates, and in each slab this is the
    same question with an objective less. Of two objectives the slabs are rectangles, taken all at a time.
    """
    if points.shape[1] == 1:
        gains: np.ndarray = np.maximum(min([reference[0], *front[:, 0]]) - points[:, 0], 0.0)
        return gains
    if points.shape[1] == 2:
        return _planar_gains(points, front[(front < reference).all(axis=1)], reference)
    front = front[(front < reference).all(axis=1)]
    front = front[moocore.is_nondominated(front)] if len(front) else front
    front = front[front[:, -1].argsort(kind="stable")]
    bounds = np.concatenate([[-np.inf], front[:, -1], reference[-1:]])
    gains = np.zeros(len(points))
    for members in range(len(bounds) - 1):
        heights = bounds[members + 1] - np.maximum(points[:, -1], bounds[members])
        reaching = heights > 0
        if reaching.any():
            areas = hypervolume_gains(points[reaching, :-1], front[:members, :-1], reference[:-1])
            gains[reaching] += heights[reaching] * areas
    return gains


def _planar_gains(points: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the gains of points of two objectives; members of the front are below the reference."""
    front = front[front[:, 1].argsort(kind="stable")]
    rights = np.minimum.accumulate(np.concatenate([reference[:1], front[:, 0]]))
    steps = np.flatnonzero(np.diff(rights, prepend=np.inf))  # where a rectangle begins: at the reference, or a member
    tops = np.append(front[steps[1:] - 1, 1], reference[1])
    bottoms = np.concatenate([[-np.inf], tops[:-1]])
    heights = np.maximum(tops - np.maximum(points[:, 1:], bottoms), 0.0)
    widths = np.maximum(rights[steps] - points[:, :1], 0.0)
    gains: np.ndarray = (heights * widths).sum(axis=1)
    return gains


def _box(goals: Goals) -> float:
    return float(np.prod([o.worst if not o.maximize and o.worst > 0 else 1.0 for o in goals.objectives]))


def ranks(losses: np.ndarray) -> np.ndarray:
    """Return the non-domination rank of every point, shape (points,): 0 for the front, equal points share theirs."""
    if len(losses) == 0:
        return np.empty(0, dtype=int)
    ranks: np.ndarray = moocore.pareto_rank(losses)
    return ranks


def crowding_distances(losses: np.ndarray) -> np.ndarray:
    """Return how much room every point of a front has, shape (points,): the crowding distance of Deb et al. 2002.

    Extremes have infinite room, and so have all points of one or two. Of equal points, those that stand first and last
    among them count the gap to the next. An objective in which all are equal counts nothing.
    """
    count, objectives = losses.shape
    if count <= 2:
        return np.full(count, np.inf)
    columns = np.arange(objectives)
    order = losses.argsort(axis=0, kind="stable")
    ascending = losses[order, columns]
    gaps = np.full((count + 1, objectives), np.inf)
    np.subtract(ascending[1:], ascending[:-1], out=gaps[1:-1])
    spread = ascending[-1] - ascending[0]
    if not spread.all():
        gaps[:, spread == 0] = 0.0
        spread[spread == 0] = 1.0
    gaps /= spread
    room = np.empty_like(losses)
    room[order, columns] = gaps[:-1] + gaps[1:]
    distances: np.ndarray = room.sum(axis=1) / objectives
    return distances


def digest(evaluations: Iterable[Evaluation]) -> str:
    """Return a hash of a set of evaluations, in order of their ids: genomes and metrics, timings aside."""
    rows = [
        [list(e.candidate.genome), e.candidate.budget, e.source, e.seed, untimed(e.metrics)]
        for e in sorted(evaluations, key=lambda e: e.candidate.id)
    ]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def untimed(metrics: Metrics) -> dict[str, float]:
    """Return the metrics that a second evaluation must repeat to the bit: all but `seconds` and `*_seconds`."""
    return {name: value for name, value in metrics.items() if name != "seconds" and not name.endswith("_seconds")}
