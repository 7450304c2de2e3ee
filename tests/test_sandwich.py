"""The sandwich rule: the largest subnet learns from labels, the others from it, in one step."""

from __future__ import annotations

import torch
from method_contract import MethodContract
from one_thread import one_thread  # noqa: F401
from supernet_steps import LEARNER, SPACE, batch, supernet

from evonas.seeds import generator
from evonas.space import SearchSpace
from evonas.workers.supernets.method import Method, subnet_of
from evonas.workers.supernets.sandwich import Sandwich


class TestSandwich(MethodContract):
    epochs = 2

    def method(self, space: SearchSpace, seed: int) -> Method:
        return Sandwich(space, seed)


def test_gradients_are_the_sum_of_the_largest_ones_and_the_distilled_ones() -> None:
    net, seen = supernet(), batch()
    method = Sandwich(SPACE, 0)
    students = method.students(net, seen, LEARNER, generator(0, "step"))
    assert students[0] == SPACE.smallest()
    assert len(students) == 3
    method.step(net, seen, LEARNER, generator(0, "step"))
    found = [None if weight.grad is None else weight.grad.clone() for weight in net.parameters()]
    net.zero_grad()
    logits = LEARNER.logits(subnet_of(net, method.largest), seen.inputs)
    total = LEARNER.label_losses(logits, seen.labels).mean()
    soft = logits.detach().softmax(dim=1)
    for genome in students:
        total = total - (soft * LEARNER.logits(subnet_of(net, genome), seen.inputs).log_softmax(dim=1)).sum(1).mean()
    total.backward()
    for one, weight in zip(found, net.parameters(), strict=True):
        assert (one is None) == (weight.grad is None)
        if one is not None:
            torch.testing.assert_close(one, weight.grad, rtol=1e-4, atol=1e-6)
