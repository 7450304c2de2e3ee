"""Zen-score: what every proxy must do, values worked out by hand, and that batch norms scale nothing."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ProxyContract
from torch import nn

from evonas.workers.proxies.zen import zen


class TestZen(ProxyContract):
    proxy = zen
    of_nothing = -math.inf


INPUTS, LABELS = torch.zeros(64, 1, 16, 16), torch.zeros(64, dtype=torch.int64)
POOL = nn.AdaptiveAvgPool2d(1)
STEP = math.log(256 * 0.01 * math.sqrt(2 / math.pi))
"""Of 256 pixels that move by 0.01 times a Gaussian number."""


def test_it_is_the_change_of_the_features() -> None:
    assert zen(nn.Sequential(POOL), INPUTS, LABELS) == pytest.approx(STEP, abs=0.02)


def test_without_a_pool_features_are_what_the_last_linear_layer_is_given() -> None:
    assert zen(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), INPUTS, LABELS) == pytest.approx(STEP, abs=0.02)


def test_batch_norms_scale_nothing() -> None:
    convolution = nn.Conv2d(1, 1, 1)
    alone = zen(nn.Sequential(convolution, POOL), INPUTS, LABELS)
    for count in (1, 2):
        norms = [nn.BatchNorm2d(1) for _ in range(count)]
        assert zen(nn.Sequential(convolution, *norms, POOL), INPUTS, LABELS) == pytest.approx(alone, abs=0.01)


def test_neither_weights_nor_data_matter() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), POOL)
    score = zen(network, INPUTS, LABELS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(-7)
    assert zen(network, INPUTS + 1, LABELS + 1) == score
