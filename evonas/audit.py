"""Audit a run: train some of its networks on their own, beside random ones, and say how far to trust it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evonas.agreement import FEWEST
from evonas.audit_plan import Plan, sample
from evonas.auditor import Auditor, auditor
from evonas.component import Component
from evonas.compose import Search, prepare
from evonas.early_exit import EarlyExit
from evonas.errors import DataError, require
from evonas.history import History
from evonas.reports.result import write_whole
from evonas.search import Watch, evaluate_listed
from evonas.seeds import derive_seed
from evonas.space import Genome, Metrics
from evonas.verdict import Trainings, Verdict, near_front, verdict

FOLDER, FILE = "audit", "audit.json"
BUDGET = RANDOM = 20
"""Networks that are trained unless a person says how many."""
FREE = 1_000
"""The most that are looked up for nothing unless a person says more: comparing all pairs takes their square."""


@dataclass(frozen=True)
class Audit:
    """What was trained, how, and what it has come to. `trained` counts networks, `failed` those without numbers."""

    run: Path
    auditor: Auditor
    plan: Plan
    repeats: int
    repeated: int
    trained: int
    failed: int
    seconds: float
    verdict: Verdict
    created: str

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-plain values; `metrics` are the numbers for a chart."""
        return {
            "run": str(self.run),
            "created": self.created,
            "evaluator": self.auditor.experiment.evaluator.plain(),
            "seed": self.auditor.experiment.seed,
            "repeats": self.repeats,
            "networks": {
                "front": len(self.plan.front),
                "sample": [
                    {"source": fidelity.source, "budget": fidelity.budget, "networks": len(genomes)}
                    for fidelity, genomes in self.plan.sample.items()
                ],
                "random": len(self.plan.random),
                "repeated": self.repeated,
                "trained": self.trained,
                "failed": self.failed,
            },
            "seconds": self.seconds,
            "notes": list(self.auditor.notes),
            "metrics": self._metrics(),
            **asdict(self.verdict),
        }

    def _metrics(self) -> dict[str, float]:
        verdict, several = self.verdict, len({(trust.source, trust.budget) for trust in self.verdict.trusts}) > 1
        numbers: dict[str, float | None] = {
            "audit_networks": self.trained,
            "audit_seconds": self.seconds,
            "audit_hypervolume": verdict.chosen,
            "audit_hypervolume_best": verdict.best,
            "audit_hypervolume_regret": verdict.best - verdict.chosen,
            "audit_improvement": verdict.improvement.value if verdict.improvement else None,
            "audit_hypervolume_random": verdict.same_size.random.value if verdict.same_size else None,
        }
        for trust in verdict.trusts:
            if trust.among == "sample" and trust.agreement:
                rung = f"_{trust.source}{trust.budget or ''}" if several else ""
                tau = trust.agreement.kendall_tau
                for name, value in (("tau", tau.value), ("tau_low", tau.low), ("tau_high", tau.high)):
                    numbers[f"audit_{name}_{trust.metric}{rung}"] = value
        return {name: float(value) for name, value in numbers.items() if value is not None}


def audit(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    budget: int | None = None,
    random: int | None = None,
    repeats: int = 1,
    against: str | None = None,
    watch: Watch = lambda search, path: (),
    tell: Callable[[str], None] = lambda line: None,
) -> Audit:
    """Train the front of a run, `budget` networks spread over its values, and `random` networks, and compare them.

    The trainings are journaled in a run folder for each recipe and seed, under `audit/` in the run's own: what is there
    is not trained again, so that an audit may be killed, repeated and prolonged. `repeats` trains the front, and what
    is near it, with as many seeds in all. The verdict is written as `audit.json`. `overrides` are those that `auditor`
    takes. Raises an EvonasError where the run, its data or the options do not allow it.
    """
    history = History.read(path)
    if not history.evaluations:
        raise DataError(f"{path} has no evaluation yet: there is nothing to audit")
    with_what = auditor(history, overrides, against)
    search = prepare(with_what.experiment)
    _check_same_data(path, history, search)
    plan = _plan(history, with_what, search, budget, random)
    require("repeats", repeats, repeats >= 1, "1 or more")
    of_run, beside = len(plan.of_the_run), len(plan.genomes) - len(plan.of_the_run)
    tell(
        f"{path}: to train are {of_run:,} of its networks and {beside:,} random ones, and those in audit/ are not again"
    )
    first = _evaluate(path, search, 0, plan.genomes, watch)
    known = _metrics(first)
    close = near_front(search.goals, {genome: known[genome] for genome in plan.of_the_run if genome in known})
    again = list(dict.fromkeys([*(genome for genome in plan.front if genome in known), *close]))
    histories = [first, *(_evaluate(path, search, number, again, watch) for number in range(1, repeats))]
    wanted = [set(plan.genomes), *(set(again) for _ in range(1, repeats))]
    found = [_metrics(each) for each in histories]
    trainings: Trainings = {
        genome: [metrics[genome] for metrics in found if genome in metrics]
        for genome in plan.genomes
        if genome in known
    }
    seconds = [
        [e.seconds for e in each.evaluations if e.candidate.genome in genomes]
        for each, genomes in zip(histories, wanted, strict=True)
    ]
    done = Audit(
        run=path,
        auditor=replace(with_what, experiment=search.experiment),
        plan=plan,
        repeats=repeats,
        repeated=len(again) if repeats > 1 else 0,
        trained=len(trainings),
        failed=len(plan.genomes) - len(trainings),
        seconds=sum(map(sum, seconds)),
        verdict=verdict(
            history, plan, search.goals, with_what.compared, with_what.accuracy, trainings,
            float(np.mean(seconds[0])) if seconds[0] else 0.0,
        ),
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )  # fmt: skip
    write_whole(path / FILE, lambda draft: _write(done, draft))
    return done


def _write(done: Audit, path: Path) -> None:
    path.write_text(json.dumps(done.plain(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _check_same_data(path: Path, history: History, search: Search) -> None:
    then, now = history.header.data_fingerprint, search.data.fingerprint() if search.data else None
    if then is not None and now != then:
        raise DataError(
            f"{path} was run on other data: its fingerprint is {then}, and now it is {now}: bring the data back"
        )
    if history.header.space_fingerprint != search.space.fingerprint():
        raise DataError(f"{path}: the file that its space was read from has changed or gone: bring it back")


def _plan(history: History, with_what: Auditor, search: Search, budget: int | None, random: int | None) -> Plan:
    """Choose the networks; what costs nothing is looked up for all of the run, up to `FREE`, and as many random."""
    evaluated = len({evaluation.candidate.genome for evaluation in history.evaluations})
    free = search.evaluator.known_genomes() is not None
    budget = (min(evaluated, FREE) if free else BUDGET) if budget is None else budget
    random = (min(evaluated, FREE) if free else RANDOM) if random is None else random
    require("budget", budget, budget >= FEWEST, f"{FEWEST} or more, because the order of fewer says nothing")
    require("random", random, random >= 0, "0 or more")
    seed = int(history.config.get("seed", 0))
    supplies = {
        "space": search.space,
        "goals": search.goals,
        "admit": EarlyExit(search.space, search.gates).admit,
        "seed": derive_seed(seed, "audit", "random networks"),
    }
    strategy = Component("evonas.strategies.random_search:RandomSearch").build(supplies)
    return Plan(
        front=[member.candidate.genome for member in history.front.members],
        sample=sample(history, {f: pairs[0][0].metric for f, pairs in with_what.compared.items()}, budget, seed),
        random=[candidate.genome for candidate in strategy.ask(random)],
    )


def _evaluate(path: Path, search: Search, number: int, genomes: Sequence[Genome], watch: Watch) -> History:
    """Evaluate genomes with the seed of that number, in the folder of its recipe and seed."""
    experiment = search.experiment.model_copy(update={"seed": search.experiment.seed + number})
    return evaluate_listed(experiment, genomes, path / FOLDER / experiment.identity()[:8], watch)


def _metrics(history: History) -> dict[Genome, Metrics]:
    return {evaluation.candidate.genome: evaluation.metrics for evaluation in history.evaluations}
