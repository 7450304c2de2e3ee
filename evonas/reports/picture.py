"""What every picture of a front shows: evaluations as points on axes, each with the part that it plays."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evonas.evaluation import Evaluation
from evonas.history import History
from evonas.reports.table import duration, readable
from evonas.space import SearchSpace

GENERATIONS = ("#cfdce8", "#7fa6c9", "#27547f")
FRONT, KNEE, INFEASIBLE, INK, MUTED = "#c8324f", "#f7b733", "#a3a3a3", "#22303c", "#66727f"


@dataclass(frozen=True)
class Axis:
    """An objective's values over all evaluations, in natural units; `maximize` is None for what is no objective.

    `view` is the range that a plane shows where values far out would flatten the front.
    """

    name: str
    maximize: bool | None
    values: np.ndarray
    logarithmic: bool = False
    view: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """The name and the better direction."""
        return self.name + {True: " (higher is better)", False: " (lower is better)", None: ""}[self.maximize]

    @property
    def large(self) -> bool:
        """Say whether ticks are better abbreviated, e.g. 25k."""
        return bool(np.abs(self.values).max() >= 10_000)

    @property
    def steps(self) -> str:
        """The shape of the staircase that bounds what a front dominates, drawn from left to right along this axis."""
        return "vh" if self.maximize else "hv"

    @property
    def decades(self) -> float:
        """The orders of magnitude that the values span; positive values only."""
        return float(np.log10(self.values.max() / self.values.min()))


@dataclass(frozen=True)
class Picture:
    """Evaluations at the top fidelity by row; `axes` starts with the objective that goes upwards; lists hold rows."""

    history: History
    space: SearchSpace
    evaluations: Sequence[Evaluation]
    axes: Sequence[Axis]
    infeasible: list[int]
    beaten: list[int]
    front: list[int]
    knee: list[int]

    @classmethod
    def of(cls, history: History, space: SearchSpace) -> Picture:
        """Sort a history's evaluations by the part that they play; the front from left to right."""
        evaluations = history.measured
        rows = {evaluation.candidate.id: row for row, evaluation in enumerate(evaluations)}
        front = [rows[member.candidate.id] for member in history.front.members]
        axes = _axes(history, space, evaluations, front) if evaluations else []
        infeasible = [row for row, e in enumerate(evaluations) if not history.goals.feasible(e.metrics)]
        knee = history.front.knee
        return cls(
            history=history,
            space=space,
            evaluations=evaluations,
            axes=axes,
            infeasible=infeasible,
            beaten=sorted(set(range(len(evaluations))) - {*front, *infeasible}),
            front=sorted(front, key=lambda row: axes[1].values[row]),
            knee=[rows[knee.candidate.id]] if knee else [],
        )

    @property
    def title(self) -> str:
        """The name of the search."""
        return self.history.header.name

    @property
    def subtitle(self) -> str:
        """What the search has come to."""
        below = len(self.history.evaluations) - len(self.evaluations)
        return (
            f"hypervolume {readable(self.history.front.hypervolume)}  ·  {len(self.evaluations):,} evaluated  ·  "
            f"{len(self.front):,} on the front" + (f"  ·  {below:,} evaluated at lower fidelities" if below else "")
        )

    @property
    def unseen(self) -> str:
        """How many evaluations a plane leaves out because they are far out; empty if none."""
        outside = np.zeros(len(self.evaluations), dtype=bool)
        for axis in self.axes:
            if axis.view:
                outside |= (axis.values < axis.view[0]) | (axis.values > axis.view[1])
        return f"  ·  {outside.sum():,} far out of view" if outside.any() else ""

    @property
    def silence(self) -> str:
        """What to say where there is no front to show; empty if there is one."""
        if not self.evaluations:
            return "nothing has been evaluated yet"
        return "" if self.front else f"none of {len(self.evaluations):,} evaluated candidates meets the constraints"

    @property
    def generations(self) -> np.ndarray:
        """The generation of every row."""
        return np.array([evaluation.candidate.generation for evaluation in self.evaluations])

    def story(self, row: int) -> str:
        """Return what there is to tell about a candidate, as HTML lines."""
        evaluation = self.evaluations[row]
        candidate = evaluation.candidate
        genes = ", ".join(f"{name}={value}" for name, value in self.space.describe(candidate.genome).items())
        wrapped = textwrap.wrap(genes, width=64, max_lines=8, placeholder=" ...")
        metrics = [f"{html.escape(name)} <b>{readable(value)}</b>" for name, value in evaluation.metrics.items()]
        budget = f" · {candidate.budget} epochs" if candidate.budget is not None else ""
        first = f"<b>candidate {candidate.id}</b> · generation {candidate.generation}"
        last = f"{evaluation.source}{budget} · {duration(evaluation.seconds)} · seed {evaluation.seed}"
        return "<br>".join([first, *map(html.escape, wrapped), *metrics, last])


def _axes(history: History, space: SearchSpace, evaluations: Sequence[Evaluation], front: list[int]) -> list[Axis]:
    """Return the objectives as axes, static costs last; a single objective is shown over the candidates' ids."""
    costs = space.costs(evaluations[0].candidate.genome)
    axes = []
    for objective in sorted(history.goals.objectives, key=lambda objective: objective.metric in costs):
        values = np.array([evaluation.metrics[objective.metric] for evaluation in evaluations])
        wide = bool(values.min() > 0 and values.max() > 10 * values.min())
        logarithmic = wide and objective.metric in costs
        view = None if logarithmic else _view(values, front)
        axes.append(Axis(objective.metric, objective.maximize, values, logarithmic, view))
    ids = np.array([evaluation.candidate.id for evaluation in evaluations], dtype=float)
    return axes if len(axes) > 1 else [*axes, Axis("candidate", None, ids)]


def _view(values: np.ndarray, front: list[int]) -> tuple[float, float] | None:
    """Return the range of what is not far out (Tukey 1977: three interquartile ranges), the front always included."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = 3 * (upper - lower)
    near = (values >= lower - reach) & (values <= upper + reach)
    near[front] = True
    low, high = float(values[near].min()), float(values[near].max())
    if values.max() - values.min() <= 1.5 * (high - low) or high == low:
        return None
    margin = 0.06 * (high - low)
    return low - margin, high + margin
