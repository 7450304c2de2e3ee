"""SNIP: what every proxy must do, and a value worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ProxyContract, linear, three_to_one

from evonas.workers.proxies.snip import snip


class TestSNIP(ProxyContract):
    proxy = snip
    of_nothing = 0.0


def test_it_is_weight_times_gradient() -> None:
    assert snip(*three_to_one()) == pytest.approx(0.75 * math.log(3))


def test_signs_do_not_cancel() -> None:
    # probabilities of 3/4 and 1/4 again, from weights of both signs
    network = linear([math.log(3), 0.0], [0.0, 0.0])
    network.weight.data = torch.tensor([[0.5 * math.log(3), 0.0], [-0.5 * math.log(3), 0.0]])
    assert snip(network, torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == pytest.approx(0.75 * math.log(3))
