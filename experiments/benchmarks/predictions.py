"""Predictions a second: in this process, at the interface of a Ray pool of two workers, and in a whole search.

    python experiments/benchmarks/predictions.py [PREDICTOR ...] [--quick]

The predictors that are named, else ridge and gp, are fitted to 200 rows of digits with a formula for their error.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from timed_search import timed
from trivial import Digits, formula

from evonas import predict, saved_predictor
from evonas.component import Component
from evonas.evaluation import Candidate, evaluate_many
from evonas.experiment_recipe import ExperimentRecipe
from evonas.measurements import Measurements
from evonas.seeds import generator
from evonas.shipped_predictors import named
from evonas.space import Genome
from evonas.threads import one_thread
from evonas.workers.predicted import BLOCK, Predicted
from evonas.workers.ray_pool import RayPool
from evonas.workers.ray_session import connect

ROWS, WORKERS, BATCHES = 200, 2, (1, 16, 64, 256)
SPACE = Component("trivial:Digits")


def model(predictor: str, folder: Path) -> Path:
    """Fit a predictor to random networks, and save it."""
    space = Digits()
    genomes = drawn(ROWS, seed=1)
    errors = np.array([formula(genome) for genome in genomes])
    problem = predict.problem(Measurements("digits", SPACE, space, genomes, {"valid_error": errors}), "valid_error")
    assessment, fitted = predict.assess(problem, named(predictor))
    path = folder / f"{predictor}.safetensors"
    saved_predictor.save(predict.to_save(problem, assessment, fitted), path)
    return path


def drawn(count: int, seed: int) -> list[Genome]:
    """Return random genomes."""
    rows = generator(seed, "predictions").integers(10, size=(count, 20))
    return [tuple(row) for row in rows.tolist()]


def here(path: Path, count: int) -> dict[int, float]:
    """Return the CPU microseconds that a candidate takes in this process, by the size of a batch."""
    evaluator = Predicted(Digits(), 0, models=[path])
    evaluator.prepare()
    candidates = [Candidate(number, genome, 0) for number, genome in enumerate(drawn(count, seed=2))]
    taken = {}
    for size in BATCHES:
        some = candidates[: count // 16 if size == 1 else count]
        began = time.process_time()
        for start in range(0, len(some), size):
            evaluate_many(evaluator, some[start : start + size])
        taken[size] = (time.process_time() - began) / len(some) * 1e6
    return taken


def parts(path: Path, count: int) -> dict[str, float]:
    """Return the CPU microseconds that the steps of an evaluation in large batches take."""
    evaluator = Predicted(Digits(), 0, models=[path])
    encoding, predictor = saved_predictor.load(path).restored(evaluator.space)
    candidates = [Candidate(number, genome, 0) for number, genome in enumerate(drawn(count, seed=2))]
    genomes = [candidate.genome for candidate in candidates]
    evaluator.prepare()
    began = time.process_time()
    features = encoding(genomes)
    encoded = time.process_time()
    with one_thread():
        for start in range(0, count, BLOCK):
            predictor.predict(features.rows(np.arange(start, min(start + BLOCK, count))))
    predicted = time.process_time()
    evaluator.measure_many(genomes, None)
    measured = time.process_time()
    evaluate_many(evaluator, candidates)
    ended = time.process_time()
    seconds = {
        "features, with static costs": encoded - began,
        "the predictor": predicted - encoded,
        "canonical forms, dictionaries": measured - predicted - (predicted - began),
        "costs, seed and record of an evaluation": ended - measured - (measured - predicted),
    }
    return {step: spent / count * 1e6 for step, spent in seconds.items()}


def at_the_pool(path: Path, count: int) -> tuple[float, dict[str, float]]:
    """Return the rate at a Ray pool's interface, and the CPU microseconds of a prediction, by kind of process."""
    evaluator = Component("evonas.workers.predicted:Predicted", {"models": [str(path)]})
    pool = RayPool(ExperimentRecipe(SPACE, None, evaluator, seed=0), workers=WORKERS)
    waiting = [Candidate(number, genome, 0) for number, genome in enumerate(drawn(count, seed=3))]
    warm = count // 4  # workers have started, and calls have grown
    held = done = 0
    while done < count:
        batch, waiting = waiting[: pool.capacity - held], waiting[pool.capacity - held :]
        pool.submit(batch)
        outcomes = pool.next_outcomes()
        held += len(batch) - len(outcomes)
        done += len(outcomes)
        if done - len(outcomes) < warm <= done:
            began, before, warm = time.perf_counter(), cpu_seconds(), done
    spent, after = time.perf_counter() - began, cpu_seconds()
    pool.close()
    return (count - warm) / spent, {kind: (after[kind] - before[kind]) / (count - warm) * 1e6 for kind in after}


def cpu_seconds() -> dict[str, float]:
    """Return the CPU seconds so far of the driver, the workers, and the rest of Ray."""
    taken = {"driver": time.process_time(), "workers": 0.0, "rest of Ray": 0.0}
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        kind = "workers" if "EvonasWorker" in " ".join(process.cmdline()) else "rest of Ray"
        taken[kind] += times.user + times.system
    return taken


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--quick"]
    count = 8_000 if "--quick" in sys.argv else 40_000
    connect("local", workers=WORKERS)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, predictors of {ROWS} rows")
    for predictor in words or ("ridge", "gp"):
        with tempfile.TemporaryDirectory() as folder:
            path = model(predictor, Path(folder))
            print(f"\n{predictor}: CPU microseconds of a prediction in this process")
            for size, spent in here(path, count // 4).items():
                print(f"  {f'{size} at a time':42}{spent:10.1f}  {1e6 / spent:10,.0f} a second of a core")
            for step, spent in parts(path, count // 4).items():
                print(f"    {step:40}{spent:10.1f}")
            rate, taken = at_the_pool(path, count)
            print(f"  {f'a Ray pool, {WORKERS} workers':42}{sum(taken.values()):10.1f}  {rate:10,.0f} a second")
            for kind, spent in taken.items():
                print(f"    {kind:40}{spent:10.1f}")
            evaluator = {"use": "evonas.workers.predicted:Predicted", "models": [str(path)]}
            for strategy in ("random search", "NSGA-II"):
                searched = timed(Path(folder), count, strategy, evaluator=evaluator)
                print(f"  {f'a whole search, {strategy}':42}{'':10}  {searched.rate:10,.0f} a second", flush=True)


if __name__ == "__main__":
    main()
