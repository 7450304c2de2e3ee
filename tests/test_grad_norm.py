"""grad_norm: what every proxy must do, and a value worked out by hand."""

from __future__ import annotations

import math

import pytest
from proxy_contract import ProxyContract, three_to_one

from evonas.workers.proxies.grad_norm import grad_norm


class TestGradNorm(ProxyContract):
    proxy = grad_norm
    of_nothing = 0.0


def test_it_is_the_length_of_the_gradient() -> None:
    # by the logits the gradient is (3/4, 1/4 - 1), by the weights the same beside the input's one
    assert grad_norm(*three_to_one()) == pytest.approx(math.sqrt(2) * 0.75)
