"""A rehearsal: what an experiment is, whether it works, and what a run of it will cost."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from evonas.compose import Search, checked, prepare
from evonas.config import Experiment
from evonas.early_exit import acceptance, joint_acceptance
from evonas.errors import ConfigError, EvonasError
from evonas.evaluation import Candidate, Evaluator, Failure, Rejected, Rejection, evaluate
from evonas.pool import WorkerPool
from evonas.space import Genome
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
    for objective in search.goals.objectives:
        direction = "maximise" if objective.maximize else "minimise"
        yield f"objective: {direction} {objective.metric}, hypervolume from {objective.worst:,.6g}"
    yield _tracking(search)
    pool = checked(experiment.pool, WorkerPool)
    yield f"pool: {pool.use} is started by 'run' only: whether its workers fit is not known yet"
    yield from _costs(search)


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
    seconds = []
    for label, genome in _rehearsed(search).items():
        network = f"a {label} network ({search.space.costs(genome)['params']:,.0f} params)"
        started = time.perf_counter()
        try:
            with _as_on_a_worker(experiment):
                seconds.append(_rehearse(search.evaluator, genome, network))
        except Rejected as exit_:
            seconds.append(time.perf_counter() - started)
            yield f"rehearsed: {network} is turned away by the evaluator's gate {exit_}"
            continue
        yield f"rehearsed: {network} trains; about {seconds[-1]:.1f} s for an evaluation"
    workers = _workers(experiment)
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


def _rehearse(evaluator: Evaluator, genome: Genome, network: str) -> float:
    """Return the seconds of a full evaluation; raise ConfigError if it fails, Rejected if a gate turns it away.

    An evaluator without a rehearsal of its own evaluates the genome, and what it measured is checked as in a run.
    """
    try:
        if type(evaluator).rehearse is not Evaluator.rehearse:
            return evaluator.rehearse(genome)
        outcome = evaluate(evaluator, Candidate(0, genome, 0))
    except (EvonasError, Rejected):
        raise
    except Exception as error:
        raise ConfigError(_failed(network, genome, traceback.format_exc())) from error
    if isinstance(outcome, Failure):
        raise ConfigError(_failed(network, genome, outcome.reason))
    if isinstance(outcome, Rejection):
        raise Rejected(outcome.gate, outcome.value, outcome.bound)
    return outcome.seconds


def _failed(network: str, genome: Genome, reason: str) -> str:
    """Return what a person needs of the reason of a failure, mostly a traceback: what was raised, and where."""
    lines = reason.strip().splitlines() or ["no reason was given"]
    places = [line.strip() for line in lines if line.startswith("  File ")]
    place = f"\n  {places[-1]}" if places else ""
    return (
        f"the rehearsal failed on {network}, genome {list(genome)}: {lines[-1]}{place}\n"
        f"in a run its candidates would fail: mend the evaluator, the space, or their options"
    )


@contextmanager
def _as_on_a_worker(experiment: Experiment) -> Iterator[None]:
    """Compute with the threads and on the device of a worker, and put both back afterwards.

    What a cluster's machines have is not known here: for its GPUs the evaluator takes one of this machine, if any.
    """
    threads = str(experiment.threads)
    device = {"cpu": "cpu", "gpu": "cuda:0"}[experiment.device]
    elsewhere = experiment.pool.options.get("address") or os.environ.get("RAY_ADDRESS")
    before = dict(os.environ)
    os.environ.update(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
    os.environ["EVONAS_DEVICE"] = "" if elsewhere and experiment.device == "gpu" else device
    torch = sys.modules.get("torch")  # which reads the variables only when it is first imported
    threads_before = torch.get_num_threads() if torch else None
    try:
        if torch:
            torch.set_num_threads(experiment.threads)
        yield
    finally:
        if torch:
            torch.set_num_threads(threads_before)
        os.environ.clear()
        os.environ.update(before)


def _workers(experiment: Experiment) -> int:
    """Return how many workers the pool starts: its option `workers`, one without the option, else as many as fit."""
    if "workers" not in experiment.pool.parameters():
        return 1
    given = experiment.pool.options.get("workers")
    return max(1, int(given or (os.cpu_count() or 1) // experiment.threads))
