"""Attentive sampling: of several subnets of like cost, the best or the worst is trained (Wang et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from evonas.errors import require
from evonas.seeds import generator
from evonas.space import Genome, SearchSpace
from evonas.workers.examples import Examples
from evonas.workers.supernets.method import Batch, Learner, Progress, subnet_of
from evonas.workers.supernets.sandwich import Sandwich

_SAMPLED = 1000  # networks whose costs are counted in each epoch


class AttentiveNAS(Sandwich):
    """The sandwich rule, its random subnets chosen: the best or worst of `candidates` that cost about the same.

    Wang et al., "AttentiveNAS: Improving Neural Architecture Search via Attentive Sampling", CVPR 2021. A target cost
    is drawn as the space has it, then `candidates` networks of this cost, of which the one is trained that promises
    best (`pick: best`, to push the front) or worst (`pick: worst`, to lift what lags; the paper found it better).

    How well a network does is its loss on the step's first `judged_examples`, the paper's first estimator; it prefers a
    predictor of accuracy that is fitted to a supernet trained before, because that is cheaper: here each chosen subnet
    costs `candidates` forward passes of so many examples. Deviations: of 1,000 networks, sampled anew in each epoch and
    sorted by exact MACs, each of `buckets` equal parts is one cost, and each is equally probable, where the paper cuts
    every 25 million operations and draws by frequency.
    """

    divisible = False

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        random_subnets: int = 2,
        candidates: int = 4,
        pick: Literal["best", "worst"] = "worst",
        buckets: int = 10,
        judged_examples: int = 32,
    ) -> None:
        super().__init__(space, seed, random_subnets=random_subnets)
        require("candidates", candidates, candidates >= 2, "2 or more")
        require("pick", pick, pick in ("best", "worst"), "'best' or 'worst'")
        require("buckets", buckets, 1 <= buckets <= _SAMPLED // candidates, f"1 to {_SAMPLED // candidates}")
        require("judged_examples", judged_examples, judged_examples >= 2, "2 or more (batch norm needs two examples)")
        self.candidates = candidates
        self.pick = pick
        self.buckets = buckets
        self.judged_examples = judged_examples
        self.buckets_of_networks: list[list[Genome]] = []

    def begin_epoch(self, supernet: nn.Module, progress: Progress, examples: Examples, learner: Learner) -> nn.Module:
        """Sample the networks of the epoch."""
        rng = generator(self.seed, "attentive", progress.epoch)
        sampled = [self.space.canonical(self.space.sample(rng)) for _ in range(_SAMPLED)]
        order = np.argsort([self.space.costs(genome)["macs"] for genome in sampled], kind="stable")
        self.buckets_of_networks = [[sampled[place] for place in part] for part in np.array_split(order, self.buckets)]
        return supernet

    def students(
        self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator
    ) -> Sequence[Genome]:
        """Return the smallest network and those that were picked."""
        return [self.smallest, *(self._picked(supernet, batch, learner, rng) for _ in range(self.random_subnets))]

    def _picked(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Genome:
        bucket = self.buckets_of_networks[rng.integers(self.buckets)]
        candidates: list[Genome] = [bucket[place] for place in rng.choice(len(bucket), self.candidates, replace=False)]
        inputs, labels = batch.inputs[: self.judged_examples], batch.labels[: self.judged_examples]
        with torch.no_grad():
            losses = [
                learner.label_losses(learner.logits(subnet_of(supernet, genome), inputs), labels).mean()
                for genome in candidates
            ]
        measured = torch.stack(losses)
        return candidates[int(measured.argmin() if self.pick == "best" else measured.argmax())]
