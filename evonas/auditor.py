"""How the networks of a run are trained in its audit: the experiment, and what is compared with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evonas import config
from evonas.audit_plan import by_fidelity
from evonas.config import ConstraintConfig, Experiment, ObjectiveConfig
from evonas.errors import ConfigError, nearest
from evonas.evaluation import Evaluator, Fidelity, Metric, Source
from evonas.experiment_recipe import ExperimentRecipe
from evonas.goals import Objective, of_test_split
from evonas.history import History
from evonas.own_training import TRAINED, alike
from evonas.space import Metrics
from evonas.verdict import Pair

OVERRIDES = frozenset({"evaluator", "pool", "cache", "seed", "max_consecutive_failures"})
"""The keys of an experiment that an audit may have otherwise; `data` too, for a run that had none."""


@dataclass(frozen=True)
class Auditor:
    """The experiment that trains the networks of a run.

    `pairs` are the run's measured objectives with what they are compared with, and `compared` the same for each
    fidelity of the run: one that measures no objective is compared by the first metric that it has. `accuracy` is what
    relative improvement is measured in, None where nothing is one. `notes` say what differs from the run.
    """

    experiment: Experiment
    pairs: Sequence[Pair]
    compared: Mapping[Fidelity, Sequence[Pair]]
    accuracy: Callable[[Metrics], float] | None
    notes: Sequence[str]


def auditor(history: History, overrides: Sequence[str] = (), against: str | None = None) -> Auditor:
    """Return how to train the networks of a run.

    A run that trained, or looked up in a table, is repeated with its own evaluator; otherwise it is `Trained`, or what
    `evaluator.use` names. It has those of the run's options that it knows, and everything else of the run (data, space,
    pool, cache, gates on static costs for all candidates) but the seed: that is the run's plus 1, so that nothing is
    compared with itself. No other gate is asked: the run's networks have passed it, or had not to. `overrides`
    replace values of `OVERRIDES`; a key without a dot that is none of these is an option of the evaluator. `against`
    names what the run's first measured objective is compared with; without it an objective is compared with the metric
    of its name, or where that is not measured with the first that is. Raises ConfigError for what cannot be trained or
    compared.
    """
    spelt = [_spelt(override, data=history.config["data"] is None) for override in overrides]
    document = {
        **history.config,
        "name": f"{history.config['name']}-audit",
        "seed": int(history.config.get("seed", 0)) + 1,
        "evaluator": _evaluator(history, spelt),
        "strategy": "evonas.strategies.random_search:RandomSearch",
        "tracking": None,
        "audit": None,
        "plateau": None,
        "warm_start": None,
    }
    experiment = config.parse(document, spelt, origin="the audit's experiment")
    evaluator = _built(experiment)
    measured = {metric.name: metric for metric in evaluator.metrics}
    costs = evaluator.space.costs(next(iter(history.candidates.values())).genome)
    if against is not None and (against not in measured or of_test_split(against)):
        known = [name for name in measured if not of_test_split(name)]
        raise ConfigError(
            f"--against: {experiment.evaluator.use} does not measure '{against}'{nearest(against, known)}"
        )
    notes, pairs = list[str](), list[Pair]()
    objectives: dict[str, ObjectiveConfig] = {}
    given = {objective.metric: objective for objective in experiment.objectives}
    for objective in history.goals.objectives:
        name = objective.metric
        if name in costs:
            objectives[name] = given[name]
            continue
        true = against if against and not pairs else name if name in measured else evaluator.metrics[0].name
        pairs.append((objective, _objective(measured[true])))
        objectives.setdefault(true, given[name] if true == name else ObjectiveConfig(metric=true))
        if true != name:
            notes.append(f"{name} is compared with {true}")
    if not pairs:
        raise ConfigError(
            f"all objectives of the run ({', '.join(given)}) are static costs, which are exact: no audit is needed"
        )
    kept, lost = list[ConstraintConfig](), list[str]()
    for constraint in experiment.constraints:
        if constraint.metric in measured or constraint.metric in costs:
            kept.append(constraint)
        else:
            lost.append(constraint.metric)
    if lost:
        notes.append(f"the constraint on {', '.join(lost)} is left out: {experiment.evaluator.use} does not measure it")
    static = [gate for gate in experiment.gates if gate.evaluator is None and gate.metric in costs]
    if asked := [gate.metric for gate in experiment.gates if gate not in static]:
        notes.append(f"random networks do not pass the gate on {', '.join(asked)}, which workers ask: it is left out")
    notes += _sameness(history, experiment)
    experiment = experiment.model_copy(
        update={
            "objectives": tuple(objectives.values()),
            "constraints": tuple(kept),
            "gates": tuple(gate for gate in static if gate.applies_to == "all"),
        }
    )
    return Auditor(experiment, pairs, _compared(history, pairs), _accuracy(evaluator), notes)


def _compared(history: History, pairs: Sequence[Pair]) -> dict[Fidelity, list[Pair]]:
    compared: dict[Fidelity, list[Pair]] = {}
    for fidelity, evaluations in by_fidelity(history).items():
        known = evaluations[0].metrics
        compared[fidelity] = [pair for pair in pairs if pair[0].metric in known]
        if not compared[fidelity]:
            declared = _built(config.parse(history.config)).at(fidelity.source).metrics[0]
            compared[fidelity] = [(_objective(declared), pairs[0][1])]
    return compared


def _built(experiment: Experiment) -> Evaluator:
    return ExperimentRecipe(
        experiment.space, experiment.data, experiment.evaluator, experiment.seed, experiment.recipe
    ).build()


def _spelt(override: str, *, data: bool) -> str:
    """Return an override with its whole key; raise ConfigError for one that an audit does not take."""
    key = override.partition("=")[0].strip()
    head, dot, _ = key.partition(".")
    allowed = OVERRIDES | {"data"} if data else OVERRIDES
    if head in allowed:
        return override
    if dot or head in Experiment.model_fields:
        raise ConfigError(f"'{override}': an audit has the run's {head}; only {', '.join(sorted(allowed))} may differ")
    return f"evaluator.{override}"


def _evaluator(history: History, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the evaluator as a plain value: with the options of the run's that it knows."""
    own = dict(history.config["evaluator"])
    named = [value for key, _, value in (o.partition("=") for o in overrides) if key in ("evaluator", "evaluator.use")]
    exact = {evaluation.source for evaluation in history.evaluations} <= {Source.TRAINED, Source.TABULAR}
    use = named[-1].strip() if named else own["use"] if exact else TRAINED
    return own if use == own["use"] else alike(own, use)


def _objective(metric: Metric) -> Objective:
    return Objective(metric.name, metric.maximize, metric.worst or 0.0)


def _accuracy(evaluator: Evaluator) -> Callable[[Metrics], float] | None:
    """Return what accuracy is read from: a metric of that name, or one minus an error that is at most 1."""
    for metric in evaluator.metrics:
        if metric.maximize and "accuracy" in metric.name and not of_test_split(metric.name):
            return _reader(metric.name, 0.0, 1.0)
    for metric in evaluator.metrics:
        if not metric.maximize and "error" in metric.name and metric.worst == 1 and not of_test_split(metric.name):
            return _reader(metric.name, 1.0, -1.0)
    return None


def _reader(name: str, offset: float, scale: float) -> Callable[[Metrics], float]:
    return lambda metrics: offset + scale * metrics[name]


def _sameness(history: History, experiment: Experiment) -> list[str]:
    """Return a note where the audit does what the run did."""
    if experiment.evaluator.plain() != dict(history.config["evaluator"]):
        return []
    if all(evaluation.source is Source.TABULAR for evaluation in history.evaluations):
        return ["the truth is looked up where the run looked, and agrees with it unless the seed changes it"]
    return ["the recipe is the run's own, with another seed: epochs=N trains longer"]
