"""A rung of successive halving: the networks that were evaluated at one fidelity, and which of them climb on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from evonas.evaluation import Evaluation, Metric
from evonas.goals import Goals, Objective
from evonas.pareto import ranks
from evonas.space import Genome


class Rung:
    """Ranks the `evaluations` added to it by `goals`, those of the rung; knows the genomes that are `promoted`.

    Of the objective `unbounded` no worst value is known.
    """

    def __init__(self, goals: Goals, unbounded: str | None = None) -> None:
        self.goals = goals
        self.unbounded = unbounded
        self.promoted: set[Genome] = set()
        self.evaluations: list[Evaluation] = []
        self._losses: list[np.ndarray] = []
        self._violations: list[float] = []
        self._idle = False

    def __len__(self) -> int:
        return len(self.evaluations)

    def goals_so_far(self) -> Goals:
        """Return the goals, of which an unbounded one has the worst value that was seen, for hypervolumes."""
        if self.unbounded is None or not self.evaluations:
            return self.goals
        objectives = []
        for objective in self.goals.objectives:
            if objective.metric == self.unbounded:
                seen = [evaluation.metrics[objective.metric] for evaluation in self.evaluations]
                objective = replace(objective, worst=min(seen) if objective.maximize else max(seen))
            objectives.append(objective)
        return Goals(tuple(objectives), self.goals.constraints)

    def add(self, evaluation: Evaluation) -> None:
        """Let an evaluation in."""
        self.evaluations.append(evaluation)
        self._losses.append(self.goals.losses(evaluation.metrics))
        self._violations.append(self.goals.violation(evaluation.metrics))
        self._idle = False

    def climber(self, eta: int) -> Evaluation | None:
        """Return the best that is not promoted of the best floor(n / eta) of n, None if all of these are."""
        if not self._idle:
            for row in self._leading(len(self) // eta):
                if self.evaluations[row].candidate.genome not in self.promoted:
                    return self.evaluations[row]
        self._idle = True  # until another is added: promoting never makes room
        return None

    def _leading(self, count: int) -> Iterator[int]:
        """Yield the rows of the best `count`, front by front; of a front that is promoted as a whole, none."""
        if count == 0:
            return
        losses, violations = np.array(self._losses), np.array(self._violations)
        feasible = np.flatnonzero(violations == 0)
        ranked = ranks(losses[feasible])
        for rank in range(ranked.max(initial=-1) + 1):
            front = feasible[ranked == rank]
            if len(front) > count or not self._all_promoted(front):
                yield from front[epsilon_net(losses[front], min(count, len(front)))]
            count -= len(front)
            if count <= 0:
                return
        infeasible = np.flatnonzero(violations > 0)
        yield from infeasible[violations[infeasible].argsort(kind="stable")][:count]

    def _all_promoted(self, rows: np.ndarray) -> bool:
        return all(self.evaluations[row].candidate.genome in self.promoted for row in rows)


def rung_of(goals: Goals, measured: Collection[str], stand_in: Metric) -> Rung:
    """Return a rung where only some metrics are `measured`: `stand_in` takes the place of other objectives.

    Constraints on other metrics are left out.
    """
    unbounded: str | None = None
    known = {o.metric: o for o in goals.objectives if o.metric in measured}
    if len(known) < len(goals.objectives) and stand_in.name not in known:
        known[stand_in.name] = Objective(stand_in.name, stand_in.maximize, stand_in.worst or 0.0)
        unbounded = stand_in.name if stand_in.worst is None else None
    return Rung(Goals(tuple(known.values()), tuple(c for c in goals.constraints if c.metric in measured)), unbounded)


def epsilon_net(points: np.ndarray, count: int) -> list[int]:
    """Return `count` rows of points, shape (points, objectives), of which each is the farthest from all before it.

    The first is the least in the first objective; of equal ones the first row is taken. Distances are Euclidean, with
    each objective scaled to its range (Clarkson, "Nearest-neighbor searching and metric space dimensions", 2006).
    """
    spread = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    net = [int(points[:, 0].argmin())]
    distances = np.full(len(points), np.inf)
    while len(net) < count:
        distances = np.minimum(distances, np.linalg.norm(scaled - scaled[net[-1]], axis=1))
        distances[net] = -1.0
        net.append(int(distances.argmax()))
    return net
