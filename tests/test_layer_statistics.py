"""Statistics of layers are those that known proxies are sums of, and what is worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from proxy_contract import ALL_KINDS, CELLS, NOTHING, built, three_to_one
from torch import Tensor, nn

from evonas.proxies.expression import STATISTICS
from evonas.workers.proxies.fisher import fisher
from evonas.workers.proxies.grad_norm import grad_norm
from evonas.workers.proxies.l2_norm import l2_norm
from evonas.workers.proxies.layer_statistics import layer_statistics
from evonas.workers.proxies.snip import snip
from evonas.workers.proxies.synflow import synflow

INPUTS = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(8) % 3


def columns(network: nn.Module, inputs: Tensor = INPUTS, labels: Tensor = LABELS) -> dict[str, np.ndarray]:
    return dict(zip(STATISTICS, layer_statistics(network, inputs, labels).T, strict=True))


def test_known_proxies_are_sums_of_them() -> None:
    network = built(CELLS, ALL_KINDS)
    found = columns(network)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    each = np.array([layer.weight[0].numel() for layer in layers])
    assert len(found["depth"]) == len(layers)
    for sums, proxy in (
        (found["saliency"].sum(), snip),
        (found["gradient_norm"].sum(), grad_norm),
        (found["weight_norm"].sum(), l2_norm),
        (np.log1p(np.expm1(found["flow"]).sum()), synflow),
        ((found["fisher"] * each).sum(), fisher),
    ):
        assert sums == pytest.approx(proxy(network, INPUTS, LABELS), rel=1e-4), proxy.__name__


def test_a_linear_layer_is_worked_out_by_hand() -> None:
    network, inputs, labels = three_to_one()  # probabilities 3/4 and 1/4, of which the second is true
    ((*row,),) = layer_statistics(network, inputs, labels)
    found, third = dict(zip(STATISTICS, row, strict=True)), math.log(3)
    expected = {
        "depth": 0.0, "weights": 4.0, "outputs": 2.0,
        "weight_size": third / 4, "weight_norm": third, "weight_deviation": third * math.sqrt(3) / 4,
        "gradient_size": 0.375, "gradient_norm": 0.75 * math.sqrt(2), "gradient_deviation": 0.75 / math.sqrt(2),
        "saliency": 0.75 * third, "activation_size": third / 2, "activation_norm": third,
        "activation_deviation": third / 2, "delta_size": 0.75, "delta_norm": 0.75 * math.sqrt(2),
        "delta_deviation": 0.75, "fisher": (0.75 * third) ** 2 / 2, "flow": math.log1p(third),
        "code_volume": math.log(1.001),
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-5)


def test_codes_span_more_where_examples_differ() -> None:
    network = nn.Linear(4, 2, bias=False)
    same, opposite = torch.ones(2, 4), torch.tensor([[1.0] * 4, [-1.0] * 4])
    alike, unlike = (columns(network, inputs, LABELS[:2])["code_volume"][0] for inputs in (same, opposite))
    assert alike == pytest.approx(math.log(1.001**2 - 1), rel=1e-4)
    assert unlike == pytest.approx(math.log(1.001**2), rel=1e-4)


def test_layers_that_do_not_reach_the_output_have_no_gradients() -> None:
    found = columns(built(CELLS, NOTHING))
    assert all(np.isfinite(column).all() for column in found.values())
    assert found["gradient_norm"][0] == found["delta_norm"][0] == found["flow"][0] == 0.0
    assert found["weight_norm"][0] > 0.0
    assert layer_statistics(nn.Identity(), torch.eye(3, requires_grad=True), LABELS[:3]).shape == (0, len(STATISTICS))
