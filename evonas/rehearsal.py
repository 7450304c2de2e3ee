"""A rehearsal: the evaluator tried on networks of a search, as a worker would try them."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from evonas.compose import Search
from evonas.config import Experiment
from evonas.errors import ConfigError, EvonasError
from evonas.evaluation import Candidate, Evaluator, Failure, Rejected, Rejection, evaluate
from evonas.space import Genome


def at_quantiles(search: Search, shares: Sequence[float], metric: str) -> list[Genome]:
    """Return the genomes at these shares of a static cost among uniform genomes that the gates admit.

    Where the space does not know the cost, they are any.
    """
    rng = np.random.default_rng(0)
    genomes = [search.space.canonical(search.space.sample(rng)) for _ in range(len(search.sampled))]
    admitted = [g for g in genomes if all(gate.passes(search.space.costs(g)[gate.metric]) for gate in search.gates)]
    ranked = sorted(admitted or genomes, key=lambda genome: search.space.costs(genome).get(metric, 0.0))
    return [ranked[int(share * (len(ranked) - 1))] for share in shares]


def in_size(search: Search, genome: Genome) -> str:
    """Return ` of so many params`, for messages; nothing where the space does not know them."""
    params = search.space.costs(genome).get("params")
    return "" if params is None else f" of {params:,.0f} params"


def rehearse(search: Search, genome: Genome, network: str) -> float:
    """Return the seconds of a full evaluation; raise ConfigError if it fails, Rejected if a gate turns it away.

    An evaluator without a rehearsal of its own evaluates the genome, and what it measured is checked as in a run.
    `network` is what a message calls it.
    """
    with _as_on_a_worker(search.experiment):
        return _rehearse(search.evaluator, genome, network)


def workers_of(experiment: Experiment) -> int:
    """Return how many workers the pool starts: its option `workers`, one without the option, else as many as fit."""
    if "workers" not in experiment.pool.parameters():
        return 1
    return int(experiment.pool.options.get("workers") or room_here(experiment))


def room_here(experiment: Experiment) -> int:
    """Return how many workers this machine has CPUs for."""
    return max(1, (os.cpu_count() or 1) // experiment.threads)


def _rehearse(evaluator: Evaluator, genome: Genome, network: str) -> float:
    try:
        if type(evaluator).rehearse is not Evaluator.rehearse:
            began = time.perf_counter()
            for gate in evaluator.gates:
                gate(Candidate(0, genome, 0))
            return time.perf_counter() - began + evaluator.rehearse(genome)
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
