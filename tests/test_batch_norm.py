"""Batch-norm statistics that are computed anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor, nn

from evonas.workers.batch_norm import recalibrate
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples

DATA = digits(train_size=100)
EXAMPLES = Examples.of(DATA, DATA.train, torch.device("cpu"))


def network() -> nn.Sequential:
    """Two batch norms, the second of what the first has normalised, and something random between them."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.BatchNorm1d(108)
    )


@pytest.mark.parametrize(("batch_size", "sizes"), [(100, [100]), (40, [33, 33, 34]), (99, [50, 50])])
def test_statistics_are_the_means_of_those_of_nearly_equal_batches(batch_size: int, sizes: list[int]) -> None:
    recalibrated = network()
    recalibrate(recalibrated, EXAMPLES, batch_size)
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


def test_what_was_before_does_not_matter_and_nothing_else_changes() -> None:
    used = network()
    weights = {name: weight.clone() for name, weight in used.named_parameters()}
    for _ in range(3):
        used.train()(EXAMPLES.batch(slice(20))[0] + 5.0)
    momenta = [module.momentum for module in used if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    fresh = network()
    before = torch.get_rng_state()
    for each in (used, fresh):
        recalibrate(each, EXAMPLES, 50)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in used.modules())
    assert momenta == [module.momentum for module in used if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert all(torch.equal(weights[name], weight) for name, weight in used.named_parameters())
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in used.state_dict().items())


def test_a_network_without_batch_norms_is_left_as_it_is() -> None:
    plain = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 2), nn.GroupNorm(1, 2), nn.BatchNorm1d(2, track_running_stats=False)
    )
    recalibrate(plain, EXAMPLES, 50)
    assert not plain.training


def _normalised(batch: Tensor, axes: tuple[int, ...]) -> Tensor:
    mean, var = batch.mean(axes, keepdim=True), batch.var(axes, keepdim=True, correction=0)
    return (batch - mean) / (var + 1e-5).sqrt()
