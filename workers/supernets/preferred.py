"""Training of preferred subnets only: those that a zero-cost proxy finds best among all of similar cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from evonas.errors import ConfigError, nearest, require
from evonas.proxies.scores import read_scores
from evonas.space import Genome, SearchSpace
from evonas.workers.supernets.single_path import SinglePath


class Preferred(SinglePath):
    """One preferred subnet a step, as PreNAS (Wang et al., "PreNAS: Preferred One-Shot Learning", ICML 2023).

    Before the training the subnets that `scores` knows, a run folder of zero-cost evaluations or a table, are put into
    `buckets` of equal size by their `cost`; the `keep` best of each by the `proxy` are preferred. Each step draws a
    bucket and one of its subnets. What is preferred is kept with the training's state, which goes on with it even if
    the scores have changed; they must still be there, but not where the trained supernet is used.

    Deviations: any proxy of the file takes the place of the paper's; buckets are quantiles of the scored subnets, and
    not intervals of parameters; all preferred subnets of a bucket are drawn alike.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        scores: Path,
        proxy: str,
        cost: str = "macs",
        buckets: int = 4,
        keep: int = 10,
    ) -> None:
        super().__init__(space, seed)
        require("buckets", buckets, buckets >= 1, "at least 1")
        require("keep", keep, keep >= 1, "at least 1")
        if cost not in (known := space.costs(space.smallest())):
            raise ConfigError(f"'cost: {cost}' is no static cost of the space{nearest(cost, known)}")
        self._scores, self._proxy, self._cost, self._count, self._keep = scores, proxy, cost, buckets, keep

    @cached_property
    def buckets(self) -> list[list[Genome]]:
        """The preferred subnets of each bucket, the best first; of the scores, unless they have been restored."""
        scored = read_scores(self._scores, self.space, [self._proxy])
        column = scored.columns[self._proxy]
        rows = np.flatnonzero(np.isfinite(column))
        if len(rows) < self._count:
            raise ConfigError(
                f"{self._scores} has a finite '{self._proxy}' of {len(rows)} networks: too few for {self._count} "
                "buckets"
            )
        costs = [self.space.costs(scored.genomes[row])[self._cost] for row in rows.tolist()]
        by_cost = rows[np.argsort(costs, kind="stable")]
        return [
            [scored.genomes[row] for row in bucket[np.argsort(-column[bucket], kind="stable")][: self._keep]]
            for bucket in np.array_split(by_cost, self._count)
        ]

    def check(self, epochs: int) -> None:
        """Raise an EvonasError unless the scores can be read and are enough."""
        _ = self.buckets

    def draw(self, rng: np.random.Generator) -> Genome:
        """Return a preferred subnet."""
        bucket = self.buckets[int(rng.integers(len(self.buckets)))]
        return bucket[int(rng.integers(len(bucket)))]

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the preferred subnets, those of a bucket as an array."""
        return {f"bucket_{number}": np.array(bucket) for number, bucket in enumerate(self.buckets)}

    def restore(self, supernet: nn.Module, state: Mapping[str, np.ndarray]) -> nn.Module:
        """Prefer what was preferred when the training began."""
        self.buckets = [
            [tuple(genome) for genome in state[f"bucket_{number}"].tolist()] for number in range(len(state))
        ]
        return supernet
