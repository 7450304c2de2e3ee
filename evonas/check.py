"""A rehearsal: what an experiment is, whether it works, and what a run of it will cost."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from evonas.compose import Search, prepare
from evonas.config import Experiment
from evonas.early_exit import acceptance, joint_acceptance
from evonas.space import Genome


def report(experiment: Experiment) -> Iterator[str]:
    """Yield lines about an experiment as they become known; raise an EvonasError for what is wrong with it."""
    search = prepare(experiment)
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
    for objective in search.goals.objectives:
        direction = "maximise" if objective.maximize else "minimise"
        yield f"objective: {direction} {objective.metric}, hypervolume from {objective.worst:,.6g}"
    yield from _costs(search)


def _costs(search: Search) -> Iterator[str]:
    """Try the evaluator on a small, a middling and a large network that the gates admit, and estimate the run."""
    experiment = search.experiment
    os.environ.setdefault("OMP_NUM_THREADS", str(experiment.threads))  # as a worker would have, before torch loads
    seconds = []
    for label, genome in _rehearsed(search).items():
        seconds.append(search.evaluator.rehearse(genome))
        params = search.space.costs(genome)["params"]
        yield f"rehearsed: a {label} network ({params:,.0f} params) trains; about {seconds[-1]:.1f} s for an evaluation"
    workers = experiment.pool.options.get("workers") or max(1, (os.cpu_count() or 1) // experiment.threads)
    total = float(np.mean(seconds)) * experiment.evaluations
    yield (
        f"estimate: {experiment.evaluations} evaluations x {np.mean(seconds):.1f} s / {workers} workers = "
        f"{total / workers / 60:.1f} minutes ({total / 3600:.2f} worker hours), and the start"
    )


def _rehearsed(search: Search) -> dict[str, Genome]:
    """Return admitted genomes at the 10th, 50th and 90th percentile of parameters among uniform ones."""
    rng = np.random.default_rng(0)
    genomes = [search.space.canonical(search.space.sample(rng)) for _ in range(len(search.sampled))]
    admitted = [g for g in genomes if all(gate.passes(search.space.costs(g)[gate.metric]) for gate in search.gates)]
    ranked = sorted(admitted or genomes, key=lambda genome: search.space.costs(genome)["params"])
    shares = {"small": 0.1, "middling": 0.5, "large": 0.9}
    return {label: ranked[int(share * (len(ranked) - 1))] for label, share in shares.items()}
