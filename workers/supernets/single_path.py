"""Uniform single-path training: each step trains one subnet, drawn anew."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from evonas.space import Genome
from evonas.workers.supernets.method import Batch, Learner, Method, subnet_of


class SinglePath(Method):
    """One subnet a step, uniform over the options of every gene (Guo et al., "Single Path One-Shot", ECCV 2020).

    As in the paper the tensors that a step does not use rest: they neither decay nor move by momentum. Where a subnet
    uses a part of a tensor, as in `mobile` and `transformer`, the gradient of the other part is 0: that part decays,
    and moves by momentum. Not as in the paper, whose search has a budget of FLOPs, subnets of any cost are drawn.
    """

    def step(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Tensor:
        """Train one subnet on the labels; return its loss."""
        subnet = subnet_of(supernet, self.draw(rng))
        loss = batch.mean(learner.label_losses(learner.logits(subnet, batch.inputs), batch.labels))
        learner.backward(loss)
        return loss.detach()

    def draw(self, rng: np.random.Generator) -> Genome:
        """Return the subnet to train."""
        return self.space.canonical(self.space.sample(rng))
