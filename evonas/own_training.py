"""What networks that were evaluated cheaply are trained with on their own, and what of it is compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from evonas.component import Component
from evonas.config import AuditConfig, checked_options
from evonas.errors import ConfigError
from evonas.evaluation import Evaluator
from evonas.goals import Goals, of_test_split
from evonas.joined import sources
from evonas.live_audit import Rule

TRAINED = "evonas.workers.trained:Trained"


def alike(evaluator: Mapping[str, Any], use: str = TRAINED) -> dict[str, Any]:
    """Return the evaluator `use` as a plain value, with those options that it knows of `evaluator`'s, another one.

    Those of a ladder are the ones of its top.
    """
    own = dict(evaluator)
    if isinstance(rungs := own.get("rungs"), list) and rungs and isinstance(rungs[-1], Mapping):  # of a ladder
        own = dict(rungs[-1])
        if own["use"] == use:
            return own
    known = Component(use).parameters()
    return {"use": use, **{name: option for name, option in own.items() if name in known and name != "rungs"}}


def complete(audit: AuditConfig, evaluator: Component) -> AuditConfig:
    """Return how to audit a search by `evaluator` while it runs, with the auditor said."""
    if audit.evaluator is not None:
        return audit
    auditor = checked_options(Component.of(alike(evaluator.plain())), "audit.evaluator")
    return audit.model_copy(update={"evaluator": auditor})


def rule(every: int, evaluator: Evaluator, auditor: Evaluator, goals: Goals, costs: Collection[str]) -> Rule:
    """Return by what a search is audited while it runs: by its first objective that is measured.

    It is compared with the auditor's metric of its name, else with the first that the auditor measures. Raises
    ConfigError where the auditor has a source of the search's own, or all objectives are static `costs`.
    """
    if auditor.source in (own := sources(evaluator)):
        raise ConfigError(
            f"audit: {type(auditor).__name__} and the search's evaluator both have the source {auditor.source}, and an "
            f"audit is by another (the search's: {', '.join(own)}): leave 'audit' out, or name another evaluator; "
            f"'evonas audit' repeats networks with another seed when the search has ended"
        )
    measured = {metric.name: metric for metric in auditor.metrics if not of_test_split(metric.name)}
    objective = next((objective for objective in goals.objectives if objective.metric not in costs), None)
    if objective is None or not measured:
        raise ConfigError("audit: all objectives are static costs, which are exact: leave 'audit' out")
    against = measured.get(objective.metric) or next(iter(measured.values()))
    return Rule(every, auditor.source, objective.metric, objective.maximize, against.name, against.maximize)
