"""Weights of parents are handed on to the bit, from the nearest, or the search is told that they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_space import TinySpace
from torch import nn

from evonas.errors import DataError
from evonas.space import Genome
from evonas.workers.parent_weights import ParentWeights
from evonas.workers.weight_store import WeightStore

SPACE = TinySpace()
CHILD = (2, 1, 1)


def weights(folder: Path, seed: int = 0) -> ParentWeights:
    return ParentWeights(WeightStore(folder / "weights"), SPACE, seed)


def kept(folder: Path, genome: Genome, epochs: int) -> nn.Module:
    network = SPACE.build(genome)
    weights(folder).keep(network, genome, epochs)
    return network


def test_an_equal_network_gets_weights_and_statistics_to_the_bit(tmp_path: Path) -> None:
    parent = kept(tmp_path, CHILD, 7)
    heir = SPACE.build(CHILD)
    assert weights(tmp_path).hand_on(heir, CHILD, [CHILD]) == 7
    assert all(torch.equal(value, parent.state_dict()[name]) for name, value in heir.state_dict().items())


def test_the_nearest_parent_hands_on_the_first_of_equals(tmp_path: Path) -> None:
    epochs = {(0, 0, 1): 1, (2, 1, 0): 2, (2, 0, 1): 3}
    for genome, number in epochs.items():
        kept(tmp_path, genome, number)
    for parents in (list(epochs), list(reversed(epochs))):
        nearest = next(genome for genome in parents if genome != (0, 0, 1))
        assert weights(tmp_path).hand_on(SPACE.build(CHILD), CHILD, parents) == epochs[nearest]


def test_what_has_another_shape_stays_as_it_was_built(tmp_path: Path) -> None:
    parent, heir = kept(tmp_path, (2, 0, 1), 1).state_dict(), SPACE.build(CHILD)
    fresh = {name: value.clone() for name, value in heir.state_dict().items()}
    weights(tmp_path).hand_on(heir, CHILD, [(2, 0, 1)])
    changed = {name for name, value in heir.state_dict().items() if not torch.equal(value, fresh[name])}
    assert {name for name in fresh if fresh[name].shape != parent[name].shape} == {"0.weight", "3.weight"}
    assert changed == {"8.weight", "8.bias"}


@pytest.mark.parametrize("other", ["seed", "network"])
def test_weights_that_are_not_there_are_said_with_the_way_out(other: str, tmp_path: Path) -> None:
    kept(tmp_path, (0, 1, 1) if other == "network" else (2, 1, 0), 1)
    with pytest.raises(DataError, match=r"\[2, 1, 0\], from which \[2, 1, 1\] is to start, .* start a new run"):
        weights(tmp_path, seed=int(other == "seed")).hand_on(SPACE.build(CHILD), CHILD, [(2, 1, 0)])


def test_a_folder_that_workers_do_not_share_is_told_before_anybody_inherits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be kept in .*run/weights .*No such file.* one that all workers share"):
        weights(tmp_path / "run").keep(SPACE.build(CHILD), CHILD, 1)
