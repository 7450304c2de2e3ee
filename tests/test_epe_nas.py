"""EPE-NAS: what every proxy must do, and correlations within and across classes worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ProxyContract, Squares

from evonas.workers.proxies.epe_nas import epe_nas


class TestEPENAS(ProxyContract):
    proxy = epe_nas
    of_nothing = math.nan


K = 1e-5
UNCORRELATED = torch.tensor([[1.0, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])


def test_only_examples_of_one_class_are_compared() -> None:
    # two uncorrelated ones, and one that is alone
    expected = abs(2 * math.log(1 + K) + 2 * math.log(K)) + math.log(1 + K)
    assert epe_nas(Squares(), UNCORRELATED, torch.tensor([0, 0, 1])) == pytest.approx(expected)


def test_equal_and_opposite_gradients_add_nothing() -> None:
    pair = torch.stack([UNCORRELATED[0], -UNCORRELATED[0]])
    assert epe_nas(Squares(), pair, torch.tensor([0, 0])) == pytest.approx(4 * math.log(1 + K))


def test_of_many_classes_the_differences_count() -> None:
    # 101 classes: one of two uncorrelated examples, and 100 that are alone and alike
    inputs = torch.cat([UNCORRELATED[:2], UNCORRELATED[2:].expand(100, -1)])
    labels = torch.cat([torch.zeros(1), torch.arange(101)]).long()
    alone, pair = math.log(1 + K), (2 * math.log(1 + K) + 2 * math.log(K)) / 2
    assert epe_nas(Squares(), inputs, labels) == pytest.approx(2 * 100 * abs(pair - alone) / 101)
