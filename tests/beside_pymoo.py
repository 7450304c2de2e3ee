"""A search beside pymoo's own algorithm, which is given the same offspring and the same chances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.early_exit import EarlyExit
from evonas.evaluation import Candidate, Evaluation
from evonas.goals import Constraint, Goals, Objective
from evonas.seeds import generator
from evonas.strategies.pymoo_genetic import GeneticAlgorithm

FREE = EarlyExit(ToySpace(length=8, redundant=False), ())


def goals_of(objectives: int, *, constrained: bool) -> Goals:
    """Return that many objectives of the toy, and a constraint that most networks break."""
    more = tuple(Objective(f"cost_{number}", False, 1.0) for number in range(2, objectives))
    return Goals((*toy_goals().objectives, *more), (Constraint("params", at_most=35.0),) if constrained else ())


def evaluated(candidate: Candidate) -> Evaluation:
    """Return the toy's evaluation with costs of its own for each candidate; some tie."""
    evaluation = toy_evaluation(candidate)
    costs = generator(0, list(candidate.genome)).random(3).round(1)
    more = {f"cost_{number}": float(cost) for number, cost in enumerate(costs, start=2)}
    return replace(evaluation, metrics={**evaluation.metrics, **more})


def assert_survivors_are_those_of(algorithm: Any, strategy: GeneticAlgorithm, generations: int = 6) -> None:
    """Assert that pymoo's algorithm keeps whom the strategy keeps, generation by generation."""
    goals = strategy.goals
    problem = Problem(n_var=8, n_obj=len(goals.objectives), n_ieq_constr=1, xl=0, xu=2)
    algorithm.setup(problem, verbose=False)
    left = 0
    for generation in range(generations):
        evaluations = [evaluated(candidate) for candidate in strategy.ask(1)]
        for evaluation in reversed(evaluations):
            strategy.tell(evaluation)
        offspring = Population.new(
            "F", np.array([goals.losses(e.metrics) for e in evaluations]),
            "G", np.array([[goals.violation(e.metrics)] for e in evaluations]),
            "id", np.array([e.candidate.id for e in evaluations]),
        )  # fmt: skip
        algorithm.random_state = generator(strategy.seed, "survive", generation)
        if generation == 0:
            algorithm._initialize_advance(infills=offspring)
        else:
            left += len(algorithm.pop) + len(offspring) - strategy.population_size
            algorithm._advance(infills=offspring)
        assert strategy._population.ids.tolist() == algorithm.pop.get("id").tolist(), f"generation {generation}"
    assert left > 3 * strategy.population_size
