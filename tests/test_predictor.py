"""Features and what encodes genomes: every column is what it is named, and costs are exact."""

from __future__ import annotations

import numpy as np
import pytest
from toy import ToySpace

from evonas.errors import ConfigError
from evonas.predictor import Encoding, Features
from evonas.spaces.cell201 import Cell201

SPACE = ToySpace(4, redundant=False)
GENOMES = [(0, 1, 2, 0), (2, 2, 2, 2), (1, 0, 0, 1)]


def test_choices_are_the_genomes_and_one_hot_is_in_the_order_of_genes() -> None:
    features = Encoding(SPACE)(GENOMES)
    assert len(features) == 3
    assert features.choices.tolist() == [list(genome) for genome in GENOMES]
    ones = [[0, 4, 8, 9], [2, 5, 8, 11], [1, 3, 6, 10]]
    assert [row.nonzero()[0].tolist() for row in features.one_hot()] == ones
    assert features.one_hot().sum() == features.one_hot().max() * 12 == 12
    assert features.rows(np.arange(0)).one_hot().shape == (0, 12)
    assert features.matrix().shape == (3, sum(features.sizes) + len(features.names))


def test_numbers_are_values_of_genes_then_logarithms_of_costs_then_what_is_measured() -> None:
    features = Encoding(SPACE, measured=["score"])(GENOMES, [{"score": 0.5}, {"score": 1.5}, {"score": -1.0}])
    assert features.names == ("g0", "g1", "g2", "g3", "macs", "params", "score")
    assert features.ordinals == (0, 1, 2, 3), "the genes whose values the first columns are"
    assert features.numbers[:, :4].tolist() == [list(genome) for genome in GENOMES]
    expected = [[SPACE.costs(genome)[name] for name in ("macs", "params")] for genome in GENOMES]
    np.testing.assert_allclose(np.expm1(features.numbers[:, 4:6]), expected)
    assert features.numbers[:, 6].tolist() == [0.5, 1.5, -1.0]


def test_options_that_are_names_are_no_numbers() -> None:
    space, genome = Cell201(), (0, 1, 2, 3, 4, 0)
    features = Encoding(space, costs=["params"])([genome])
    told = sorted(space.features(genome))
    assert (features.names, features.ordinals, features.sizes) == (("params", *told), (), (5,) * 6)


def test_features_of_the_space_come_after_its_costs() -> None:
    space, genome = Cell201(), (3, 0, 2, 1, 4, 0)
    features = Encoding(space, measured=["score"])([genome], [{"score": 0.5}])
    assert features.names == ("macs", "params", *sorted(space.features(genome)), "score")
    assert dict(zip(features.names[2:-1], features.numbers[0, 2:-1], strict=True)) == space.features(genome)
    assert Encoding(space)([]).numbers.shape == (0, len(features.names) - 1)


@pytest.mark.parametrize("name", ["g0", "params", "score"])
def test_a_feature_has_a_name_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToySpace, "features", lambda self, genome: {name: 1.0})
    with pytest.raises(ConfigError, match=f"tells a feature '{name}', which names a gene, a static cost or a measured"):
        Encoding(SPACE, measured=["score"])


@pytest.mark.parametrize("value", [{"other": 1.0}, {"depth": float("nan")}])
def test_features_are_finite_and_named_alike(value: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    told = lambda self, genome: value if genome == GENOMES[1] else {"depth": 1.0}  # noqa: E731
    monkeypatch.setattr(ToySpace, "features", told)
    with pytest.raises(
        ConfigError, match=r"features of \[2, 2, 2, 2\] are .*finite numbers of every genome, by .*depth"
    ):
        Encoding(SPACE)(GENOMES)


def test_rows_and_nothing_else_are_picked() -> None:
    features = Encoding(SPACE)(GENOMES)
    for index in (np.array([2, 0]), np.array([False, True, False])):
        some = features.rows(index)
        assert np.array_equal(some.matrix(), features.matrix()[index])
        assert (some.sizes, some.names, some.ordinals) == (features.sizes, features.names, features.ordinals)
    assert Encoding(SPACE)([]).matrix().shape == (0, features.matrix().shape[1])


def test_a_cost_that_the_space_does_not_count_is_refused() -> None:
    with pytest.raises(ConfigError, match="'parms' is no static cost of the space; did you mean 'params'"):
        Encoding(SPACE, costs=["parms"])


def test_one_hot_of_genes_of_many_sizes_stays_apart() -> None:
    features = Features(np.array([[1, 0, 2]]), (2, 1, 3), np.empty((1, 0)), ())
    assert features.one_hot().tolist() == [[0, 1, 1, 0, 0, 1]]
