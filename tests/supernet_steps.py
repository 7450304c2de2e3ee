"""Steps and trainings of a small supernet of cells on digits, for the tests of methods."""

from __future__ import annotations

import numpy as np
import torch

from evonas.spaces.cell201 import Cell201
from evonas.spaces.cell201_supernet import Cell201Supernet
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.learner import RecipeLearner
from evonas.workers.supernets.method import Batch, Method, Rows
from evonas.workers.supernets.training import Training
from evonas.workers.training import seeded

SPACE = Cell201(stem_channels=2, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
EXAMPLES = Examples.of(data := digits(train_size=96), data.train, torch.device("cpu"))
BATCH_SIZE = 32
LEARNER = RecipeLearner(Recipe(epochs=1, batch_size=BATCH_SIZE, learning_rate=0.1), EXAMPLES)


def supernet(seed: int = 0) -> Cell201Supernet:
    """Return a supernet of the cells, the same for the same seed."""
    with seeded(seed, EXAMPLES.device):
        return Cell201Supernet(SPACE)


def batch(rows: Rows | None = None) -> Batch:
    """Return a batch of these rows, or of the first."""
    rows = Rows(np.arange(BATCH_SIZE)) if rows is None else rows
    indices = torch.from_numpy(rows.indices)
    inputs, labels = EXAMPLES.batch(indices)
    return Batch(inputs, labels, indices, None if rows.weights is None else torch.from_numpy(rows.weights).float())


def training(method: Method, epochs: int) -> Training:
    """Return a training of so many epochs that has not begun."""
    return Training(supernet(), method, EXAMPLES, Recipe(epochs=epochs, batch_size=48, learning_rate=0.1), seed=0)
