"""DEAP's (mu + lambda) evolution with NSGA-II selection, on its variation, operators and penalty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from deap import algorithms, base, tools
from deap.tools import crossover as deap_crossover
from deap.tools import mutation as deap_mutation

from evonas.errors import ConfigError, require
from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.seeds import drawing_from
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.generational import Generational, Offspring


class MuPlusLambda(Generational):
    """`eaMuPlusLambda` of DEAP (Fortin et al. 2012): a child is crossed or mutated, and `selNSGA2` chooses who stays.

    Options: `population` (mu) and `offspring` (lambda, default mu); `crossover` and the probability that a child comes
    of it; the probability that a child is a mutant instead (the defaults are those of DEAP's own example), and that of
    a mutant's gene to be redrawn (default: one gene a genome), uniformly over all its options. What is left to 1 is the
    probability of a copy, which here means nothing: copies are known.

    A constraint acts through DEAP's `DeltaPenalty`: in every objective an infeasible candidate counts as worse than the
    worst of parents and offspring, by its violation; so feasible ones dominate it, and who violates less does.

    Deviations: children that repeat a network or that a gate turns away are bred again, and after `ATTEMPTS` rounds
    without a new network uniform genomes fill the generation; failed candidates take no part; the random numbers of
    DEAP's modules come from the ask's own generator and not from Python's global one, which other threads draw from.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        population: int = 40,
        offspring: int | None = None,
        crossover: Literal["uniform", "one_point", "two_point"] = "uniform",
        crossover_probability: float = 0.7,
        mutation_probability: float = 0.2,
        gene_probability: float | None = None,
    ) -> None:
        super().__init__(space, goals, admit, seed, population=population)
        self.offspring_size = population if offspring is None else offspring
        self.gene_probability = 1 / len(space.genes) if gene_probability is None else gene_probability
        require("offspring", self.offspring_size, self.offspring_size >= 1, "at least 1")
        self._probabilities = {"cxpb": crossover_probability, "mutpb": mutation_probability}
        probabilities = {
            "crossover_probability": crossover_probability,
            "mutation_probability": mutation_probability,
            "gene_probability": self.gene_probability,
        }
        for name, value in probabilities.items():
            require(name, value, 0 <= value <= 1, "a probability, between 0 and 1")
        both = crossover_probability + mutation_probability
        require(
            "crossover_probability + mutation_probability", both, both <= 1, "at most 1: a child is one or the other"
        )
        if crossover != "uniform" and len(space.genes) < 2:
            raise ConfigError(f"crossover: {crossover} needs 2 genes or more, and the space has {len(space.genes)}")
        self._toolbox = base.Toolbox()
        self._toolbox.register("clone", _Individual.child)
        self._toolbox.register("mate", partial(_mated, _crossover(crossover)))
        last = [len(gene.options) - 1 for gene in space.genes]
        self._toolbox.register("mutate", tools.mutUniformInt, low=0, up=last, indpb=self.gene_probability)
        self._fitness = type("Fitness", (base.Fitness,), {"weights": (-1.0,) * len(goals.objectives)})
        self._population: list[_Individual] = []

    def breed(self, rng: np.random.Generator) -> Offspring:
        """Return children of parents that are drawn uniformly; uniform genomes take the place of missing ones."""

        def children(count: int) -> Iterator[tuple[Genome, Sequence[int]]]:
            with drawing_from(rng, (algorithms, deap_crossover, deap_mutation)):
                varied = algorithms.varOr(self._population, self._toolbox, count, **self._probabilities)
            return ((tuple(child), child.parents) for child in varied)

        bred = self.fresh_children(self.offspring_size, children) if len(self._population) >= 2 else []
        return self.filled(rng, self.offspring_size, bred)

    def survive(self, evaluated: Sequence[Evaluation], rng: np.random.Generator) -> None:
        """Keep the best `population` of parents and offspring."""
        rivals = [*self._population, *(self._individual(evaluation) for evaluation in evaluated)]
        worst = np.max([rival.losses for rival in rivals], axis=0)
        scale = np.maximum(1.0, np.abs(worst))  # so that a small violation is not lost beside a large loss
        penalised = tools.DeltaPenalty(
            lambda rival: rival.violation <= 0,
            delta=worst.tolist(),
            distance=lambda rival: (rival.violation * scale).tolist(),
        )(lambda rival: rival.losses)
        for rival in rivals:
            rival.fitness.values = penalised(rival)
        sorting = "log" if len(worst) > 1 else "standard"  # the fast one needs two objectives
        self._population = tools.selNSGA2(rivals, self.population_size, nd=sorting)

    def _individual(self, evaluation: Evaluation) -> _Individual:
        individual = _Individual(evaluation.candidate.genome, self._fitness())
        individual.id = evaluation.candidate.id
        individual.losses = tuple(self.goals.losses(evaluation.metrics).tolist())
        individual.violation = self.goals.violation(evaluation.metrics)
        return individual


class _Individual(list[int]):
    """What DEAP works on: a genome that can be changed, with its fitness; of one that is evaluated also its numbers."""

    id: int
    losses: tuple[float, ...]
    violation: float

    def __init__(self, genome: Sequence[int], fitness: Any, parents: tuple[int, ...] = ()) -> None:
        super().__init__(genome)
        self.fitness = fitness
        self.parents = parents

    def child(self) -> _Individual:
        """Return a copy that knows whose it is."""
        return _Individual(self, type(self.fitness)(), (self.id,))


def _mated(operator: Any, first: _Individual, second: _Individual) -> tuple[_Individual, _Individual]:
    first.parents = second.parents = first.parents + second.parents
    operator(first, second)
    return first, second


def _crossover(kind: str) -> Any:
    operators = {"one_point": tools.cxOnePoint, "two_point": tools.cxTwoPoint}
    return operators.get(kind, partial(tools.cxUniform, indpb=0.5))
