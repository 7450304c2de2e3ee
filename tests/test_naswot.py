"""NASWOT: what every proxy must do, and a kernel of activation codes worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ALL_KINDS, CELLS, ProxyContract, built, linear
from torch import nn

from evonas.workers.proxies.naswot import naswot


class TestNASWOT(ProxyContract):
    proxy = naswot
    of_nothing = -math.inf


UNITS = linear([1.0, 0.0], [0.0, 1.0], [0.0, -1.0])
TWO = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.Hardswish()])
def test_it_is_the_determinant_of_agreements(rectifier: nn.Module) -> None:
    # codes 110 and 101 agree in one unit of three: 3 x 3 - 1 x 1
    inputs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    assert naswot(nn.Sequential(UNITS, rectifier), inputs, TWO) == pytest.approx(math.log(8))


def test_inputs_of_one_region_have_no_determinant() -> None:
    inputs = torch.tensor([[1.0, 1.0], [2.0, 5.0]])
    assert naswot(nn.Sequential(UNITS, nn.ReLU()), inputs, TWO) == -math.inf
    of_few_units = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert naswot(nn.Sequential(linear([1.0, 0.0], [0.0, 1.0]), nn.ReLU()), of_few_units, TWO) == -math.inf


def test_it_is_never_negative_because_the_kernel_holds_whole_numbers() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        score = naswot(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.randn(3, 2), torch.zeros(3))
        assert score >= 0 or score == -math.inf


def test_every_layer_counts() -> None:
    network, inputs = built(CELLS, ALL_KINDS), torch.randn(6, 1, 8, 8)
    units = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda m, i, output, name=name: units.update({name: output[0].numel()}))
    score = naswot(network, inputs, torch.zeros(6))
    assert len(units) == 4 + 4 + 2 + 1  # four convolutions in each of two cells, the reduction, the head
    assert score <= 6 * math.log(sum(units.values()))  # Hadamard: the diagonal is the number of units
