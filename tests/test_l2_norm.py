"""l2_norm: what every proxy must do, and a value worked out by hand."""

from __future__ import annotations

import pytest
import torch
from proxy_contract import CELLS, NOTHING, ProxyContract, built, linear
from torch import nn

from evonas.workers.proxies.l2_norm import l2_norm


class TestL2Norm(ProxyContract):
    proxy = l2_norm
    of_nothing = l2_norm(built(CELLS, NOTHING), torch.empty(0), torch.empty(0))


def test_it_adds_the_lengths_of_the_layers() -> None:
    network = nn.Sequential(linear([3.0, 4.0]), nn.BatchNorm1d(1), linear([5.0], [12.0]))
    assert l2_norm(network, torch.zeros(1, 2), torch.zeros(1)) == pytest.approx(5 + 13)


def test_a_weight_that_layers_share_counts_once() -> None:
    layer = linear([3.0, 4.0])
    other = nn.Linear(2, 1)
    other.weight = layer.weight
    assert l2_norm(nn.ModuleList([layer, other, layer]), torch.zeros(1, 2), torch.zeros(1)) == pytest.approx(5)
