"""A warm start: the networks of another run, the best first, for an initial population to begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evonas import run_folder
from evonas.errors import ConfigError
from evonas.history import History
from evonas.pareto import crowding_distances, ranks
from evonas.space import Genome, SearchSpace


def genomes(path: Path, space: SearchSpace) -> list[Genome]:
    """Return the canonical genomes of all that a run evaluated, the best first.

    Best are those that violate the run's constraints least, of these the ones of the lower rank of non-domination, and
    of a rank those with more room around them. Whatever the run measured, the genes of its space must be those of
    `space`. Raises ConfigError if they are not, or if nothing is evaluated there.
    """
    history = History.read(run_folder.find(path))
    genes = {gene.name: [str(option) for option in gene.options] for gene in space.genes}
    if genes != {name: list(options) for name, options in history.header.genes.items()}:
        raise ConfigError(
            f"'warm_start' names {path}, whose networks have other genes than this space: name a run of the same space"
        )
    evaluations = history.measured
    if not evaluations:
        raise ConfigError(
            f"'warm_start' names {path}, which evaluated nothing at its top fidelity: let it evaluate networks first"
        )
    losses = np.array([history.goals.losses(evaluation.metrics) for evaluation in evaluations])
    violations = np.array([history.goals.violation(evaluation.metrics) for evaluation in evaluations])
    rank, room = np.zeros(len(losses), dtype=int), np.zeros(len(losses))
    for violation in np.unique(violations):
        equals = np.flatnonzero(violations == violation)
        rank[equals] = ranks(losses[equals])
        for front in np.unique(rank[equals]):
            rows = equals[rank[equals] == front]
            room[rows] = crowding_distances(losses[rows])
    order = np.lexsort((-room, rank, violations))
    return list(dict.fromkeys(space.canonical(space.validate(evaluations[row].candidate.genome)) for row in order))
