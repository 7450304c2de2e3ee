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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from evonas import __version__, own_training, recipe_genes, warm_start
from evonas.bounds import goals_of, static_gate, worker_gate
from evonas.component import Component, checked
from evonas.config import Experiment
from evonas.dataset import Dataset
from evonas.early_exit import EarlyExit, Gate, check_reachable, sample_costs
from evonas.errors import ConfigError, DataError
from evonas.evaluation import Evaluator
from evonas.experiment_recipe import (
    ExperimentRecipe,
    Shared,
    build_space,
    follow_data,
    load_data,
    measuring_all,
    with_auditor,
)
from evonas.goals import Constraint, Goals
from evonas.history import History
from evonas.joint_space import JointSpace
from evonas.journal import Header
from evonas.live_audit import Rule
from evonas.pareto import hypervolume_of
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.strategies.base import Strategy
from evonas.tracking.base import Tracker


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

    @property
    def climbs(self) -> bool:
        """Whether the strategy asks for several fidelities; others ask for the top, whatever there is below."""
        takes = inspect.signature(self.experiment.strategy.load()).parameters
        return len(self.evaluator.fidelities) > 1 and "fidelities" in takes

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
    data = load_data(experiment.data)
    if data is not None:
        experiment = experiment.model_copy(update={"space": follow_data(experiment.space, data)})
    space = build_space(experiment.space, experiment.recipe)
    costs = space.costs(space.smallest())
    on_workers = [
        worker_gate(gate, number, costs)
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
    evaluator, auditor = recipe.evaluator_of(space, data), recipe.auditor_of(space, data)
    for component, follows in ((experiment.evaluator, evaluator), (recipe.auditor, auditor)):
        if experiment.recipe and component and follows:
            recipe_genes.check(experiment.recipe, component, follows, recipe.supplies(space, data))
    audited = with_auditor(evaluator, auditor)
    _check_plateau(experiment, evaluator)
    shared = Shared(data, [each.share() for each in measuring_all(audited)])
    sampled = sample_costs(space)
    gates = [static_gate(gate, sampled) for gate in experiment.gates if gate.evaluator is None and gate.metric in costs]
    check_reachable(gates, sampled)
    goals = goals_of(experiment, evaluator, gates, sampled)
    if first is None:
        first = warm_start.genomes(experiment.warm_start, space) if experiment.warm_start else ()
    rule = own_training.rule(audit.every, evaluator, auditor, goals, costs) if audit and auditor else None
    search = Search(experiment, recipe, space, evaluator, audited, shared, goals, gates, sampled, first, rule)
    search.strategy(EarlyExit(space, gates))  # built for its refusals
    return search


def space_and_data(space: Component, data: Component) -> tuple[Component, SearchSpace, Dataset]:
    """Return the space as it follows the data, as a component and built, and the data."""
    loaded = load_data(data)
    assert loaded is not None
    fitted = follow_data(space, loaded)
    return fitted, build_space(fitted, {}), loaded


def space_of(history: History) -> SearchSpace:
    """Return the space of a run; where the file that it read has gone or changed, one that names the run's genes."""
    header = history.header
    try:
        space = build_space(_component(history, "space"), history.config.get("recipe", {}))
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


def changed_versions(known: Mapping[str, str]) -> list[str]:
    """Return what is installed in another version than `known` says, for people: "name known -> installed"."""
    installed = versions()
    return [f"{name} {was} -> {installed.get(name)}" for name, was in known.items() if installed.get(name) != was]


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


def _check_plateau(experiment: Experiment, evaluator: Evaluator) -> None:
    if experiment.plateau is not None and len(evaluator.fidelities) > 1:
        raise ConfigError(
            "'plateau' looks at candidates in the order of their asking, and with several fidelities those of the top "
            "come in the order in which they have climbed: leave it out, or use one fidelity"
        )
