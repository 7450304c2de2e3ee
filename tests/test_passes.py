"""Passes through a network that leave it as it was: gradients where they are asked for, and layers that are watched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from proxy_contract import ALL_KINDS, CELLS, NOTHING, Squares, built, linear
from torch import Tensor, nn
from torch.nn import functional

from evonas.workers.proxies.passes import (
    BATCH_NORMS,
    correlations,
    forward,
    hooked,
    input_gradients,
    weights,
    weights_and_gradients,
)

IMAGES, LABELS = torch.linspace(-1, 1, 6 * 64).sin().view(6, 1, 8, 8), torch.arange(6) % 3


def test_gradients_are_those_of_training() -> None:
    network = built(CELLS, ALL_KINDS).train()
    functional.cross_entropy(network(IMAGES), LABELS).backward()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    found = weights_and_gradients(built(CELLS, ALL_KINDS), IMAGES, LABELS)
    assert len(found) == len(layers)
    for (weight, gradient), layer in zip(found, layers, strict=True):
        torch.testing.assert_close(weight, layer.weight.detach())
        torch.testing.assert_close(gradient, layer.weight.grad)


def test_weights_that_no_loss_depends_on_have_gradients_of_zero() -> None:
    network = built(CELLS, NOTHING)
    (stem, gradient), *_ = weights_and_gradients(network, IMAGES, LABELS)
    assert next(iter(weights(network))) == "stem.0.weight"
    assert stem.shape == gradient.shape == (4, 1, 3, 3)
    assert float(gradient.abs().max()) == 0.0


def test_both_modes_compute_what_the_network_computes_in_them() -> None:
    network = built(CELLS, ALL_KINDS)
    for training in (True, False):
        expected = built(CELLS, ALL_KINDS).train(training)(IMAGES)
        torch.testing.assert_close(forward(network, IMAGES, training=training), expected.detach())


def test_a_mode_that_was_set_for_one_layer_survives_an_error() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 1))
    network[0].eval()
    with pytest.raises(RuntimeError, match="shapes"):
        forward(network, torch.zeros(1, 2), training=False)
    assert [module.training for module in network.modules()] == [True, False, True]


def test_input_gradients_are_those_of_the_sum_of_the_logits() -> None:
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(input_gradients(Squares(), inputs), inputs.double().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(input_gradients(built(CELLS, NOTHING), IMAGES), np.zeros((6, 64)))


def test_correlations_are_numpys() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 20))
    np.testing.assert_allclose(correlations(rows), np.corrcoef(rows), atol=1e-12)
    assert np.isnan(correlations(np.ones((2, 3)))).all()


def test_hooks_see_each_pass_of_their_layers_and_are_gone_afterwards() -> None:
    network = nn.Sequential(linear([2.0]), nn.BatchNorm1d(1), linear([3.0]))
    seen: list[float] = []

    def hand_on(layer: nn.Module, given: Tensor, output: Tensor) -> Tensor:
        seen.append(given.item())
        return given

    with hooked(network, BATCH_NORMS, hand_on):
        assert forward(network, torch.tensor([[5.0]]), training=False).item() == 30.0
    forward(network, torch.tensor([[5.0]]), training=False)
    assert seen == [10.0]
