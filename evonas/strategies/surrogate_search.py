"""The search on predictions, where networks cannot be listed: NSGA-II that starts from the archive's front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evonas.space import Genome, SearchSpace
from evonas.strategies.pymoo_mating import Mating
from evonas.strategies.pymoo_survival import Population
from evonas.strategies.surrogate_model import LossModel, PredictedLosses

POPULATION = 100
"""Of NSGA-II on predictions, and children of a generation."""

BRED = 2
"""Children are bred for so many times the predictions at most: where few of them are new, the search has converged."""

Fresh = Callable[[Genome], Genome | None]
"""Returns the canonical form of a genome if it may be proposed."""


def evolved(
    space: SearchSpace,
    model: LossModel,
    start: Sequence[Genome],
    fresh: Fresh,
    *,
    predictions: int,
    optimism: float,
    rng: np.random.Generator,
) -> tuple[list[Genome], PredictedLosses]:
    """Return the networks that NSGA-II on predictions met, and what is predicted of them.

    It starts from the networks `start`, which it breeds from and does not return, and from uniform ones. It ends after
    about so many `predictions`, when a generation has no fresh child, or after `BRED` times as many children, fresh or
    not. What it minimises are the expected losses less `optimism` times their deviations.
    """
    mating = Mating(space, crossover="uniform", crossover_probability=0.9, mutation=None)
    met: dict[Genome, None] = {}
    parts: list[PredictedLosses] = []

    def novel(genomes: Sequence[Genome]) -> list[Genome]:
        found = [near for genome in genomes if (near := fresh(genome)) is not None and near not in met]
        return list(dict.fromkeys(found))

    def entered(genomes: Sequence[Genome]) -> Population:
        predicted = model.predict(model.networks(genomes))
        parts.append(predicted)
        losses = predicted.losses - optimism * predicted.deviations
        unknown = np.full(len(genomes), np.nan)
        return Population(np.arange(len(genomes)), np.array(genomes), losses, predicted.violations, unknown)

    founders = list(dict.fromkeys(start))
    uniform = novel([space.sample(rng) for _ in range(POPULATION)])[: max(POPULATION - len(founders), POPULATION // 2)]
    met.update(dict.fromkeys(uniform))
    if not met:
        return [], PredictedLosses(*(np.empty((0, len(model.goals.objectives))),) * 2, np.empty(0))
    population = entered([*founders, *uniform])
    parts[0] = parts[0].rows(np.arange(len(founders), len(population)))
    for _ in range(BRED * predictions // POPULATION):
        if len(met) >= predictions or len(population) < 2:
            break
        population = population.survivors(POPULATION, rng)
        children = novel([tuple(child) for child in mating.children(population, POPULATION // 2, rng)[0]])
        if not children:
            break
        met.update(dict.fromkeys(children))
        population = population.merged(entered(children))
    return list(met), PredictedLosses.joined(parts)
