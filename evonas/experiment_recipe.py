"""What a worker builds: an experiment's data, space and evaluators, from components alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evonas.component import Component, checked
from evonas.dataset import Dataset
from evonas.early_exit import Gate, WorkerGate
from evonas.errors import ConfigError, DataError, GateError, nearest
from evonas.evaluation import Evaluator
from evonas.joined import Joined
from evonas.joint_space import JointSpace
from evonas.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Shared:
    """What the driver has read already, so that workers need not: large, read-only, in numpy's arrays."""

    data: Dataset | None = None
    evaluators: Sequence[object | None] = ()
    """What `Evaluator.share` returned: of the evaluator, and of those of its gates."""


@dataclass(frozen=True, slots=True)
class ExperimentRecipe:
    """How a worker builds its own evaluator: components only, nothing large."""

    space: Component
    data: Component | None
    evaluator: Component
    seed: int
    genes: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """What the experiment's `recipe` says."""
    gates: Sequence[tuple[Gate, Component]] = ()
    """The gates that workers ask, with what measures their metrics."""
    auditor: Component | None = None
    """What measures the networks that are audited while the search runs."""
    run_folder: Path | None = None
    """Where workers may keep what they work on, if they share a file system; None on the driver."""

    def build(self, shared: object = None) -> Evaluator:
        """Build what is not `Shared`, space and evaluator; raise an EvonasError for what the user must mend."""
        known = shared if isinstance(shared, Shared) else Shared()
        data = load_data(self.data) if known.data is None else known.data
        space = build_space(self.space, self.genes)
        evaluator = with_auditor(self.evaluator_of(space, data), self.auditor_of(space, data))
        for part, measuring in zip(known.evaluators, measuring_all(evaluator), strict=False):
            if part is not None:
                measuring.adopt(part)
        return evaluator

    def supplies(self, space: SearchSpace, data: Dataset | None) -> dict[str, object]:
        """Return what is filled in where a component asks for it by name."""
        known = {"data": data, "run_folder": self.run_folder}
        given = {name: value for name, value in known.items() if value is not None}
        return {"space": space, "seed": self.seed, **given}

    def evaluator_of(self, space: SearchSpace, data: Dataset | None) -> Evaluator:
        """Return the evaluator, with the gates that workers ask."""
        supplies = self.supplies(space, data)
        evaluator: Evaluator = checked(self.evaluator, Evaluator).build(supplies)
        if self.gates:
            rungs = [evaluator.at(fidelity.source) for fidelity in evaluator.fidelities]
            own = {metric.name for rung in rungs for metric in rung.metrics}
            evaluator.gates = [
                WorkerGate(gate, _measuring(gate, component, supplies), clashes=gate.metric in own)
                for gate, component in self.gates
            ]
        return evaluator

    def auditor_of(self, space: SearchSpace, data: Dataset | None) -> Evaluator | None:
        """Return what audits the search, with a seed of its own, so that nothing is compared with itself."""
        if self.auditor is None:
            return None
        supplies = {**self.supplies(space, data), "seed": self.seed + 1}
        auditor: Evaluator = checked(self.auditor, Evaluator).build(supplies)
        return auditor


def load_data(component: Component | None) -> Dataset | None:
    """Build the data: a Dataset, or `(inputs, labels)` or `(inputs, labels, test inputs, test labels)` to be split."""
    if component is None:
        return None
    wanted = "a Dataset, a tuple (inputs, labels), or a tuple (inputs, labels, test_inputs, test_labels)"
    loaded = component.load()
    promised = str(getattr(loaded, "__annotations__", {}).get("return"))
    if not inspect.isfunction(loaded) or not ("Dataset" in promised or "tuple" in promised):
        raise DataError(
            f"data: {component.use} must be a function annotated to return {wanted}; its annotation is {promised}"
        )
    built = component.build()
    if isinstance(built, Dataset):
        return built
    if isinstance(built, tuple) and len(built) in (2, 4):
        test = (built[2], built[3]) if len(built) == 4 else None
        return Dataset.from_arrays(component.use.partition(":")[2], built[0], built[1], test=test)
    raise DataError(f"data: {component.use} returned a {type(built).__name__}; it must return {wanted}")


def follow_data(space: Component, data: Dataset) -> Component:
    """Return the space with `input_shape` and `classes` taken from the data where it has such options."""
    facts: Mapping[str, Any] = {"input_shape": list(data.input_shape), "classes": len(data.classes)}
    defaults = space.parameters()
    options = dict(space.options)
    for name, fact in facts.items():
        if name not in defaults:
            continue
        given = options.get(name)
        if name in options and given not in (fact, _plain(defaults[name].default)):
            raise ConfigError(
                f"space: {name} is {given}, and the data '{data.name}' has {fact}: leave it out to follow the data"
            )
        options[name] = fact
    return Component(space.use, options)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def build_space(component: Component, genes: Mapping[str, Sequence[object]]) -> SearchSpace:
    """Return the space, joined by the genes of the recipe if there are any."""
    space: SearchSpace = checked(component, SearchSpace).build()
    return JointSpace(space, genes) if genes else space


def with_auditor(evaluator: Evaluator, auditor: Evaluator | None) -> Evaluator:
    """Return the evaluator, joined by the auditor if there is one."""
    return evaluator if auditor is None else Joined([evaluator, auditor], evaluator)


def _measuring(gate: Gate, component: Component, supplies: Mapping[str, object]) -> Evaluator:
    """Return the evaluator that measures a gate's metric."""
    try:
        evaluator: Evaluator = checked(component, Evaluator).build(supplies)
    except ConfigError as error:
        raise GateError(f"gates: '{gate.metric}' is no static cost of the space, and on workers: {error}") from error
    names = [metric.name for metric in evaluator.metrics]
    if gate.metric not in names:
        raise GateError(f"gates: '{gate.metric}' is not measured by {component.use}{nearest(gate.metric, names)}")
    return evaluator


def measuring_all(evaluator: Evaluator) -> list[Evaluator]:
    """Return the evaluator, and those that its gates measure with."""
    return [evaluator, *(gate.evaluator for gate in evaluator.gates)]
