"""The sandwich rule adds up the largest subnet's gradient of labels and the others' of its soft labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from supernet_method import batch_of, gradients, learner
from tiny_space import TinySpace
from tiny_supernet import TinySupernet
from torch.nn import functional

from evonas.errors import ConfigError
from evonas.workers.supernets.method import subnet_of
from evonas.workers.supernets.sandwich import Sandwich, soft_losses

SPACE = TinySpace()


def test_gradients_of_all_subnets_add_up() -> None:
    supernet, batch = TinySupernet(SPACE), batch_of(16)
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    loss = Sandwich(SPACE, 0, random_subnets=2).step(supernet, batch, learner(), rng)
    own = gradients(supernet)
    supernet.zero_grad()

    between = [SPACE.sample(same) for _ in range(2)]
    teacher = subnet_of(supernet, (2, 2, 1))(batch.inputs)
    alone = functional.cross_entropy(teacher, batch.labels)
    total = alone
    soft = teacher.detach().softmax(1)
    for genome in ((0, 0, 0), *between):
        student = subnet_of(supernet, genome)(batch.inputs).log_softmax(1)
        total = total - (soft * student).sum(1).mean()
    total.backward()
    assert float(loss) == pytest.approx(alone.item())
    for name, gradient in gradients(supernet).items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-4, atol=1e-6)


def test_soft_losses_are_the_divergence_from_the_teacher_but_for_its_entropy() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 4), torch.randn(5, 4).softmax(1)
    divergence = functional.kl_div(student.log_softmax(1), teacher, reduction="none").sum(1)
    entropy = -(teacher * teacher.log()).sum(1)
    torch.testing.assert_close(soft_losses(student, teacher), divergence + entropy)


def test_the_teacher_learns_nothing_from_its_students() -> None:
    """What the smallest subnet does not have gets the gradient of the largest one's labels and no other."""
    supernet, batch = TinySupernet(SPACE), batch_of(16)
    Sandwich(SPACE, 0, random_subnets=0).step(supernet, batch, learner(), np.random.default_rng(0))
    own = gradients(supernet)
    supernet.zero_grad()
    functional.cross_entropy(subnet_of(supernet, SPACE.largest())(batch.inputs), batch.labels).backward()
    alone = gradients(supernet)
    torch.testing.assert_close(own["kernels.1"], alone["kernels.1"])
    assert not torch.allclose(own["scales.0"], alone["scales.0"], rtol=1e-2)


def test_fewer_than_no_subnets_are_refused() -> None:
    with pytest.raises(ConfigError, match="'random_subnets' must be 0 or more, and is -1"):
        Sandwich(SPACE, 0, random_subnets=-1)
