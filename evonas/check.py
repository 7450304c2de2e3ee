"""A check: what an experiment is, whether it works, and what a run of it will cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evonas.component import checked
from evonas.compose import Search, prepare
from evonas.config import Experiment
from evonas.early_exit import acceptance, joint_acceptance
from evonas.evaluation import Rejected
from evonas.live_audit import Rule
from evonas.pool import WorkerPool
from evonas.rehearsal import at_quantiles, in_size, rehearse, workers_of
from evonas.tracking.base import Tracker


def report(experiment: Experiment) -> Iterator[str]:
    """Yield lines about an experiment as they become known; raise an EvonasError for what is wrong with it."""
    search = prepare(experiment)
    experiment = search.experiment  # with input shape and classes of the data
    yield f"[bold]{experiment.name}[/bold] ({experiment.identity()})"
    if search.data:
        yield search.data.describe()
    yield f"space: {experiment.space.use}, {len(search.space.genes)} genes, {search.space.size():,} genomes"
    for metric in search.sampled[0]:
        low, middle, high = np.quantile([cost[metric] for cost in search.sampled], [0, 0.5, 1])
        yield f"  {metric}: {low:,.0f} to {high:,.0f}, median {middle:,.0f} ({len(search.sampled):,} uniform networks)"
    for row in acceptance(search.gates, search.sampled):
        yield f"gate: {row.gate.name} lets {row.share:.1%} through"
    if len(search.gates) > 1:
        yield f"  all gates together: {joint_acceptance(search.gates, search.sampled):.1%}"
    for gate, component in search.recipe.gates:
        yield f"gate on workers: {gate.name}, by {component.use}; what it lets through is not known yet"
    for objective in search.goals.objectives:
        direction = "maximise" if objective.maximize else "minimise"
        yield f"objective: {direction} {objective.metric}, hypervolume from {objective.worst:,.6g}"
    yield _tracking(search)
    pool = checked(experiment.pool, WorkerPool)
    yield f"pool: {pool.use} is started by 'run' only: whether its workers fit is not known yet"
    yield from _costs(search)
    yield "'evonas plan' says more: gates, hours and disk for several numbers of workers"


def _tracking(search: Search) -> str:
    """Build the tracker and let it check that it can do its work, as a run does before it begins."""
    component = search.experiment.tracking
    if component is None:
        return "tracking: none"
    run_folder = (search.experiment.runs / "check").absolute()
    tracker: Tracker = checked(component, Tracker).build({"run_folder": run_folder, "space": search.space})
    tracker.check()
    return f"tracking: {component.use} is ready"


def _costs(search: Search) -> Iterator[str]:
    """Try the evaluator on a small, a middling and a large network that the gates admit, and estimate the run."""
    experiment = search.experiment
    shares = {"small": 0.1, "middling": 0.5, "large": 0.9}
    seconds = []
    for label, genome in zip(shares, at_quantiles(search, list(shares.values()), "params"), strict=True):
        network = f"a {label} network{in_size(search, genome)}"
        started = time.perf_counter()
        try:
            seconds.append(rehearse(search, genome, network))
        except Rejected as exit_:
            seconds.append(time.perf_counter() - started)
            yield f"rehearsed: {network} is turned away by the evaluator's gate {exit_}"
            continue
        yield f"rehearsed: {network} works; about {seconds[-1]:.1f} s for an evaluation"
    if len(rungs := search.evaluator.fidelities) > 1:
        yield f"fidelities: {', then '.join(map(str, rungs))}; what is evaluated below the last costs less than this"
    workers = workers_of(experiment)
    total = float(np.mean(seconds)) * experiment.evaluations
    yield (
        f"estimate: {experiment.evaluations} evaluations x {np.mean(seconds):.1f} s / {workers} workers = "
        f"{total / workers / 60:.1f} minutes ({total / 3600:.2f} worker hours), and the start"
    )
    if search.rule is not None:
        yield from _audits(search, search.rule)


def _audits(search: Search, rule: Rule) -> Iterator[str]:
    """Try the auditor on a middling network, and say what audits will take."""
    (genome,) = at_quantiles(search, [0.5], "params")
    auditor = search.audited.at(rule.source)
    seconds = rehearse(replace(search, evaluator=auditor), genome, f"a middling network{in_size(search, genome)}")
    count = search.experiment.evaluations // rule.every
    yield (
        f"audits: {count:,} x {seconds:.1f} s beside that, one of every {rule.every:,} networks, by "
        f"{type(auditor).__name__}: {rule.metric} is compared with {rule.against}"
    )
