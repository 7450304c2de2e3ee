"""From an experiment to its parts: each component built, each metric, bound and reference resolved and checked."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from evonas import __version__, own_training, recipe_genes, warm_start
from evonas.component import Component, checked
from evonas.config import Experiment, GateConfig, Quantile
from evonas.dataset import Dataset
from evonas.early_exit import EarlyExit, Gate, WorkerGate, check_reachable, quantile, sample_costs
from evonas.errors import ConfigError, DataError, GateError, nearest
from evonas.evaluation import Evaluator, Metric
from evonas.goals import Constraint, Goals, Objective, of_test_split
from evonas.history import History
from evonas.joined import Joined
from evonas.joint_space import JointSpace
from evonas.journal import Header
from evonas.live_audit import Rule
from evonas.pareto import hypervolume_of
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.strategies.base import Strategy
from evonas.tracking.base import Tracker

ZERO_COST = "evonas.workers.zero_cost:ZeroCost"
"""What measures the metric of a gate that is neither a static cost nor measured by an evaluator that the gate names."""


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
        data = _dataset(self.data) if known.data is None else known.data
        space = _space(self.space, self.genes)
        evaluator = _audited(_evaluator(self, space, data), _auditor(self, space, data))
        for part, measuring in zip(known.evaluators, _measuring_all(evaluator), strict=False):
            if part is not None:
                measuring.adopt(part)
        return evaluator


@dataclass(frozen=True)
class Search:
    """An experiment with its parts built and its bounds resolved; `sampled` holds the costs of uniform networks.

    `gates` are those on static costs, and `first` the genomes of a warm start. `audited` is what workers build: the
    evaluator, and the auditor with it where the search is audited by a `rule` while it runs.
    """

    experiment: Experiment
    recipe: ExperimentRecipe
    space: SearchSpace
    evaluator: Evaluator
    audited: Evaluator
    shared: Shared
    goals: Goals
    gates: Sequence[Gate]
    sampled: Sequence[Metrics]
    first: Sequence[Genome] = ()
    rule: Rule | None = None

    @property
    def data(self) -> Dataset | None:
        """The data, if the experiment has any."""
        return self.shared.data

    def strategy(self, early_exit: EarlyExit) -> Strategy:
        """Return a new strategy."""
        strategy: Strategy = checked(self.experiment.strategy, Strategy).build(
            {
                "space": self.space,
                "goals": self.goals,
                "admit": early_exit.admit,
                "seed": self.experiment.seed,
                "fidelities": {f: self.evaluator.at(f.source).metrics for f in self.evaluator.fidelities},
            }
        )
        strategy.warm_start = self.first
        return strategy

    def header(self) -> Header:
        """Return the first line of the journal."""
        return Header(
            name=self.experiment.name,
            config=self.experiment.plain(),
            config_hash=self.experiment.identity(),
            objectives=[asdict(objective) for objective in self.goals.objectives],
            constraints=[asdict(constraint) for constraint in self.goals.constraints],
            gates=[asdict(gate) for gate in (*self.gates, *(gate for gate, _ in self.recipe.gates))],
            data_fingerprint=self.data.fingerprint() if self.data else None,
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            space_fingerprint=self.space.fingerprint(),
            evaluator_fingerprint=self.evaluator_fingerprint(),
            strategy_fingerprint=self.strategy(EarlyExit(self.space, self.gates)).fingerprint(),
            genes={gene.name: [str(option) for option in gene.options] for gene in self.space.genes},
            known_hypervolume=self._known_hypervolume(),
            warm_start=[list(genome) for genome in self.first],
            audit=asdict(self.rule) if self.rule else None,
        )

    def _known_hypervolume(self) -> float | None:
        """Return the hypervolume of the best front that constraints and gates admit, where all networks are known."""
        known = self.evaluator.known_metrics()
        if known is None:
            return None
        gates = [
            Constraint(gate.metric, gate.at_most, gate.at_least) for gate in self.gates if gate.applies_to == "all"
        ]
        return hypervolume_of(known, Goals(self.goals.objectives, (*self.goals.constraints, *gates)))

    def evaluator_fingerprint(self) -> str | None:
        """Return a hash of what the evaluator reads, and those of the gates on workers; None if they read nothing."""
        gates = [gate.evaluator.fingerprint() for gate in self.evaluator.gates]
        own = self.audited.fingerprint()
        if not any(gates):
            return own
        return hashlib.sha256(json.dumps([own, *gates]).encode()).hexdigest()[:16]

    def evaluation_facts(self) -> dict[str, Any]:
        """Return all that decides an evaluation, besides genome, fidelity and seed, as JSON-plain values.

        The code of the space and of the evaluators is in it, as far as it is in the files that define their classes.
        """
        plain, installed = self.experiment.plain(), versions()
        rungs = {str(f.source): self.evaluator.at(f.source) for f in self.evaluator.fidelities}
        gates = [[gate.name, component.plain()] for gate, component in self.recipe.gates]
        parts: dict[str, object] = {"space": self.space, "evaluator": self.evaluator}
        parts |= {source: rung for source, rung in rungs.items() if rung is not self.evaluator}
        if self.rule:
            parts["auditor"] = self.audited.at(self.rule.source)
        if isinstance(self.space, JointSpace):
            parts |= {"space": self.space.architectures, "recipe": self.space}
        return {
            **{key: plain[key] for key in ("space", "data", "evaluator", "recipe") if key in plain},
            **({"gates": gates} if gates else {}),
            **({"auditor": self.recipe.auditor.plain()} if self.recipe.auditor else {}),
            "code": {key: _code(type(part)) for key, part in parts.items()},
            "data_fingerprint": self.data.fingerprint() if self.data else None,
            "space_fingerprint": self.space.fingerprint(),
            "evaluator_fingerprint": self.evaluator_fingerprint(),
            "threads": self.experiment.threads,
            "device": self.experiment.device,
            "versions": {name: installed[name] for name in ("evonas", "numpy", "torch")},
        }


def prepare(experiment: Experiment, first: Sequence[Genome] | None = None) -> Search:
    """Build the parts that the driver needs; raise an EvonasError for whatever is wrong with them.

    A search that has begun keeps the genomes of its warm start: they are given as `first`.
    """
    data = _dataset(experiment.data)
    if data is not None:
        experiment = experiment.model_copy(update={"space": _fitted(experiment.space, data)})
    space = _space(experiment.space, experiment.recipe)
    costs = space.costs(space.smallest())
    on_workers = [
        _worker_gate(gate, number, costs)
        for number, gate in enumerate(experiment.gates)
        if gate.evaluator is not None or gate.metric not in costs
    ]
    audit = own_training.complete(experiment.audit, experiment.evaluator) if experiment.audit else None
    experiment = experiment.model_copy(update={"audit": audit})
    recipe = ExperimentRecipe(
        space=experiment.space,
        data=experiment.data,
        evaluator=experiment.evaluator,
        seed=experiment.seed,
        genes=experiment.recipe,
        gates=on_workers,
        auditor=audit.evaluator if audit else None,
    )
    evaluator, auditor = _evaluator(recipe, space, data), _auditor(recipe, space, data)
    for component, follows in ((experiment.evaluator, evaluator), (recipe.auditor, auditor)):
        if experiment.recipe and component and follows:
            recipe_genes.check(experiment.recipe, component, follows, _supplies(recipe, space, data))
    audited = _audited(evaluator, auditor)
    _check_plateau(experiment, evaluator)
    shared = Shared(data, [each.share() for each in _measuring_all(audited)])
    sampled = sample_costs(space)
    gates = [_gate(gate, sampled) for gate in experiment.gates if gate.evaluator is None and gate.metric in costs]
    check_reachable(gates, sampled)
    goals = _goals(experiment, evaluator, gates, sampled)
    if first is None:
        first = warm_start.genomes(experiment.warm_start, space) if experiment.warm_start else ()
    rule = own_training.rule(audit.every, evaluator, auditor, goals, costs) if audit and auditor else None
    search = Search(experiment, recipe, space, evaluator, audited, shared, goals, gates, sampled, first, rule)
    search.strategy(EarlyExit(space, gates))  # built for its refusals
    return search


def space_and_data(space: Component, data: Component) -> tuple[Component, SearchSpace, Dataset]:
    """Return the space as it follows the data, as a component and built, and the data."""
    loaded = _dataset(data)
    assert loaded is not None
    fitted = _fitted(space, loaded)
    return fitted, _space(fitted, {}), loaded


def space_of(history: History) -> SearchSpace:
    """Return the space of a run; where the file that it read has gone or changed, one that names the run's genes."""
    header = history.header
    try:
        space = _space(_component(history, "space"), history.config.get("recipe", {}))
        if space.fingerprint() == header.space_fingerprint:
            return space
    except DataError:
        if header.space_fingerprint is None:
            raise
    return _NamedGenes(header.genes)


def tracker_of(history: History, path: Path) -> Tracker | None:
    """Return the tracker that a run in the folder `path` names, if it names one."""
    if history.config["tracking"] is None:
        return None
    supplies = {"run_folder": path.absolute(), "space": space_of(history)}
    tracker: Tracker = checked(_component(history, "tracking"), Tracker).build(supplies)
    return tracker


class _NamedGenes(SearchSpace):
    """What a journal knows of a space whose file is gone: enough to describe its genomes."""

    def __init__(self, genes: Mapping[str, Sequence[str]]) -> None:
        self.genes = [Gene(name, tuple(options)) for name, options in genes.items()]

    def build(self, genome: Genome) -> NoReturn:
        raise ConfigError("the file that the space of this run was read from has gone or changed: bring it back")

    def costs(self, genome: Genome) -> Metrics:
        return {}


def _component(history: History, key: str) -> Component:
    options = dict(history.config[key])
    return Component(options.pop("use"), options)


def versions() -> dict[str, str]:
    """Return the versions of what decides a result: what evaluates networks, and what proposes them."""
    return {"evonas": __version__, "python": platform.python_version(), **_installed_versions()}


@cache
def _installed_versions() -> Mapping[str, str]:
    installed = {}
    for package in ("deap", "lightgbm", "moocore", "numpy", "pymoo", "ray", "scikit-learn", "scipy", "torch"):
        with suppress(importlib.metadata.PackageNotFoundError):  # lightgbm is an extra
            installed[package] = importlib.metadata.version(package)
    return installed


def _code(class_: type) -> str:
    """Return a hash of the files that define a class and those that it inherits from."""
    modules = dict.fromkeys(base.__module__ for base in class_.__mro__)
    own = [sys.modules[name] for name in modules if name.partition(".")[0] not in sys.stdlib_module_names]
    sha = hashlib.sha256()
    for module in own:
        sha.update(Path(module.__file__).read_bytes() if module.__file__ else b"")
    return sha.hexdigest()[:16]


def _dataset(component: Component | None) -> Dataset | None:
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


def _fitted(space: Component, data: Dataset) -> Component:
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


def _space(component: Component, genes: Mapping[str, Sequence[object]]) -> SearchSpace:
    """Return the space, joined by the genes of the recipe if there are any."""
    space: SearchSpace = checked(component, SearchSpace).build()
    return JointSpace(space, genes) if genes else space


def _evaluator(recipe: ExperimentRecipe, space: SearchSpace, data: Dataset | None) -> Evaluator:
    supplies = _supplies(recipe, space, data)
    evaluator: Evaluator = checked(recipe.evaluator, Evaluator).build(supplies)
    if recipe.gates:
        rungs = [evaluator.at(fidelity.source) for fidelity in evaluator.fidelities]
        own = {metric.name for rung in rungs for metric in rung.metrics}
        evaluator.gates = [
            WorkerGate(gate, _measuring(gate, component, supplies), clashes=gate.metric in own)
            for gate, component in recipe.gates
        ]
    return evaluator


def _auditor(recipe: ExperimentRecipe, space: SearchSpace, data: Dataset | None) -> Evaluator | None:
    """Return what audits the search, with a seed of its own, so that nothing is compared with itself."""
    if recipe.auditor is None:
        return None
    supplies = {**_supplies(recipe, space, data), "seed": recipe.seed + 1}
    auditor: Evaluator = checked(recipe.auditor, Evaluator).build(supplies)
    return auditor


def _audited(evaluator: Evaluator, auditor: Evaluator | None) -> Evaluator:
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


def _check_plateau(experiment: Experiment, evaluator: Evaluator) -> None:
    if experiment.plateau is not None and len(evaluator.fidelities) > 1:
        raise ConfigError(
            "'plateau' looks at candidates in the order of their asking, and with several fidelities those of the top "
            "come in the order in which they have climbed: leave it out, or use one fidelity"
        )


def _measuring_all(evaluator: Evaluator) -> list[Evaluator]:
    """Return the evaluator, and those that its gates measure with."""
    return [evaluator, *(gate.evaluator for gate in evaluator.gates)]


def _supplies(recipe: ExperimentRecipe, space: SearchSpace, data: Dataset | None) -> dict[str, object]:
    known = {"data": data, "run_folder": recipe.run_folder}
    return {"space": space, "seed": recipe.seed, **{name: value for name, value in known.items() if value is not None}}


def _gate(gate: GateConfig, sampled: Sequence[Metrics]) -> Gate:
    def bound(given: float | Quantile | None) -> float | None:
        return quantile(gate.metric, given.quantile, sampled) if isinstance(given, Quantile) else given

    return Gate(gate.metric, bound(gate.at_most), bound(gate.at_least), gate.applies_to)


def _worker_gate(gate: GateConfig, number: int, costs: Metrics) -> tuple[Gate, Component]:
    """Return a gate on what a worker measures: as its evaluator does, or as the zero-cost proxy that its metric is."""
    if isinstance(gate.at_most, Quantile) or isinstance(gate.at_least, Quantile):
        raise GateError(
            f"gates.{number}: a quantile is of a static cost, which '{gate.metric}' is not"
            f"{nearest(gate.metric, costs)}; what workers measure is bounded by a number: a run with {ZERO_COST} tells"
        )
    component = gate.evaluator or Component(ZERO_COST, {"proxies": [gate.metric]})
    return Gate(gate.metric, gate.at_most, gate.at_least, gate.applies_to, on_workers=True), component


def _goals(experiment: Experiment, evaluator: Evaluator, gates: Sequence[Gate], sampled: Sequence[Metrics]) -> Goals:
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


def _worst_cost(
    metric: str, maximize: bool, space: SearchSpace, gates: Sequence[Gate], sampled: Sequence[Metrics]
) -> float:
    """Return the bound of a gate on all candidates, else the extreme of the space as far as it is known."""
    if maximize:
        return min(space.costs(space.smallest())[metric], *(cost[metric] for cost in sampled))
    bounds = [g.at_most for g in gates if g.metric == metric and g.applies_to == "all" and g.at_most is not None]
    return min([*bounds, max(space.costs(space.largest())[metric], *(cost[metric] for cost in sampled))])
