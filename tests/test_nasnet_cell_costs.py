"""Costs of NASNet cells equal torch's counts, of the network that is trained and of the final one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evonas.space import Genome
from evonas.spaces.nasnet_cell import NASNetCell
from evonas.spaces.nasnet_cell_costs import Skeleton

SPACES = [
    NASNetCell(blocks=3, layers=4, final_layers=6),
    NASNetCell(operations="nsga", blocks=2, concatenate="all", auxiliary=True, increment=3, layers=5, final_layers=3),
    NASNetCell(blocks=2, channels=5, layers=4, final_layers=5, final_increment=5, input_shape=(1, 27, 21), classes=3),
    NASNetCell(operations="nsga", blocks=1, channels=2, layers=3, final_layers=3, input_shape=(2, 1, 3), classes=1),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.operations}{space.blocks}")
def test_costs_equal_the_counts_of_both_networks(space: NASNetCell) -> None:
    """Of 20 genomes; `experiments/benchmarks/nasnet_cells.py` does the same with 500, and larger networks."""
    rng = np.random.default_rng(1)
    for genome in [space.sample(rng) for _ in range(5)]:
        search, final = (counted(build, genome, space) for build in (space.build, space.build_final))
        assert tuple(space.costs(genome).values()) == (*search, *final), genome


def test_channels_double_or_grow() -> None:
    doubling = Skeleton(4, 8, 0, (3, 32, 32), 10, auxiliary=False)
    growing = Skeleton(4, 8, 3, (3, 32, 32), 10, auxiliary=False)
    assert [layer.channels for layer in doubling.plan()] == [4, 4, 8, 8, 8, 16, 16, 16]
    assert [layer.channels for layer in growing.plan()] == [4, 7, 10, 13, 16, 19, 22, 25]
    assert [number for number, layer in enumerate(growing.plan()) if layer.reduction] == [2, 5]


def test_images_are_halved_twice_and_sides_rounded_up() -> None:
    sides = [layer.output_size for layer in Skeleton(2, 6, 0, (1, 27, 5), 10, auxiliary=False).plan()]
    assert sides == [(27, 5)] * 2 + [(14, 3)] * 2 + [(7, 2)] * 2


def counted(build: Callable[[Genome], nn.Module], genome: Genome, space: NASNetCell) -> tuple[float, float]:
    with torch.device("meta"):
        network, image = build(genome).eval(), torch.empty(1, *space.input_shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return float(sum(weight.numel() for weight in network.parameters())), counter.get_total_flops() / 2
