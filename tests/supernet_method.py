"""What tests of supernet methods need: batches of digits, a learner, gradients by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.learner import RecipeLearner
from evonas.workers.supernets.method import Batch

DATA = digits(train_size=64)
EXAMPLES = Examples.of(DATA, DATA.train, torch.device("cpu"))
RECIPE = Recipe(epochs=1, batch_size=16, learning_rate=0.1)


def learner() -> RecipeLearner:
    """Return a learner without smoothing, in float32."""
    return RecipeLearner(RECIPE, EXAMPLES)


def batch_of(size: int, weights: Sequence[float] | None = None) -> Batch:
    """Return the first so many digits."""
    inputs, labels = EXAMPLES.batch(slice(size))
    return Batch(inputs, labels, torch.arange(size), None if weights is None else torch.tensor(weights))


def gradients(supernet: nn.Module) -> dict[str, Tensor]:
    """Return copies of the gradients that there are."""
    return {name: p.grad.clone() for name, p in supernet.named_parameters() if p.grad is not None}
