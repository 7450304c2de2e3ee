"""What every way to train a supernet must satisfy: inherit MethodContract."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from tiny_space import TinySpace
from tiny_supernet import TinySupernet
from torch.nn import functional

from evonas.space import SearchSpace
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.method import Method, subnet_of
from evonas.workers.supernets.training import Training
from evonas.workers.training import seeded

SPACE = TinySpace()
CPU = torch.device("cpu")
EXAMPLES = Examples.of(data := digits(train_size=128), data.train, CPU)


@pytest.mark.usefixtures("one_thread")
class MethodContract(ABC):
    """Claims about a method, on a space of 18 networks whose genes are `width`, `kernel` and `depth`."""

    epochs = 3
    """How long the shortest training is that shows all that the method does."""

    @abstractmethod
    def method(self, space: SearchSpace, seed: int) -> Method:
        """Return a new method for the space."""

    def training(self, epochs: int, batch_size: int = 32, supernet_seed: int = 0) -> Training:
        with seeded(supernet_seed, CPU):
            supernet = TinySupernet(SPACE)
        recipe = Recipe(epochs=epochs, batch_size=batch_size, learning_rate=0.1)
        return Training(supernet, self.method(SPACE, 0), EXAMPLES, recipe, seed=0)

    def test_networks_learn(self) -> None:
        run = self.training(epochs=8, batch_size=16)
        before = self.losses(run)
        for _ in range(8):
            run.epoch()
        assert self.losses(run).mean() < 0.93 * before.mean()

    def losses(self, run: Training) -> np.ndarray:
        """Return the loss of every network of the space on the training examples."""
        inputs, labels = EXAMPLES.batch(slice(None))
        networks = [subnet_of(run.supernet, genome).train() for genome in SPACE.networks(18) or ()]
        with torch.no_grad():
            return np.array([functional.cross_entropy(network(inputs), labels).item() for network in networks])

    def test_resumed_training_equals_uninterrupted_wherever_it_was_cut(self) -> None:
        whole = self.training(self.epochs)
        kept = []
        for _ in range(self.epochs):
            whole.epoch()
            kept.append(({name: array.copy() for name, array in whole.arrays().items()}, whole.facts()))
        for done in range(1, self.epochs):
            resumed = self.training(self.epochs, supernet_seed=1)
            resumed.restore(*kept[done - 1])
            for _ in range(done, self.epochs):
                resumed.epoch()
            ended, expected = resumed.arrays(), kept[-1][0]
            assert ended.keys() == expected.keys()
            assert all(np.array_equal(ended[name], expected[name]) for name in expected)

    def test_global_generators_are_neither_read_nor_moved(self) -> None:
        ended = []
        for global_seed in (1, 2):
            torch.manual_seed(global_seed)
            np.random.seed(global_seed)
            before = torch.get_rng_state(), np.random.get_state()[1].tolist()
            run = self.training(self.epochs)
            for _ in range(self.epochs):
                run.epoch()
            assert torch.equal(torch.get_rng_state(), before[0])
            assert np.random.get_state()[1].tolist() == before[1]
            ended.append(run.arrays())
        assert all(np.array_equal(ended[0][name], ended[1][name]) for name in ended[0])
