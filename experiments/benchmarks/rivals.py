"""Evaluations a second of others on the trivial problem, each as its documentation says, on a Ray that runs already."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from trivial import GENES, OPTIONS, formula

SECONDS = 20.0
"""Optuna is given so long, or the evaluations that it should make if those take less."""

Objectives = tuple[float, float]


def objectives(genome: tuple[int, ...]) -> Objectives:
    """Return what every contender evaluates: error and params."""
    return formula(genome), float(sum(genome))


def raw_ray(batch: int, evaluations: int) -> float:
    """Two actors, each with one call of `batch` candidates at a time: no strategy, nothing kept."""
    import ray

    class Actor:
        def evaluate(self, genomes: list[tuple[int, ...]]) -> list[Objectives]:
            return [objectives(genome) for genome in genomes]

    actors = [ray.remote(Actor).options(num_cpus=1).remote() for _ in range(2)]
    rng = np.random.default_rng(0)
    genomes = [tuple(row) for row in rng.integers(OPTIONS, size=(evaluations, GENES)).tolist()]
    ray.get([actor.evaluate.remote(genomes[:1]) for actor in actors])
    began = time.perf_counter()
    batches = [genomes[start : start + batch] for start in range(0, evaluations, batch)]
    flying = {actors[n].evaluate.remote(batches.pop()): actors[n] for n in range(2)}
    while flying:
        ready, _ = ray.wait(list(flying))
        actor = flying.pop(ready[0])
        ray.get(ready[0])
        if batches:
            flying[actor.evaluate.remote(batches.pop())] = actor
    seconds = time.perf_counter() - began
    for actor in actors:
        ray.kill(actor)
    return evaluations / seconds


def pymoo_on_ray(evaluations: int) -> float:
    """pymoo's NSGA-II with its Ray runner: a Ray task for every evaluation; nothing is stored."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize
    from pymoo.parallelization.ray import RayParallelization

    class Digits(ElementwiseProblem):
        def __init__(self, **more: Any) -> None:
            super().__init__(n_var=GENES, n_obj=2, xl=0, xu=OPTIONS - 1, vtype=int, **more)

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: object, **more: object) -> None:
            out["F"] = objectives(tuple(x.tolist()))

    problem = Digits(elementwise_runner=RayParallelization())
    algorithm = NSGA2(pop_size=100, sampling=IntegerRandomSampling(), repair=RoundingRepair())
    minimize(problem, algorithm, ("n_eval", 100), seed=1)  # Ray's workers start
    began = time.perf_counter()
    minimize(problem, algorithm, ("n_eval", evaluations), seed=1)
    return evaluations / (time.perf_counter() - began)


def optuna_with(storage: Callable[[Path], Any], folder: Path, evaluations: int) -> float:
    """Optuna's NSGA-II, evaluated in the driver, one after the other."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> Objectives:
        return objectives(tuple(trial.suggest_int(f"gene{n}", 0, OPTIONS - 1) for n in range(GENES)))

    sampler = optuna.samplers.NSGAIISampler(population_size=100, seed=0)
    study = optuna.create_study(storage=storage(folder), sampler=sampler, directions=["minimize", "minimize"])
    began = time.perf_counter()
    study.optimize(objective, n_trials=evaluations, timeout=SECONDS)
    return len(study.get_trials(deepcopy=False)) / (time.perf_counter() - began)


def optuna_sqlite(folder: Path) -> Any:
    """The storage of Optuna's documentation for one machine: SQLite, a transaction for every value."""
    return f"sqlite:///{folder / 'optuna.db'}"


def optuna_journal(folder: Path) -> Any:
    """Optuna's append-only file."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(folder / "optuna.log")))


def ray_tune(folder: Path, evaluations: int) -> float:
    """Ray Tune's random search, two trials at once, its checkpoints and loggers as they are by default."""
    for variable in ("RAY_AIR_NEW_OUTPUT", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"):
        os.environ.setdefault(variable, "0")
    from ray import tune

    logging.getLogger("ray").setLevel(logging.ERROR)

    def trainable(chosen: Mapping[str, int]) -> dict[str, float]:
        error, params = objectives(tuple(chosen[f"gene{n}"] for n in range(GENES)))
        return {"valid_error": error, "params": params}

    tuner = tune.Tuner(
        trainable,
        param_space={f"gene{n}": tune.randint(0, OPTIONS) for n in range(GENES)},
        tune_config=tune.TuneConfig(num_samples=evaluations, max_concurrent_trials=2, metric="valid_error", mode="min"),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    began = time.perf_counter()
    tuner.fit()
    return evaluations / (time.perf_counter() - began)


def rivals(folder: Path, quick: bool) -> dict[str, tuple[int, Callable[[int], float]]]:
    """Return the contenders by name: how many evaluations give a stable number, and what measures the rate of those."""
    scale = 10 if quick else 1
    contenders: dict[str, tuple[int, Callable[[int], float]]] = {
        "raw Ray, batches of 16": (40_000, lambda n: raw_ray(16, n)),
        "raw Ray, singly": (8_000, lambda n: raw_ray(1, n)),
        "Optuna NSGA-II, in memory": (4_000, lambda n: optuna_with(lambda _: None, folder, n)),
        "pymoo NSGA-II, Ray runner": (4_000, pymoo_on_ray),
        "Optuna NSGA-II, journal file": (1_500, lambda n: optuna_with(optuna_journal, folder, n)),
        "Optuna NSGA-II, SQLite": (300, lambda n: optuna_with(optuna_sqlite, folder, n)),
        "Ray Tune, random search": (20, lambda n: ray_tune(folder, n)),
    }
    return {name: (max(10, count // scale), rate) for name, (count, rate) in contenders.items()}
