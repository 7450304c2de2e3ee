"""Importance sampling of paths and data: more often what moves the weights more (PA&DA, Lu et al., CVPR 2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from evonas.space import Genome, SearchSpace
from evonas.workers.examples import Examples
from evonas.workers.supernets.method import Batch, Learner, Method, Progress, Rows, subnet_of

_MEMORY = 0.5  # what a gradient norm still counts for an epoch later


class ImportanceSampling(Method):
    """Trains single paths; options and examples whose gradients are larger are drawn more often, and weighted less.

    PA&DA (Lu et al., "PA&DA: Jointly Sampling PAth and DAta for Consistent NAS", CVPR 2023): the variance of a
    stochastic gradient is least if each path and each example is drawn in proportion to the norm of its gradient. The
    options of a gene are drawn in proportion to the mean norm of the gradients of the paths that had them, examples in
    proportion to the norm of the loss's gradient at their logits when they were last seen. Both distributions are mixed
    with the uniform one, whose share falls from 1 in the first epoch by equal steps, to 1 / epochs in the last one. A
    loss is divided by how much more often its path and its example are drawn than uniformly, which leaves the expected
    gradient what it is when both are uniform.

    Deviations: the paper takes the norm of an option's own weights, while here it is that of the whole path, because
    options may share weights; the norms of earlier epochs count half as much with each epoch. A path's weight is a
    product over all genes: in spaces of many genes set `gradient_clip`.
    """

    divisible = False

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(space, seed)
        options = max(len(gene.options) for gene in space.genes)
        self._sums, self._counts = np.zeros((2, len(space.genes), options))
        self._data_norms = np.empty(0)
        self._trusted = 0.0
        self._path_probabilities = self.path_probabilities()

    def begin_epoch(self, supernet: nn.Module, progress: Progress, examples: Examples, learner: Learner) -> nn.Module:
        """Draw from now on by the norms that have been seen."""
        self._trusted = progress.epoch / progress.epochs
        if not self._data_norms.size:
            self._data_norms = np.ones(len(examples))
        self._path_probabilities = self.path_probabilities()
        self._sums *= _MEMORY
        self._counts *= _MEMORY
        return supernet

    def path_probabilities(self) -> list[np.ndarray]:
        """Return how probably each option of each gene is drawn; one that was never seen has its gene's mean norm."""
        probabilities = []
        for gene, sums, counts in zip(self.space.genes, self._sums, self._counts, strict=True):
            seen = counts[: len(gene.options)] > 0
            norms = np.ones(len(gene.options))
            if seen.any():
                norms[seen] = sums[: len(gene.options)][seen] / counts[: len(gene.options)][seen]
                norms[~seen] = norms[seen].mean()
            probabilities.append(mixed(norms, self._trusted))
        return probabilities

    def data_probabilities(self) -> np.ndarray:
        """Return how probably each training example is drawn, shape (examples,)."""
        return mixed(self._data_norms, self._trusted)

    def rows(self, examples: int, batch_size: int, rng: np.random.Generator) -> Sequence[Rows]:
        """Return as many examples as there are, drawn with replacement."""
        probabilities = self.data_probabilities()
        drawn = rng.choice(examples, size=examples, p=probabilities)
        weights = 1 / (examples * probabilities[drawn])
        batches = -(-examples // batch_size)
        return [
            Rows(indices, some)
            for indices, some in zip(np.array_split(drawn, batches), np.array_split(weights, batches), strict=True)
        ]

    def step(self, supernet: nn.Module, batch: Batch, learner: Learner, rng: np.random.Generator) -> Tensor:
        """Train one path, and note the gradient norms of the path and of the batch's examples; return the loss."""
        genome, weight = self.path(rng)
        network = subnet_of(supernet, self.space.canonical(genome))
        logits = learner.logits(network, batch.inputs)
        losses = learner.label_losses(logits, batch.labels)
        (at_logits,) = torch.autograd.grad(losses.sum(), logits, retain_graph=True)
        self._data_norms[batch.indices.cpu().numpy()] = at_logits.norm(dim=1).double().cpu().numpy()
        loss = batch.mean(losses)
        learner.backward(weight * loss)
        norm = gradient_norm(supernet) / weight
        if math.isfinite(norm):  # a scaled loss may overflow, and the loop passes over such a step
            chosen = np.arange(len(genome)), np.array(genome)
            self._sums[chosen] += norm
            self._counts[chosen] += 1
        return loss.detach()

    def path(self, rng: np.random.Generator) -> tuple[Genome, float]:
        """Return a genome, not canonical, and the weight of its loss."""
        genome, weight = [], 1.0
        for probabilities in self._path_probabilities:
            option = int(rng.choice(len(probabilities), p=probabilities))
            genome.append(option)
            weight /= len(probabilities) * probabilities[option]
        return tuple(genome), weight

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the norms that the distributions follow from."""
        return {"path_sums": self._sums, "path_counts": self._counts, "data_norms": self._data_norms}

    def restore(self, supernet: nn.Module, state: Mapping[str, np.ndarray]) -> nn.Module:
        """Take the norms back."""
        self._sums, self._counts, self._data_norms = (
            np.array(state[name]) for name in ("path_sums", "path_counts", "data_norms")
        )
        return supernet


def mixed(norms: np.ndarray, trusted: float) -> np.ndarray:
    """Return probabilities of which the share `trusted` is in proportion to the norms, the rest uniform."""
    uniform = np.full(len(norms), 1 / len(norms))
    total = norms.sum()
    return trusted * norms / total + (1 - trusted) * uniform if total > 0 else uniform


def gradient_norm(supernet: nn.Module) -> float:
    """Return the norm of the gradients of all weights together."""
    norms = [weight.grad.norm() for weight in supernet.parameters() if weight.grad is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0
