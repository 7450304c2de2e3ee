"""SynFlow: what every proxy must do, a value worked out by hand, and that neither data nor signs matter."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ALL_KINDS, CELLS, ProxyContract, built, linear
from torch import nn

from evonas.workers.proxies.synflow import synflow


class TestSynFlow(ProxyContract):
    proxy = synflow
    of_nothing = 0.0


ANY = torch.zeros(1, dtype=torch.int64)


def test_it_is_the_flow_through_each_layer() -> None:
    # ones give (3, 7), and these 3 + 2 x 7 = 17: that much passes each of the two layers
    network = nn.Sequential(linear([1.0, -2.0], [3.0, 4.0]), nn.ReLU(), linear([-1.0, 2.0]))
    assert synflow(network, torch.zeros(1, 2), ANY) == pytest.approx(math.log(1 + 2 * 17))


def test_batch_norms_hand_on_what_they_are_given() -> None:
    plain = nn.Sequential(linear([1.0, -2.0], [3.0, 4.0]), linear([-1.0, 2.0]))
    norm = nn.BatchNorm1d(2)
    norm.weight.data, norm.running_var = torch.tensor([5.0, -3.0]), torch.tensor([9.0, 16.0])
    assert synflow(nn.Sequential(plain[0], norm, plain[1]), torch.zeros(1, 2), ANY) == synflow(
        plain, torch.zeros(1, 2), ANY
    )


def test_neither_data_nor_signs_matter() -> None:
    network = built(CELLS, ALL_KINDS)
    inputs, labels = torch.randn(4, 1, 8, 8), torch.arange(4)
    score = synflow(network, inputs, labels)
    assert synflow(network, -inputs[:2], labels[:2]) == score
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.neg_()
    assert synflow(network, inputs, labels) == score


def test_depth_does_not_overflow() -> None:
    network = nn.Sequential(*[linear(*([[1.0] * 16] * 16)) for _ in range(200)])
    assert synflow(network, torch.zeros(1, 16), ANY) == pytest.approx(math.log(200) + 201 * math.log(16))
