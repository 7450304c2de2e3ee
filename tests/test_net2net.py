"""Networks grow as Net2Net grows them: worked out by hand, and by what they compute."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from one_thread import one_thread  # noqa: F401
from torch import Tensor, nn

from evonas.spaces.net2net import grown, silent


def test_copies_share_what_their_readers_weigh_unequally() -> None:
    weights = {
        "into": torch.tensor([[1.0], [2.0]]),
        "bias": torch.tensor([3.0, 4.0]),
        "out": torch.tensor([[5.0, 6.0]]),
    }
    fresh = {"into": torch.zeros(5, 1), "bias": torch.zeros(5), "out": torch.zeros(1, 5)}
    state = grown(weights, fresh)
    assert state["into"].flatten().tolist() == [1, 2, 1, 2, 1]
    assert state["bias"].tolist() == [3, 4, 3, 4, 3]
    expected = torch.tensor([[5 / 6, 6 / 3, 5 * 2 / 6, 6 * 2 / 3, 5 * 3 / 6]])
    torch.testing.assert_close(state["out"], expected)


def test_kernels_grow_by_zeros_around_them_and_shrink_to_their_centre() -> None:
    small, large = torch.ones(1, 1, 1, 1), torch.arange(25.0).reshape(1, 1, 5, 5)
    assert grown({"k": small}, {"k": torch.empty(1, 1, 3, 3)})["k"].flatten().tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert grown({"k": large}, {"k": torch.empty(1, 1, 3, 3)})["k"].flatten().tolist() == [
        6, 7, 8, 11, 12, 13, 16, 17, 18,
    ]  # fmt: skip


def test_what_is_new_or_of_another_kind_stays_fresh() -> None:
    fresh = {"new": torch.ones(2), "other": torch.ones(2, 2), "count": torch.tensor(0)}
    state = grown({"other": torch.zeros(4), "count": torch.tensor(9)}, fresh)
    assert state["new"] is fresh["new"]
    assert state["other"] is fresh["other"]
    assert state["count"].item() == 9


def convolutional(width: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width), nn.Hardswish(),
        nn.Conv2d(width, 4, kernel, padding=kernel // 2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip


def perceptron(width: int, _: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(108, width), nn.Tanh(), nn.Linear(width, 3))


@pytest.mark.parametrize("build", [convolutional, perceptron])
@pytest.mark.parametrize("wide", [4, 7, 9])
def test_any_wider_network_computes_the_same(build: Callable[[int, int], nn.Module], wide: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parent, child, images = build(3, 3), build(wide, 5), torch.randn(4, 3, 6, 6)
    child.load_state_dict(grown(parent.state_dict(), child.state_dict()))
    torch.testing.assert_close(child(images), parent(images), atol=1e-6, rtol=1e-5)


def test_copies_become_different_channels_in_training() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parent, child, images = perceptron(2, 0), perceptron(4, 0), torch.randn(8, 3, 6, 6)
    child.load_state_dict(grown(parent.state_dict(), child.state_dict()))
    optimizer = torch.optim.SGD(child.parameters(), 0.1)
    child(images).square().sum().backward()
    optimizer.step()
    into: Tensor = child.get_parameter("1.weight")
    assert not torch.allclose(into[:2], into[2:])


def test_a_silent_batch_norm_says_nothing_and_can_learn_to() -> None:
    branch = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    branch.load_state_dict({**branch.state_dict(), **dict(silent(branch.state_dict(), "1"))})
    output = branch(torch.randn(4, 3, 5, 5))
    assert not output.any()
    (output - 1).square().sum().backward()
    assert branch.get_parameter("1.bias").grad is not None
    assert branch.get_parameter("1.bias").grad.any()  # type: ignore[union-attr]
