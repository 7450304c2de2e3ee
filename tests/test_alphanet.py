"""AlphaNet: each example's subnets learn by the larger of two divergences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401
from supernet_steps import LEARNER, SPACE, batch, supernet

from evonas.errors import ConfigError
from evonas.seeds import generator
from evonas.space import SearchSpace
from evonas.workers.supernets.alpha_divergence import alpha_divergence
from evonas.workers.supernets.alphanet import AlphaNet
from evonas.workers.supernets.method import Method
from evonas.workers.supernets.sandwich import Sandwich


class TestAlphaNet(MethodContract):
    epochs = 2

    def method(self, space: SearchSpace, seed: int) -> Method:
        return AlphaNet(space, seed)


def test_each_example_has_the_larger_divergence_and_its_gradient() -> None:
    drawn = np.random.default_rng(0)
    student = torch.from_numpy(drawn.normal(size=(40, 4)) * 2).requires_grad_()
    teacher = torch.from_numpy(drawn.normal(size=(40, 4)) * 2)
    losses = AlphaNet(SPACE, 0).distillation(student, teacher)
    low, high = (alpha_divergence(student, teacher, alpha, 5.0) for alpha in (-1.0, 1.0))
    larger = low > high
    assert 5 < larger.sum() < 35
    assert torch.equal(losses, torch.where(larger, low, high))
    gradients = [torch.autograd.grad(each.sum(), student, retain_graph=True)[0] for each in (losses, low, high)]
    assert torch.equal(gradients[0], torch.where(larger[:, None], gradients[1], gradients[2]))


def test_two_alphas_near_one_train_as_the_sandwich_rule_does() -> None:
    nets = supernet(), supernet()
    for net, method in zip(
        nets, (Sandwich(SPACE, 0), AlphaNet(SPACE, 0, alpha_min=0.9999, alpha_max=1.0)), strict=True
    ):
        method.step(net, batch(), LEARNER, generator(3, "step"))
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_alphas_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="'alpha_min' must be below 'alpha_max'"):
        AlphaNet(SPACE, 0, alpha_min=2.0)
