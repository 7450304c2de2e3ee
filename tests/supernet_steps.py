"""Steps of methods that train supernets, by plain gradient descent on digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.seeds import generator
from evonas.spaces.cell201 import Cell201
from evonas.spaces.cell201_supernet import Cell201Supernet
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.supernets.method import Batch, Method, Progress, Rows

SPACE = Cell201(stem_channels=2, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
EXAMPLES = Examples.of(data := digits(train_size=96), data.train, torch.device("cpu"))
BATCH_SIZE = 32


class PlainLearner:
    """Learns without mixed precision, label smoothing and auxiliary heads."""

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        logits: Tensor = network.train()(inputs)
        return logits

    def label_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, reduction="none")

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def supernet(seed: int = 0) -> Cell201Supernet:
    """Return a small supernet, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Cell201Supernet(SPACE)


def batch(examples: Examples = EXAMPLES, rows: Rows | None = None) -> Batch:
    """Return a batch of these rows, or the first ones."""
    rows = Rows(np.arange(min(BATCH_SIZE, len(examples)))) if rows is None else rows
    indices = torch.from_numpy(rows.indices)
    inputs, labels = examples.batch(indices)
    return Batch(inputs, labels, indices, None if rows.weights is None else torch.from_numpy(rows.weights).float())


def trained(method: Method, network: nn.Module, epochs: range, of: int) -> nn.Module:
    """Train for these epochs of so many, every one in the same way whatever came before; return the supernet."""
    learner = PlainLearner()
    for epoch in epochs:
        network = method.begin_epoch(network, Progress(epoch, of), EXAMPLES, learner)
        drawn = method.rows(len(EXAMPLES), BATCH_SIZE, generator(1, "rows", epoch))
        orders = np.array_split(np.arange(len(EXAMPLES)), math.ceil(len(EXAMPLES) / BATCH_SIZE))
        for step, rows in enumerate(drawn or [Rows(order) for order in orders]):
            network.zero_grad()
            method.step(network, batch(rows=rows), learner, generator(1, "step", epoch, step))
            with torch.no_grad():
                for weight in network.parameters():
                    if weight.grad is not None:
                        weight -= 0.05 * weight.grad
    return network


def assert_resumes(new: Callable[[], Method], at: int, of: int) -> None:
    """Assert that a method restored after `at` epochs ends with the weights of one that was never interrupted."""
    expected = trained(new(), supernet(), range(of), of).state_dict()
    interrupted = new()
    weights = copied(trained(interrupted, supernet(), range(at), of).state_dict())
    resumed = new()
    network = resumed.restore(supernet(seed=1), copied(interrupted.state()))
    network.load_state_dict(weights)
    ended = trained(resumed, network, range(at, of), of).state_dict()
    assert ended.keys() == expected.keys()
    assert all(torch.equal(ended[name], expected[name]) for name in expected)


def copied(values: Mapping[str, np.ndarray | Tensor]) -> dict[str, Any]:
    """Return copies of arrays or tensors."""
    return {name: value.clone() if isinstance(value, Tensor) else value.copy() for name, value in values.items()}
