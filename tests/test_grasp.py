"""GraSP: what every proxy must do, a value worked out by hand, and the Hessian written out."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ProxyContract, three_to_one
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn import functional

from evonas.workers.proxies.grasp import grasp


class TestGraSP(ProxyContract):
    proxy = grasp
    of_nothing = 0.0


def test_it_is_what_the_hessian_makes_of_the_gradient() -> None:
    # by the logits the Hessian is 3/16 times ((1, -1), (-1, 1)), and the gradient (3/4, -3/4)
    assert grasp(*three_to_one()) == pytest.approx(-math.log(3) * 3 / 16 * 1.5)


def test_it_equals_the_product_with_the_whole_hessian() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    inputs, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    names = ("0.weight", "2.weight")
    shapes = [network.get_parameter(name).shape for name in names]
    flat = torch.cat([network.get_parameter(name).detach().flatten() for name in names])

    def loss(flattened: Tensor) -> Tensor:
        parts = flattened.split([shape.numel() for shape in shapes])
        weights = {n: part.view(shape) for n, part, shape in zip(names, parts, shapes, strict=True)}
        return functional.cross_entropy(functional_call(network, weights, (inputs,)), labels)

    leaf = flat.clone().requires_grad_()
    loss(leaf).backward()
    expected = -flat @ hessian(loss, flat) @ leaf.grad
    assert grasp(network, inputs, labels) == pytest.approx(float(expected), rel=1e-4)
