"""Searches of a table by other libraries, each as its documentation has it; they end when `evaluate` raises `Spent`.

They see raw genomes, and pay for a genome each time that they propose it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evonas.space import Gene, Genome

Evaluate = Callable[[Genome], tuple[float, ...]]
"""Returns the losses of a genome, or raises `Spent`."""

Search = Callable[[Sequence[Gene], int, Evaluate], None]
"""Searches genes with a seed until all evaluations are spent."""

POPULATION = 20


class Spent(Exception):
    """Raised when a search asks for one evaluation more than it has."""


def pymoo_nsga2(genes: Sequence[Gene], seed: int, evaluate: Evaluate) -> None:
    """pymoo's NSGA-II with the operators that its documentation gives for integers."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    class Table(ElementwiseProblem):
        def __init__(self) -> None:
            upper = np.array([len(gene.options) - 1 for gene in genes])
            super().__init__(n_var=len(genes), n_obj=2, xl=0, xu=upper, vtype=int)

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: object, **more: object) -> None:
            out["F"] = evaluate(tuple(x.tolist()))

    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Table(), algorithm, ("n_gen", 10**6), seed=seed)


def deap_nsga2(genes: Sequence[Gene], seed: int, evaluate: Evaluate) -> None:
    """DEAP's NSGA-II example, with uniform crossover and redrawn integers; DEAP draws from the global generator."""
    from deap import base, tools

    class Fitness(base.Fitness):
        weights = (-1.0, -1.0)

    class Individual(list[int]):
        def __init__(self, genome: Sequence[int]) -> None:
            super().__init__(genome)
            self.fitness = Fitness()

    def evaluated(individuals: list[Any]) -> list[Any]:
        for individual in individuals:
            individual.fitness.values = evaluate(tuple(individual))
        return individuals

    random.seed(seed)
    upper = [len(gene.options) - 1 for gene in genes]
    drawn = [Individual([random.randint(0, bound) for bound in upper]) for _ in range(POPULATION)]
    population = tools.selNSGA2(evaluated(drawn), POPULATION)  # assigns the crowding distances
    while True:
        offspring = [Individual(parent) for parent in tools.selTournamentDCD(population, POPULATION)]
        for first, second in zip(offspring[::2], offspring[1::2], strict=True):
            if random.random() <= 0.9:
                tools.cxUniform(first, second, indpb=0.5)
            tools.mutUniformInt(first, low=0, up=upper, indpb=1 / len(genes))
            tools.mutUniformInt(second, low=0, up=upper, indpb=1 / len(genes))
        population = tools.selNSGA2(population + evaluated(offspring), POPULATION)


def optuna_nsga2(genes: Sequence[Gene], seed: int, evaluate: Evaluate) -> None:
    """Optuna's NSGA-II over categories."""
    import optuna

    _optuna(optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed), genes, evaluate)


def optuna_tpe(genes: Sequence[Gene], seed: int, evaluate: Evaluate) -> None:
    """Optuna's tree-structured Parzen estimator over categories."""
    import optuna

    _optuna(optuna.samplers.TPESampler(seed=seed), genes, evaluate)


RIVALS: dict[str, Search] = {
    "pymoo NSGA-II": pymoo_nsga2,
    "DEAP NSGA-II": deap_nsga2,
    "Optuna NSGA-II": optuna_nsga2,
    "Optuna TPE": optuna_tpe,
}


def _optuna(sampler: Any, genes: Sequence[Gene], evaluate: Evaluate) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler, directions=["minimize", "minimize"])
    while True:
        trial = study.ask()
        genome = tuple(trial.suggest_categorical(gene.name, range(len(gene.options))) for gene in genes)
        study.tell(trial, evaluate(genome))
