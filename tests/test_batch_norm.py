"""Batch-norm statistics that are computed anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor, nn

from evonas.errors import DataError
from evonas.workers.batch_norm import recalibrate
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe

DATA = digits(train_size=100)
EXAMPLES = Examples.of(DATA, DATA.train, torch.device("cpu"))


def recipe(batch_size: int) -> Recipe:
    return Recipe(epochs=1, batch_size=batch_size, learning_rate=0.1)


def network() -> nn.Sequential:
    """Two batch norms, the second of what the first has normalised, and something random between them."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.BatchNorm1d(108)
    )


@pytest.mark.parametrize(("batch_size", "sizes"), [(100, [100]), (40, [33, 33, 34]), (99, [50, 50])])
def test_statistics_are_the_means_of_those_of_nearly_equal_batches(batch_size: int, sizes: list[int]) -> None:
    recalibrated = network()
    recalibrate(recalibrated, EXAMPLES, recipe(batch_size))
    first, second = recalibrated[1], recalibrated[5]
    with torch.no_grad():
        inputs = EXAMPLES.batch(slice(None))[0].double()
        batches = [recalibrated[0].double()(part) for part in inputs.split(sizes)]
    by_hand(first, batches, axes=(0, 2, 3))
    normalised = [_normalised(part, (0, 2, 3)).relu().flatten(1) for part in batches]
    by_hand(second, normalised, axes=(0,))


def by_hand(norm: nn.Module, batches: list[Tensor], axes: tuple[int, ...]) -> None:
    mean = np.mean([part.numpy().mean(axes) for part in batches], axis=0)
    var = np.mean([part.numpy().var(axes, ddof=1) for part in batches], axis=0)
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]
    np.testing.assert_allclose(norm.running_var, var, rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(("examples", "batch_size", "sizes"), [(3, 2, [3]), (5, 2, [2, 3]), (2, 64, [2])])
def test_no_example_is_left_alone(examples: int, batch_size: int, sizes: list[int]) -> None:
    few, recalibrated = EXAMPLES.first(examples), network()
    recalibrate(recalibrated, few, recipe(batch_size))
    with torch.no_grad():
        batches = [recalibrated[0].double()(part) for part in few.batch(slice(None))[0].double().split(sizes)]
    by_hand(recalibrated[1], batches, axes=(0, 2, 3))


def test_a_single_example_is_refused() -> None:
    with pytest.raises(DataError, match="2 examples or more, and there are 1"):
        recalibrate(network(), EXAMPLES.first(1), recipe(2))


def test_statistics_are_those_of_the_precision_that_networks_are_scored_in() -> None:
    halved = network()
    recalibrate(halved, EXAMPLES, replace(recipe(100), mixed_precision=True))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        convolved = halved[0](EXAMPLES.batch(slice(None))[0])
    by_hand(halved[1], [convolved.double()], axes=(0, 2, 3))


def test_what_was_before_does_not_matter_and_nothing_else_changes() -> None:
    used = network()
    weights = {name: weight.clone() for name, weight in used.named_parameters()}
    for _ in range(3):
        used.train()(EXAMPLES.batch(slice(20))[0] + 5.0)
    momenta = [module.momentum for module in used if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    fresh = network()
    before = torch.get_rng_state()
    for each in (used, fresh):
        recalibrate(each, EXAMPLES, recipe(50))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in used.modules())
    assert momenta == [module.momentum for module in used if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert all(torch.equal(weights[name], weight) for name, weight in used.named_parameters())
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in used.state_dict().items())


def test_a_network_without_batch_norms_is_left_as_it_is() -> None:
    plain = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 2), nn.GroupNorm(1, 2), nn.BatchNorm1d(2, track_running_stats=False)
    )
    recalibrate(plain, EXAMPLES, recipe(50))
    assert not plain.training


def _normalised(batch: Tensor, axes: tuple[int, ...]) -> Tensor:
    mean, var = batch.mean(axes, keepdim=True), batch.var(axes, keepdim=True, correction=0)
    return (batch - mean) / (var + 1e-5).sqrt()
