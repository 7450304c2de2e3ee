"""A supernet's file is complete with defaults, strict, and known by what decides the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evonas.config_supernet import RECIPE_DEFAULTS, SupernetExperiment, load, parse
from evonas.errors import ConfigError

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def test_an_empty_file_is_complete() -> None:
    experiment = parse({})
    assert {**experiment.recipe, **RECIPE_DEFAULTS} == experiment.recipe
    assert experiment.recipe["momentum"] == 0.9
    assert experiment.method.options == {"random_subnets": 2}
    assert parse(experiment.plain()) == experiment


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipes": {}}, r"recipes: there is no such key; did you mean 'recipe'\?"),
        ({"recipe": {"epoch": 3}}, r"recipe: epoch: there is no such key; did you mean 'epochs'\?"),
        ({"recipe": {"epochs": 2.5}}, r"recipe: epochs: input should be a valid integer"),
        ({"recipe": 3}, r"recipe: input should be an object, not 3"),
        ({"workers": 0}, r"workers: input should be greater than or equal to 1, not 0"),
        ({"curves": {"example": 3}}, r"curves\.example: there is no such key; did you mean 'examples'\?"),
        ({"data": None}, r"data: "),
        ({"supernet": "evonas.spaces.cell201_supernet:Cell201Supernett"}, r"has no 'Cell201Supernett'; did you mean"),
        ({"method": {"random_subnet": 3}}, r"method: random_subnet: there is no such key"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(values)


def test_the_identity_is_what_decides_the_weights() -> None:
    def identity(*overrides: str) -> str:
        return parse({}, overrides).identity()

    assert identity("name=x", "runs=y", "tracking=null", "curves.every=7") == identity()
    different = ("seed=1", "recipe.epochs=3", "workers=2", "cpus=2", "device=cpu", "method.random_subnets=1")
    assert len({identity(), *map(identity, different)}) == 1 + len(different)


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("supernet_*.yaml")), ids=lambda file: file.stem)
def test_the_files_that_ship_are_valid(file: Path) -> None:
    assert isinstance(load(file), SupernetExperiment)
