"""Which networks an audit trains: the front, a stratified sample of what was evaluated, and random ones beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import floor

import numpy as np

from evonas.evaluation import Evaluation, Fidelity
from evonas.history import History
from evonas.seeds import generator
from evonas.space import Genome


@dataclass(frozen=True)
class Plan:
    """The networks to train: `sample` by the fidelity that they were drawn for; no network is trained twice."""

    front: Sequence[Genome]
    sample: Mapping[Fidelity, Sequence[Genome]]
    random: Sequence[Genome]

    @property
    def of_the_run(self) -> list[Genome]:
        """The networks of the run, each once."""
        drawn = [genome for genomes in self.sample.values() for genome in genomes]
        return list(dict.fromkeys([*self.front, *drawn]))

    @property
    def genomes(self) -> list[Genome]:
        """All networks, each once, in the order in which they are trained."""
        return list(dict.fromkeys([*self.of_the_run, *self.random]))


def by_fidelity(history: History) -> dict[Fidelity, list[Evaluation]]:
    """Return the evaluations of a run, those that can be compared with each other together."""
    found: dict[Fidelity, list[Evaluation]] = {}
    for evaluation in history.evaluations:
        found.setdefault(evaluation.fidelity, []).append(evaluation)
    return found


def sample(history: History, metrics: Mapping[Fidelity, str], budget: int, seed: int) -> dict[Fidelity, list[Genome]]:
    """Draw about `budget` networks of a run, as many of each fidelity, spread over the values of its metric.

    A larger budget draws the same networks and more.
    """
    found = by_fidelity(history)
    drawn: dict[Fidelity, list[Genome]] = {fidelity: [] for fidelity in metrics}
    orders = []
    for fidelity, metric in metrics.items():
        values = np.array([evaluation.metrics[metric] for evaluation in found[fidelity]])
        rng = generator(seed, "audit", fidelity.source, fidelity.budget)
        rows = spread(values, min(budget, len(values)), rng)
        orders.append([(fidelity, found[fidelity][row].candidate.genome) for row in rows])
    chosen = [pick for turn in zip_longest(*orders) for pick in turn if pick is not None]
    for fidelity, genome in chosen[:budget]:
        drawn[fidelity].append(genome)
    return drawn


def spread(values: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Return `count` rows of `values`, shape (rows,): each is as likely as any other, together they are stratified.

    The rows are at the quantiles of a van der Corput sequence with a random shift (Cranley and Patterson 1976,
    "Randomization of number theoretic methods for multiple integration"): of the first 2^k of many rows, one lies in
    each of 2^k strata of equal size, and more rows leave the first as they are. A row that is taken gives way to the
    nearest that is not.
    """
    if count >= len(values):
        return list(range(len(values)))
    order, free, shift = values.argsort(kind="stable"), np.arange(len(values)), rng.random()
    chosen = []
    for number in range(count):
        rank = floor((_van_der_corput(number) + shift) % 1.0 * len(values))
        place = int(np.abs(free - rank).argmin())
        chosen.append(int(order[free[place]]))
        free = np.delete(free, place)
    return chosen


def _van_der_corput(number: int) -> float:
    """Return the number's binary digits behind the point, the lowest first: 0, 1/2, 1/4, 3/4, 1/8, ..."""
    digits = f"{number:b}"[::-1]
    return int(digits, 2) / (1 << len(digits))
