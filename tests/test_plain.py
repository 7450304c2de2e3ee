"""plain: what every proxy must do, a value worked out by hand, and what batch norms make of it."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ProxyContract, three_to_one
from torch import nn
from torch.nn import functional

from evonas.workers.proxies.plain import plain


class TestPlain(ProxyContract):
    proxy = plain
    of_nothing = 0.0


def test_it_is_weight_times_gradient_with_its_sign() -> None:
    network, inputs, labels = three_to_one()
    assert plain(network, inputs, labels) == pytest.approx(0.75 * math.log(3))
    assert plain(network, inputs, 1 - labels) == pytest.approx(-0.25 * math.log(3))


def test_a_convolution_before_a_batch_norm_adds_nothing() -> None:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    last = nn.Linear(144, 3)
    inputs, labels = torch.randn(16, 1, 8, 8), torch.arange(16) % 3
    functional.cross_entropy(last(first(inputs)), labels).backward()
    assert last.weight.grad is not None
    alone = float((last.weight.detach() * last.weight.grad).sum())
    assert plain(nn.Sequential(first, last), inputs, labels) == pytest.approx(alone, abs=1e-4 * abs(alone))
