"""Fisher pruning: what every proxy must do, and values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import CELLS, NOTHING, ProxyContract, built, three_to_one
from torch import nn

from evonas.workers.proxies.fisher import fisher


def _of_biases() -> float:
    """Return the score where the logits are the biases of the last layer, of 8 weights a channel, for 8 examples."""
    logits = built(CELLS, NOTHING).head[-1].bias.detach()  # type: ignore[index, union-attr]
    gradients = (logits.softmax(dim=0) - torch.eye(10)[torch.arange(8) % 3]) / 8
    return float(8 * (logits * gradients).square().mean(dim=0).sum() / 2)


class TestFisher(ProxyContract):
    proxy = fisher
    of_nothing = _of_biases()


CHANNEL = (0.75 * math.log(3)) ** 2 / 2
"""Of a channel whose activation is log(3) and whose gradient is 3/4, for one example."""


def test_a_channel_counts_for_each_of_its_weights() -> None:
    assert fisher(*three_to_one()) == pytest.approx(2 * CHANNEL)


def test_pixels_are_summed_before_they_are_squared() -> None:
    convolution = nn.Conv2d(1, 2, 1, bias=False)
    convolution.weight.data = torch.tensor([math.log(3) / 2, 0.0]).view(2, 1, 1, 1)
    network = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())  # the mean of 1 and 3 is 2
    assert fisher(network, torch.tensor([1.0, 3.0]).view(1, 1, 1, 2), torch.tensor([1])) == pytest.approx(CHANNEL)


def test_layers_that_work_in_place_change_nothing() -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 3)
    inputs, labels = torch.randn(4, 1, 8, 8), torch.arange(4) % 3
    apart, in_place = (nn.Sequential(layers[0], nn.ReLU(inplace), *layers[1:]) for inplace in (False, True))
    assert fisher(apart, inputs, labels) == fisher(in_place, inputs, labels) > 0
