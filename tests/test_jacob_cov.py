"""jacob_cov: what every proxy must do, and the two extremes of correlation worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from proxy_contract import ProxyContract, Squares, linear

from evonas.workers.proxies.jacob_cov import jacob_cov


class TestJacobCov(ProxyContract):
    proxy = jacob_cov
    of_nothing = math.nan


K = 1e-5
LABELS = torch.zeros(4, dtype=torch.int64)


def test_uncorrelated_gradients_have_equal_eigenvalues() -> None:
    signs = torch.tensor([[1.0, -1, 1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, 1, -1, -1], [1, 1, 1, 1, -1, -1, -1, -1]])
    assert jacob_cov(Squares(), signs, LABELS[:3]) == pytest.approx(-3 * (math.log(1 + K) + 1 / (1 + K)))


def test_equal_gradients_have_one_eigenvalue() -> None:
    network = linear([1.0, 2.0, 3.0], [0.0, 1.0, -1.0])
    expected = -(math.log(4 + K) + 1 / (4 + K)) - 3 * (math.log(K) + 1 / K)
    assert jacob_cov(network, torch.randn(4, 3), LABELS) == pytest.approx(expected)
