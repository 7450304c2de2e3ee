"""Single-path training moves the weights of one subnet a step, each as often as any other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from supernet_method import batch_of, gradients, learner
from tiny_space import TinySpace
from tiny_supernet import TinySupernet

from evonas.space import Genome
from evonas.workers.supernets.method import subnet_of
from evonas.workers.supernets.single_path import SinglePath

SPACE = TinySpace()


class Noting(TinySupernet):
    """Notes which subnets are asked for."""

    def __init__(self) -> None:
        super().__init__(SPACE)
        self.asked: list[Genome] = []

    def subnet(self, genome: Genome) -> torch.nn.Module:
        self.asked.append(genome)
        return super().subnet(genome)


def test_a_step_trains_one_subnet_on_the_labels_as_if_it_were_alone() -> None:
    supernet, batch = Noting(), batch_of(16)
    loss = SinglePath(SPACE, 0).step(supernet, batch, learner(), np.random.default_rng(3))
    (genome,) = supernet.asked
    own = gradients(supernet)
    supernet.zero_grad()
    alone = torch.nn.functional.cross_entropy(subnet_of(supernet, genome)(batch.inputs), batch.labels)
    alone.backward()
    assert float(loss) == pytest.approx(alone.item())
    assert own.keys() == gradients(supernet).keys()
    for name, gradient in gradients(supernet).items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-4, atol=1e-6)


def test_subnets_are_drawn_uniformly() -> None:
    supernet, batch, rng = Noting(), batch_of(2), np.random.default_rng(0)
    for _ in range(720):
        SinglePath(SPACE, 0).step(supernet, batch, learner(), rng)
    counts = Counter(supernet.asked)
    assert len(counts) == 18
    expected = 720 / 18
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 40.8  # its 99.9 % quantile for 17 degrees of freedom


def test_weights_of_examples_weigh() -> None:
    supernet, rng = Noting(), np.random.default_rng(0)
    batch = batch_of(8)
    weighted = batch_of(8, weights=[8.0] + 7 * [0.0])
    SinglePath(SPACE, 0).step(supernet, weighted, learner(), rng)
    own = gradients(supernet)
    supernet.zero_grad()
    losses = torch.nn.functional.cross_entropy(
        subnet_of(supernet, supernet.asked[0])(batch.inputs), batch.labels, reduction="none"
    )
    losses[0].backward()
    for name, gradient in gradients(supernet).items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-4, atol=1e-6)
