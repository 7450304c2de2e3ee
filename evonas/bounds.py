"""The goals and gates of an experiment: each metric looked up, each direction, worst value and bound resolved."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.component import Component
from evonas.config import Experiment, GateConfig, Quantile
from evonas.early_exit import Gate, quantile
from evonas.errors import ConfigError, GateError, nearest
from evonas.evaluation import Evaluator, Metric
from evonas.goals import Constraint, Goals, Objective, of_test_split
from evonas.space import Metrics, SearchSpace

ZERO_COST = "evonas.workers.zero_cost:ZeroCost"
"""What measures the metric of a gate that is neither a static cost nor measured by an evaluator that the gate names."""


def goals_of(experiment: Experiment, evaluator: Evaluator, gates: Sequence[Gate], sampled: Sequence[Metrics]) -> Goals:
    """Resolve direction and worst value of each objective from what the evaluator declares and the space costs."""
    declared = {metric.name: metric for metric in evaluator.metrics}  # what is measured at the top
    known = {**{name: Metric(name) for name in sampled[0]}, **declared}
    wanted = [("objectives", o.metric) for o in experiment.objectives]
    wanted += [("constraints", c.metric) for c in experiment.constraints]
    for key, name in wanted:
        if name not in known and not of_test_split(name):
            raise ConfigError(
                f"{key}: '{name}' is neither measured by {experiment.evaluator.use} nor a static cost of the space"
                f"{nearest(name, known)}"
            )
    constraints = tuple(Constraint(**c.model_dump()) for c in experiment.constraints)
    objectives = []
    for objective in experiment.objectives:
        metric = known.get(objective.metric, Metric(objective.metric))
        maximize = metric.maximize if objective.maximize is None else objective.maximize
        declared_worst = metric.worst if maximize == metric.maximize else None  # else it is of the other direction
        worst = declared_worst if objective.worst is None else objective.worst
        if worst is None and objective.metric in sampled[0]:
            worst = _worst_cost(objective.metric, maximize, evaluator.space, gates, sampled)
        if worst is None and not of_test_split(objective.metric):
            turned = "" if maximize == metric.maximize else f", maximize: {str(maximize).lower()}"
            raise ConfigError(
                f"objectives: '{objective.metric}' has no known worst value{' in this direction' if turned else ''}, "
                f"which the hypervolume is measured from: say it with "
                f"{{metric: {objective.metric}{turned}, worst: ...}}"
            )
        objectives.append(Objective(objective.metric, maximize, worst or 0.0))
    return Goals(tuple(objectives), constraints)


def static_gate(gate: GateConfig, sampled: Sequence[Metrics]) -> Gate:
    """Return a gate on a static cost, its quantiles those of `sampled` costs."""

    def bound(given: float | Quantile | None) -> float | None:
        return quantile(gate.metric, given.quantile, sampled) if isinstance(given, Quantile) else given

    return Gate(gate.metric, bound(gate.at_most), bound(gate.at_least), gate.applies_to)


def worker_gate(gate: GateConfig, number: int, costs: Metrics) -> tuple[Gate, Component]:
    """Return a gate on what a worker measures: as its evaluator does, or as the zero-cost proxy that its metric is."""
    if isinstance(gate.at_most, Quantile) or isinstance(gate.at_least, Quantile):
        raise GateError(
            f"gates.{number}: a quantile is of a static cost, which '{gate.metric}' is not"
            f"{nearest(gate.metric, costs)}; what workers measure is bounded by a number: a run with {ZERO_COST} tells"
        )
    component = gate.evaluator or Component(ZERO_COST, {"proxies": [gate.metric]})
    return Gate(gate.metric, gate.at_most, gate.at_least, gate.applies_to, on_workers=True), component


def _worst_cost(
    metric: str, maximize: bool, space: SearchSpace, gates: Sequence[Gate], sampled: Sequence[Metrics]
) -> float:
    """Return the bound of a gate on all candidates, else the extreme of the space as far as it is known."""
    if maximize:
        return min(space.costs(space.smallest())[metric], *(cost[metric] for cost in sampled))
    bounds = [g.at_most for g in gates if g.metric == metric and g.applies_to == "all" and g.at_most is not None]
    return min([*bounds, max(space.costs(space.largest())[metric], *(cost[metric] for cost in sampled))])
