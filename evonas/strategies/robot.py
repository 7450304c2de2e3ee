"""RoBoT: a few evaluations find out how to weigh zero-cost proxies, and the rest follow the best weighting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from evonas.errors import ConfigError, require
from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.pareto import ranks
from evonas.proxies.scores import fingerprint, read_scores
from evonas.proxies.weightings import Weightings, ranked
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.strategies.base import Admit
from evonas.strategies.generational import Generational, Offspring
from evonas.threads import one_thread

MOST_OBSERVED = 300
"""Weightings that the Gaussian process learns from, about."""

NOISE = 1e-2
"""Variance of the noise that it assumes, where what it learns has a variance of 1."""


class RoBoT(Generational):
    """RoBoT (He et al., "Robustifying and Boosting Training-Free NAS", ICLR 2024) among networks that have scores.

    Options: `scores`, a run folder of an experiment with zero-cost proxies or a table, and the `proxies` to take of it;
    `explore`, how many evaluations find out how to weigh them; `weightings` to choose from.

    A weighting, weights of proxies between -1 and 1, stands for the network that it ranks first, and its value is what
    that network is found to be worth. At first Bayesian optimisation (a Gaussian process, expected improvement) chooses
    weightings whose first network is not known. Then the search follows the best weighting down its ranking. Networks
    that violate a constraint on static costs are left out. The search ends where all that have scores are evaluated.

    With several objectives a weighting ranks networks by a weighted sum of their ranks in each: the exact rank by a
    static cost, and the rank by proxies, with weights of its own, by what is measured. The value of a network is its
    non-domination rank among first networks, which with one objective is its place, and the search follows the best
    weightings of the whole front in turn.

    Deviations: `explore` counts evaluations, where the paper's number of rounds counts weightings whose first network
    is known too, which cost nothing and are all learnt from. Weightings are drawn once, with each proxy alone among
    them, and not optimised over a continuum. Proxies count by the normal scores of their ranks, not scaled to [0, 1],
    where one score that is far off presses the others together. `population` networks are evaluated side by side, each
    chosen as if those before were as good as expected. Of weightings with the same first network the one is followed
    that agrees best (Kendall's tau) with all that is evaluated.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Goals,
        admit: Admit,
        seed: int,
        *,
        scores: Path,
        proxies: Sequence[str],
        population: int = 5,
        explore: int = 20,
        weightings: int = 1000,
    ) -> None:
        super().__init__(space, goals, admit, seed, population=population)
        require("explore", explore, explore >= 0, "at least 0")
        require("weightings", weightings, weightings >= len(proxies), "at least one for each proxy")
        self.file = Path(scores)
        self.explore = explore
        self.count = weightings
        counted = space.costs(space.smallest())
        self._exact = [o for o in goals.objectives if o.metric in counted]
        self._estimated = [o for o in goals.objectives if o.metric not in counted]
        if not self._estimated:
            raise ConfigError("all objectives are static costs, and proxies estimate none: name one that is measured")
        self._bounds = [c for c in goals.constraints if c.metric in counted]
        self._scores = read_scores(self.file, space, proxies)
        self._evaluations: dict[Genome, Evaluation] = {}

    def fingerprint(self) -> str:
        """Return a hash of the scores."""
        return fingerprint(self.file)

    def begin(self, rng: np.random.Generator) -> Offspring:
        """Return the first networks of the first weightings, each proxy alone."""
        return self._bred(initial=True)

    def breed(self, rng: np.random.Generator) -> Offspring:
        """Return networks that tell most about weightings, or come next in the best ones."""
        return self._bred(initial=False)

    def survive(self, evaluated: Sequence[Evaluation], rng: np.random.Generator) -> None:
        """Keep all evaluations."""
        self._evaluations.update((evaluation.candidate.genome, evaluation) for evaluation in evaluated)

    def _bred(self, *, initial: bool) -> Offspring:
        bred: dict[Genome, tuple[int, ...]] = {}
        if not self._genomes:
            return []
        with one_thread(of="blas"):
            for row in chain(self._telling() if self._next_id < self.explore else (), self._next_best()):
                genome = self.fresh(self._genomes[row], bred, initial=initial)
                if genome is not None:
                    bred[genome] = ()
                if len(bred) == self.population_size:
                    break
        return list(bred.items())

    def _telling(self) -> Iterator[int]:
        """Yield first networks that are not known, those that promise most first."""
        places = self._places()
        unknown = np.flatnonzero([row not in places for row in self._firsts.tolist()])
        if not places:
            yield from dict.fromkeys(self._firsts.tolist())
            return
        most = -(-MOST_OBSERVED // len(places))
        observed = np.concatenate([np.flatnonzero(self._firsts == row)[:most] for row in places])
        vectors, values = self._weightings.vectors, np.array([-places[self._firsts[number]] for number in observed])
        while len(unknown):
            expected, promise = _improvement(vectors[observed], values, vectors[unknown])
            best = int(promise.argmax())
            yield int(self._firsts[unknown[best]])
            observed, values = np.append(observed, unknown[best]), np.append(values, expected[best])
            unknown = unknown[self._firsts[unknown] != self._firsts[unknown[best]]]

    def _next_best(self) -> Iterator[int]:
        """Yield networks as the best weightings rank them, of each the first, of each the second and so on."""
        front = [row for row, place in self._places().items() if place == 0]
        orders = [self._weightings.order(self._agreeing(row)) for row in front] or [self._weightings.order(0)]
        for rows in zip(*orders, strict=True):
            yield from (int(row) for row in rows)

    def _agreeing(self, first: int) -> int:
        """Return the weighting with this first network that agrees best with all evaluations."""
        from scipy.stats import kendalltau

        rows = [row for row, genome in enumerate(self._genomes) if genome in self._evaluations]
        metrics = [self._evaluations[self._genomes[row]].metrics for row in rows]
        known = self._weightings.rows(np.array(rows))
        found = np.array([[o.loss(m[o.metric]) for o in (*self._exact, *self._estimated)] for m in metrics])
        merits = -ranked(found)
        numbers: list[int] = np.flatnonzero(self._firsts == first).tolist()
        taus = [
            kendalltau(known.merits(number), merits @ known.shares[number]).statistic if len(rows) > 1 else 0.0
            for number in numbers
        ]
        return numbers[int(np.nan_to_num(taus, nan=-1.0).argmax())]

    def _places(self) -> dict[int, int]:
        """Return the non-domination rank of each first network that is known, the last for those that failed.

        Those that violate a constraint come after all that do not, the least violating first.
        """
        rows = [row for row in dict.fromkeys(self._firsts.tolist()) if self._genomes[row] in self._seen]
        found = {row: self._evaluations[self._genomes[row]] for row in rows if self._genomes[row] in self._evaluations}
        violations = {row: self.goals.violation(evaluation.metrics) for row, evaluation in found.items()}
        feasible = [row for row in found if violations[row] == 0.0]
        levels = ranks(np.array([self.goals.losses(found[row].metrics) for row in feasible])).tolist()
        places = dict(zip(feasible, levels, strict=True))
        for row in sorted((row for row in found if violations[row] > 0.0), key=lambda row: violations[row]):
            places[row] = 1 + max(places.values(), default=-1)
        last = 1 + max(places.values(), default=0)
        return {row: places.get(row, last) for row in rows}

    @cached_property
    def _rows(self) -> list[int]:
        """The networks that may be proposed, among those that have scores."""
        return [
            row
            for row, genome in enumerate(self._scores.genomes)
            if self.admit(genome, counted=False) and self._within_bounds(genome)
        ]

    def _within_bounds(self, genome: Genome) -> bool:
        costs = self.space.costs(genome) if self._bounds else {}
        return all(constraint.violation(costs[constraint.metric]) == 0.0 for constraint in self._bounds)

    @cached_property
    def _genomes(self) -> list[Genome]:
        return [self._scores.genomes[row] for row in self._rows]

    @cached_property
    def _weightings(self) -> Weightings:
        costs = [self.space.costs(genome) for genome in self._genomes]
        losses = [[o.loss(cost[o.metric]) for o in self._exact] for cost in costs]
        exact = ranked(np.array(losses).reshape(len(self._genomes), -1))
        proxies, rng = self._scores.normal()[self._rows], generator(self.seed, "weightings")
        return Weightings.drawn(proxies, exact, len(self._estimated), self.count, rng)

    @cached_property
    def _firsts(self) -> np.ndarray:
        return self._weightings.firsts()


def _improvement(known: np.ndarray, values: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a Gaussian process expects of the `asked` rows, and by how much they may improve on the best."""
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    process = GaussianProcessRegressor(Matern(nu=2.5), alpha=NOISE, optimizer=None, normalize_y=True)
    expected, deviation = process.fit(known, values).predict(asked, return_std=True)
    above = expected - values.max()
    ratio = above / np.maximum(deviation, 1e-12)
    return expected, above * norm.cdf(ratio) + deviation * norm.pdf(ratio)
