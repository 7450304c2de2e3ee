"""The sandwich rule: each step trains the largest subnet, the smallest and random ones between them."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from evonas.errors import require
from evonas.space import SearchSpace
from evonas.workers.supernets.method import Batch, Learner, Method, subnet_of


class Sandwich(Method):
    """The largest subnet learns from labels, the smallest and random ones from its soft labels; gradients add up.

    The rule is Yu and Huang's ("Universally Slimmable Networks", ICCV 2019), as BigNAS uses it (Yu et al., ECCV 2020):
    in-place distillation, at temperature 1, in the same step and on the same inputs. BigNAS decays weights for the
    largest subnet alone; here the shared weights decay once a step, as the recipe says.
    """

    def __init__(self, space: SearchSpace, seed: int, *, random_subnets: int = 2) -> None:
        super().__init__(space, seed)
        require("random_subnets", random_subnets, random_subnets >= 0, "0 or more")
        self.random_subnets = random_subnets
        self.largest, self.smallest = (space.canonical(genome) for genome in (space.largest(), space.smallest()))

    def step(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Tensor:
        """Train all subnets of the step; return the largest one's loss."""
        between = [self.space.canonical(self.space.sample(rng)) for _ in range(self.random_subnets)]
        logits = learner.logits(subnet_of(supernet, self.largest), batch.inputs)
        loss = batch.mean(learner.label_losses(logits, batch.labels))
        learner.backward(loss)
        soft_labels = logits.detach().softmax(dim=1)
        for genome in (self.smallest, *between):
            student = learner.logits(subnet_of(supernet, genome), batch.inputs)
            learner.backward(batch.mean(soft_losses(student, soft_labels)))
        return loss.detach()


def soft_losses(logits: Tensor, soft_labels: Tensor) -> Tensor:
    """Return the cross-entropy of each example with soft labels, both of shape (examples, classes)."""
    return functional.cross_entropy(logits, soft_labels, reduction="none")
