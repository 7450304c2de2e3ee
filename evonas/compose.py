"""From an experiment to its parts: each component built, each metric, bound and reference resolved and checked."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from evonas import __version__
from evonas.component import Component
from evonas.config import Experiment, GateConfig, Quantile
from evonas.dataset import Dataset
from evonas.early_exit import EarlyExit, Gate, check_reachable, quantile, sample_costs
from evonas.errors import ConfigError, DataError, GateError, nearest
from evonas.evaluation import Evaluator, Metric
from evonas.goals import Constraint, Goals, Objective
from evonas.journal import Header
from evonas.space import Metrics, SearchSpace
from evonas.strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class ExperimentRecipe:
    """How a worker builds its own evaluator: components only, nothing large."""

    space: Component
    data: Component | None
    evaluator: Component
    seed: int

    def build(self) -> Evaluator:
        """Build data, space and evaluator; raise an EvonasError for what the user must mend."""
        return _evaluator(self, self.space.build(), _dataset(self.data))


@dataclass(frozen=True)
class Search:
    """An experiment with its parts built and its bounds resolved; `sampled` holds the costs of uniform networks."""

    experiment: Experiment
    recipe: ExperimentRecipe
    space: SearchSpace
    data: Dataset | None
    evaluator: Evaluator
    goals: Goals
    gates: Sequence[Gate]
    sampled: Sequence[Metrics]

    def strategy(self, early_exit: EarlyExit) -> Strategy:
        """Return a new strategy."""
        strategy: Strategy = self.experiment.strategy.build(
            {"space": self.space, "goals": self.goals, "admit": early_exit.admit, "seed": self.experiment.seed}
        )
        return strategy

    def header(self) -> Header:
        """Return the first line of the journal."""
        return Header(
            name=self.experiment.name,
            config=self.experiment.plain(),
            config_hash=self.experiment.identity(),
            objectives=[asdict(objective) for objective in self.goals.objectives],
            constraints=[asdict(constraint) for constraint in self.goals.constraints],
            gates=[asdict(gate) for gate in self.gates],
            data_fingerprint=self.data.fingerprint() if self.data else None,
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )


def prepare(experiment: Experiment) -> Search:
    """Build the parts that the driver needs; raise an EvonasError for whatever is wrong with them."""
    data = _dataset(experiment.data)
    if data is not None:
        experiment = experiment.model_copy(update={"space": _fitted(experiment.space, data)})
    recipe = ExperimentRecipe(experiment.space, experiment.data, experiment.evaluator, experiment.seed)
    space = experiment.space.build()
    if not isinstance(space, SearchSpace):
        raise ConfigError(f"space: {experiment.space.use} is a {type(space).__name__}, not a SearchSpace")
    evaluator = _evaluator(recipe, space, data)
    sampled = sample_costs(space, experiment.seed)
    gates = [_gate(gate, number, sampled) for number, gate in enumerate(experiment.gates)]
    check_reachable(gates, sampled)
    goals = _goals(experiment, evaluator, gates, sampled)
    return Search(experiment, recipe, space, data, evaluator, goals, gates, sampled)


def versions() -> dict[str, str]:
    """Return the versions of what decides a result."""
    packages = ("numpy", "pymoo", "ray", "torch")
    return {
        "evonas": __version__,
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def _dataset(component: Component | None) -> Dataset | None:
    """Build the data: a Dataset, or `(inputs, labels)` or `(inputs, labels, test inputs, test labels)` to be split."""
    if component is None:
        return None
    built = component.build()
    if isinstance(built, Dataset):
        return built
    if isinstance(built, tuple) and len(built) in (2, 4):
        test = (built[2], built[3]) if len(built) == 4 else None
        return Dataset.from_arrays(component.use.partition(":")[2], built[0], built[1], test=test)
    raise DataError(
        f"data: {component.use} returned a {type(built).__name__}; it must return an evonas.dataset.Dataset, "
        f"(inputs, labels), or (inputs, labels, test_inputs, test_labels)"
    )


def _fitted(space: Component, data: Dataset) -> Component:
    """Return the space with `input_shape` and `classes` taken from the data where it has such options."""
    facts: Mapping[str, Any] = {"input_shape": list(data.input_shape), "classes": len(data.classes)}
    defaults = space.parameters()
    options = dict(space.options)
    for name, fact in facts.items():
        if name not in defaults:
            continue
        given = options.get(name)
        if given not in (fact, _plain(defaults[name].default)):
            raise ConfigError(
                f"space: {name} is {given}, and the data '{data.name}' has {fact}: leave it out to follow the data"
            )
        options[name] = fact
    return Component(space.use, options)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _evaluator(recipe: ExperimentRecipe, space: SearchSpace, data: Dataset | None) -> Evaluator:
    supplies: dict[str, object] = {"space": space, "seed": recipe.seed}
    if data is not None:
        supplies["data"] = data
    evaluator = recipe.evaluator.build(supplies)
    if not isinstance(evaluator, Evaluator):
        raise ConfigError(f"evaluator: {recipe.evaluator.use} is a {type(evaluator).__name__}, not an Evaluator")
    return evaluator


def _gate(gate: GateConfig, number: int, sampled: Sequence[Metrics]) -> Gate:
    if gate.metric not in sampled[0]:
        raise GateError(
            f"gates.{number}: a gate bounds a static cost of the space, and '{gate.metric}' is none"
            f"{nearest(gate.metric, sampled[0])}"
        )

    def bound(given: float | Quantile | None) -> float | None:
        return quantile(gate.metric, given.quantile, sampled) if isinstance(given, Quantile) else given

    return Gate(gate.metric, bound(gate.at_most), bound(gate.at_least), gate.applies_to)


def _goals(experiment: Experiment, evaluator: Evaluator, gates: Sequence[Gate], sampled: Sequence[Metrics]) -> Goals:
    """Resolve direction and worst value of each objective from what the evaluator declares and the space costs."""
    declared = {metric.name: metric for metric in evaluator.metrics}
    known = {**{name: Metric(name) for name in sampled[0]}, **declared}
    wanted = [("objectives", o.metric) for o in experiment.objectives]
    wanted += [("constraints", c.metric) for c in experiment.constraints]
    for key, name in wanted:
        if name not in known and not name.startswith("test_"):
            raise ConfigError(
                f"{key}: '{name}' is neither measured by {experiment.evaluator.use} nor a static cost of the space"
                f"{nearest(name, known)}"
            )
    constraints = tuple(Constraint(**c.model_dump()) for c in experiment.constraints)
    objectives = []
    for objective in experiment.objectives:
        metric = known.get(objective.metric, Metric(objective.metric))
        maximize = metric.maximize if objective.maximize is None else objective.maximize
        worst = metric.worst if objective.worst is None else objective.worst
        if worst is None and objective.metric in sampled[0]:
            worst = _worst_cost(objective.metric, maximize, evaluator.space, gates, sampled)
        if worst is None and not objective.metric.startswith("test_"):
            raise ConfigError(
                f"objectives: '{objective.metric}' has no known worst value, which the hypervolume is measured from: "
                f"say it with {{metric: {objective.metric}, worst: ...}}"
            )
        objectives.append(Objective(objective.metric, maximize, worst or 0.0))
    return Goals(tuple(objectives), constraints)


def _worst_cost(
    metric: str, maximize: bool, space: SearchSpace, gates: Sequence[Gate], sampled: Sequence[Metrics]
) -> float:
    """Return the bound of a gate on all candidates, else the extreme of the space as far as it is known."""
    if maximize:
        return min(space.costs(space.smallest())[metric], *(cost[metric] for cost in sampled))
    bounds = [g.at_most for g in gates if g.metric == metric and g.applies_to == "all" and g.at_most is not None]
    return min([*bounds, max(space.costs(space.largest())[metric], *(cost[metric] for cost in sampled))])
