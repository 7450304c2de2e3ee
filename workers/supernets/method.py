"""What a way to train a supernet is: it says which subnets a batch trains, and on what loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace

if TYPE_CHECKING:
    from evonas.workers.examples import Examples


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training is: the epoch, counted from 0, of how many."""

    epoch: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch by its rows: their indices in the training split, and the weights of their losses, of mean 1, or None."""

    indices: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on the device: augmented inputs, labels, and what `Rows` says of them."""

    inputs: Tensor
    labels: Tensor
    indices: Tensor
    weights: Tensor | None = None

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of the examples' losses, each with its weight if there are weights."""
        return losses.mean() if self.weights is None else (losses * self.weights).mean()


class Learner(Protocol):
    """What the training loop gives a method to learn with; it knows of precision, smoothing and auxiliary heads."""

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Return the logits of a network in training mode, float32; an auxiliary head's are left out."""
        ...

    def label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of each example, with the recipe's label smoothing."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of the shared weights."""
        ...


class Method(ABC):
    """Trains a supernet a batch at a time. It draws from the generators that it is given, and nowhere else.

    The loop zeroes the gradients before `step` and applies the optimizer after it; with several workers, each has its
    part of the batch, all draw the same subnets, and gradients are averaged. A constructor takes `space`, `seed` and
    options that are checked against their annotations. What a method learns on the way is its `state`.
    """

    divisible = True
    """Whether several workers may train with it.

    Not where `step` learns from its batch, of which each has a part, nor where what each computes decides for all.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self.seed = seed

    def check(self, epochs: int) -> None:  # noqa: B027 - most have nothing to check
        """Raise an EvonasError unless the method can train for so many epochs: it is asked before anything is made."""

    def begin_epoch(self, supernet: nn.Module, progress: Progress, examples: Examples, learner: Learner) -> nn.Module:
        """Return the supernet to train from here on: `supernet`, unless the method splits it."""
        return supernet

    def rows(self, examples: int, batch_size: int, rng: np.random.Generator) -> Sequence[Rows] | None:
        """Return the batches of an epoch; None for all examples, each once, in an order that the loop draws."""
        return None

    @abstractmethod
    def step(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Tensor | float:
        """Add the gradients of one batch to the shared weights; return the loss that is reported.

        A tensor need not be read here, which would stop a GPU.
        """

    def state(self) -> Mapping[str, np.ndarray]:
        """Return what was learnt, besides the weights, so that `restore` continues as if nothing had been."""
        return {}

    def restore(self, supernet: nn.Module, state: Mapping[str, np.ndarray]) -> nn.Module:
        """Take a state back, and return the supernet as it was then in form: `supernet`, unless it had been split."""
        return supernet


def subnet_of(supernet: nn.Module, genome: Genome) -> nn.Module:
    """Return the network of a genome on the supernet's weights: modules do not tell type checkers of their methods."""
    network: nn.Module = supernet.subnet(genome)  # type: ignore[operator]
    return network
