"""Costs of mobile networks equal torch's counts, and channels are rounded as those of the MobileNets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kept import kept_elements
from one_thread import one_thread  # noqa: F401
from torch.utils.flop_counter import FlopCounterMode

from evonas.space import Genome
from evonas.spaces.mobile import Mobile
from evonas.spaces.mobile_costs import make_divisible, strided

SPACES = [
    Mobile(skeleton="imagenet", input_shape=(3, 224, 224), classes=1000),
    Mobile(squeeze="stage", elastic_width="stage", widths=(0.3, 0.5), input_shape=(1, 28, 28)),
    Mobile(skeleton="tiny", squeeze="block", resolutions=(11, 13), input_shape=(2, 15, 13), classes=3),
]


KEPT = [
    Mobile(skeleton="tiny", widths=(0.25, 0.5), resolutions=(5, 7, 8), input_shape=(2, 9, 7), classes=3),
    Mobile(skeleton="tiny", widths=(0.25, 0.5), elastic_width="stage", squeeze="block", input_shape=(1, 8, 8)),
    SPACES[2],
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.skeleton)
def test_costs_equal_the_counts_of_the_built_network(space: Mobile) -> None:
    """Of a few genomes; `experiments/benchmarks/mobile_networks.py` does the same with hundreds."""
    for genome in _some(space, 4):
        with torch.device("meta"):
            network, images = space.build(genome).eval(), torch.empty(1, *space.input_shape)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)
        params = sum(weight.numel() for weight in network.parameters())
        assert space.costs(genome) == {"params": params, "macs": counter.get_total_flops() / 2}


def test_activations_equal_what_autograd_keeps() -> None:
    for space in KEPT:
        for genome in _some(space, 6):
            assert space.activations(genome) == kept_elements(space, genome, space.input_shape), genome


def test_channels_are_multiples_that_are_hardly_ever_smaller() -> None:
    """At width 1.2 MobileNetV3's 16, 24, 40, 80, 112, 160, 960 and 1,280 channels are Once-for-All's."""
    published = [24, 32, 48, 96, 136, 192, 1152, 1536]
    assert [make_divisible(1.2 * channels, 8) for channels in (16, 24, 40, 80, 112, 160, 960, 1280)] == published
    assert [make_divisible(channels, 8) for channels in (1, 8.8, 8.9, 12, 100)] == [8, 8, 16, 16, 104]


def test_sides_are_rounded_up() -> None:
    assert strided((27, 5), 2) == (14, 3)
    assert strided((27, 5), 1) == (27, 5)


def _some(space: Mobile, count: int) -> list[Genome]:
    rng = np.random.default_rng(3)
    return [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(count))]
