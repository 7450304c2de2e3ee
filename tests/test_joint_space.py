"""A joint space is its architectures' space with one gene more for every option of training that is searched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from space_contract import SpaceContract
from tiny_space import TinySpace
from toy import ToySpace

from evonas.errors import ConfigError, GenomeError
from evonas.joint_space import JointSpace
from evonas.predictor import Encoding
from evonas.spaces.cell201 import Cell201

RECIPE = {"learning_rate": [0.025, 0.05, 0.1], "optimizer": ["sgd", "adamw"], "cutout": [0, 4]}
TINY = TinySpace()
JOINT = JointSpace(TINY, RECIPE)


class TestJointSpace(SpaceContract):
    space = JOINT
    classes = 10

    def inputs(self, batch: int) -> torch.Tensor:
        return torch.randn(batch, *TINY.input_shape)


class TestJointSpaceOfCells(SpaceContract):
    """Of a space whose genomes are redundant."""

    cells = Cell201(stem_channels=2, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
    space = JointSpace(cells, {"epochs": [1, 2]})
    classes, built = 10, 2

    def inputs(self, batch: int) -> torch.Tensor:
        return torch.randn(batch, *self.cells.input_shape)


def test_a_genome_splits_into_architecture_and_recipe() -> None:
    genome = (2, 1, 0, 2, 1, 1)
    assert JOINT.split(genome) == ((2, 1, 0), (2, 1, 1))
    assert JOINT.recipe(genome) == {"learning_rate": 0.1, "optimizer": "adamw", "cutout": 4}
    assert JOINT.describe(genome) == {
        **TINY.describe((2, 1, 0)), "learning_rate": "0.1", "optimizer": "adamw", "cutout": "4"
    }  # fmt: skip
    assert TINY.recipe((2, 1, 0)) == {}, "a space without recipe genes chooses nothing"
    assert JOINT.size() == 18 * 12


def test_costs_and_networks_are_the_architecture_s_whatever_the_recipe() -> None:
    cells = Cell201(stem_channels=4, cells_per_stage=1, stages=2, input_shape=(1, 8, 8))
    joint, rng = JointSpace(cells, RECIPE), np.random.default_rng(0)
    for _ in range(50):
        genome = joint.sample(rng)
        assert joint.costs(genome) == cells.costs(genome[:6])
        assert joint.activations(genome) == cells.activations(genome[:6])
        assert joint.canonical(genome) == (*cells.canonical(genome[:6]), *genome[6:])
    assert JOINT.activations(JOINT.smallest()) is None
    networks = []
    for build in (lambda: JOINT.build((2, 1, 0, 2, 1, 1)), lambda: TINY.build((2, 1, 0))):
        torch.manual_seed(0)
        networks.append(build().state_dict())
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[1])


def test_equal_networks_of_different_recipes_are_different_candidates() -> None:
    toy = ToySpace(length=4)
    joint = JointSpace(toy, {"epochs": [1, 2]})
    assert toy.canonical((0, 2, 1, 0)) == toy.canonical((0, 0, 0, 1))
    assert joint.canonical((0, 2, 1, 0, 1)) == joint.canonical((0, 0, 0, 1, 1)) != joint.canonical((0, 0, 0, 1, 0))


def test_samples_are_uniform_over_recipes() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([JOINT.split(JOINT.sample(rng))[1] for _ in range(3000)])
    for position, options in enumerate((3, 2, 2)):
        counts = np.bincount(drawn[:, position], minlength=options)
        assert np.abs(counts - 3000 / options).max() < 4 * np.sqrt(3000 / options)


def test_validation_is_the_architecture_s_too() -> None:
    class Half(TinySpace):
        def validate(self, genome):  # type: ignore[no-untyped-def]
            if genome[0] > 0:
                raise GenomeError("not in the table")
            return super().validate(genome)

    assert JointSpace(Half(), RECIPE).validate([0, 1, 0, 2, 1, 1]) == (0, 1, 0, 2, 1, 1)
    with pytest.raises(GenomeError, match="not in the table"):
        JointSpace(Half(), RECIPE).validate([1, 1, 0, 2, 1, 1])


def test_weights_are_inherited_as_the_architectures_say() -> None:
    class Noting(TinySpace):
        def morph(self, parent, child, weights, fresh):  # type: ignore[no-untyped-def]
            return {**fresh, "told": (parent, child)}

    joint = JointSpace(Noting(), RECIPE)
    assert joint.morph((0, 1, 0, 2, 1, 1), (1, 1, 0, 0, 0, 0), {}, {})["told"] == ((0, 1, 0), (1, 1, 0))


def test_predictors_see_recipes_as_genes_and_numbers_as_numbers() -> None:
    features = Encoding(JOINT)([(2, 1, 0, 2, 1, 1), (0, 0, 0, 0, 0, 0)])
    assert features.sizes == (3, 3, 2, 3, 2, 2)
    number = dict(zip(features.names, features.numbers.T, strict=True))
    assert number["learning_rate"].tolist() == [0.1, 0.025]
    assert "optimizer" not in number


def test_features_are_those_of_the_architecture() -> None:
    cells = Cell201()
    joint = JointSpace(cells, RECIPE)
    assert joint.features((3, 0, 2, 1, 4, 0, *(0 for _ in RECIPE))) == cells.features((3, 0, 2, 1, 4, 0))


def test_what_cannot_join_is_refused() -> None:
    with pytest.raises(ConfigError, match="recipe: 'width' is a gene of the architectures already"):
        JointSpace(TINY, {"width": [1, 2]})
    with pytest.raises(ConfigError, match=r"the options of 'epochs' must differ, and are \[1, 2, 1.0\]"):
        JointSpace(TINY, {"epochs": [1, 2, 1.0]})
