"""The transformer space: exact costs, published counts, and which genomes are one network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from space_contract import SpaceContract
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from evonas.errors import ConfigError
from evonas.spaces.transformer import Transformer

TINY: dict[str, Any] = {"widths": (6, 8), "head_width": 2, "depths": (1, 2, 3), "input_shape": (1, 8, 8), "classes": 3}


class TestTransformer(SpaceContract):
    space = Transformer(**TINY)


class TestTransformerOfOneWidth(SpaceContract):
    space = Transformer(patch=2, widths=(12,), depths=(2,), expansions=(0.1, 0.2, 1.5), input_shape=(3, 6, 10))


def test_costs_equal_the_counts_of_the_built_network() -> None:
    rng = np.random.default_rng(0)
    for space in (Transformer(), Transformer(**TINY)):
        for genome in [space.sample(rng) for _ in range(8)]:
            with torch.device("meta"):
                network, images = space.build(genome).eval(), torch.empty(1, *space.input_shape)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                network(images)
            params = sum(weight.numel() for weight in network.parameters())
            assert space.costs(genome) == {"params": params, "macs": counter.get_total_flops() / 2}


def test_deit_tiny_is_in_the_space() -> None:
    """DeiT-Ti has 5,717,416 parameters (timm, torchvision's ViT code alike): a class token and its position more."""
    space = Transformer(
        patch=16, widths=(192,), head_width=64, depths=(11, 12), heads=(3,), expansions=(4.0,),
        input_shape=(3, 224, 224), classes=1000,
    )  # fmt: skip
    assert space.costs(space.largest())["params"] == 5_717_416 - 2 * 192


def test_canonical_joins_exactly_the_genomes_of_one_plan() -> None:
    space = Transformer(**{**TINY, "depths": (1, 2), "widths": (4, 6)}, heads=(1, 2), expansions=(0.5, 0.6, 1.0))
    networks = space.networks(at_most=1_000)
    assert networks is not None
    assert len({space.plan(genome) for genome in networks}) == len(networks) < space.size()
    of_4, of_6 = 2 * 2, 2 * 3  # 0.5 and 0.6 are two channels of 4, but three and four of 6
    assert len(networks) == of_4 + of_4**2 + of_6 + of_6**2


def test_network_learns_a_batch() -> None:
    torch.manual_seed(0)
    space = Transformer(**TINY)
    images, labels = torch.randn(24, 1, 8, 8), torch.arange(24) % 3
    network = space.build(space.largest())
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patch": 5}, "'patch: 5' must divide the images, which have 32 x 32 pixels: use 1"),
        ({"patch": 0}, "'patch' must be a whole number, 1 or more"),
        ({"depths": (3, 2)}, "'depths' must be a list of whole numbers, 1 or more, in ascending order"),
        ({"heads": (1.0,)}, "'heads' must be a list of whole numbers"),
        ({"expansions": (0.0,)}, "'expansions' must be a list of numbers above 0"),
        ({"input_shape": (64,)}, "'input_shape' must be an image"),
        ({"depths": (2,), "heads": (1,), "expansions": (1.0,)}, "nothing to search"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Transformer(**options)
