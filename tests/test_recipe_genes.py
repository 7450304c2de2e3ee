"""Recipe genes are refused where they mean nothing, and searched, journaled and resumed like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from evonas import check, config, search
from evonas.compose import prepare
from evonas.errors import ConfigError, EvonasError
from evonas.history import History
from evonas.joint_space import JointSpace
from evonas.pareto import digest

RECIPE: dict[str, list[Any]] = {
    "learning_rate": [0.025, 0.1],
    "weight_decay": [0.0, 5.0e-4],
    "label_smoothing": [0.0, 0.1],
    "cutout": [0, 4],
    "optimizer": ["sgd", "adamw"],
}
DIGITS: dict[str, Any] = {
    "space": "tiny_space:TinySpace",
    "data": {"use": "evonas.workers.datasets:digits", "train_size": 200},
    "evaluator": {"epochs": 1},
    "recipe": RECIPE,
    "strategy": {"population": 6},
    "evaluations": 12,
    "pool": "evonas.workers.local_pool:LocalPool",
    "tracking": None,
}


def facts(history: History) -> tuple[str, str]:
    return history.front.digest(), digest(history.evaluations)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    return search.run(config.parse(DIGITS), tmp_path_factory.mktemp("runs") / "run")


def test_a_search_chooses_recipes_with_architectures(searched: tuple[Path, History]) -> None:
    run, history = searched
    space = prepare(config.parse(DIGITS)).space
    assert isinstance(space, JointSpace)
    assert len(history.evaluations) == 12
    recipes = [space.recipe(evaluation.candidate.genome) for evaluation in history.evaluations]
    for name, options in RECIPE.items():
        assert {recipe[name] for recipe in recipes} == set(options)
    table = parquet.read_table(run / "evaluations.parquet").to_pylist()
    for row, recipe in zip(table, recipes, strict=True):
        assert {name: row[name] for name in RECIPE} == {name: str(option) for name, option in recipe.items()}
    front = json.loads((run / "front.json").read_text())["front"]
    assert all(set(RECIPE) <= set(member["genes"]) for member in front)


def test_a_search_that_is_cut_off_anywhere_ends_as_the_uninterrupted(
    searched: tuple[Path, History], tmp_path: Path
) -> None:
    run, history = searched
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for cut in (3, len(lines) // 2, len(lines) - 1):
        copy = tmp_path / str(cut)
        shutil.copytree(run, copy)
        (copy / "journal.jsonl").write_bytes(b"".join(lines[:cut]) + lines[cut][:20])
        assert facts(search.resume(copy)) == facts(history)


def test_a_prolonged_search_equals_one_that_was_as_long_from_the_start(
    searched: tuple[Path, History], tmp_path: Path
) -> None:
    short, _ = search.run(config.parse({**DIGITS, "evaluations": 6}), tmp_path / "run")
    assert facts(search.resume(short, ["evaluations=12"])) == facts(searched[1])


def test_another_recipe_is_another_experiment(searched: tuple[Path, History], tmp_path: Path) -> None:
    plain = {key: value for key, value in DIGITS.items() if key != "recipe"}
    assert "recipe" not in config.parse(plain).plain()
    assert config.parse({**plain, "recipe": {}}).identity() == config.parse(plain).identity()
    assert config.parse({**plain, "recipe": None}).identity() == config.parse(plain).identity()
    assert config.parse(DIGITS).identity() != config.parse(plain).identity()
    with pytest.raises(EvonasError, match="belongs to another experiment: recipe would change"):
        search.resume(searched[0], ["recipe.learning_rate=[0.025, 0.2]"])


def test_the_key_of_the_cache_says_what_the_genes_mean() -> None:
    facts, changed = (
        prepare(config.parse({**DIGITS, "recipe": {"learning_rate": rates}})).evaluation_facts()
        for rates in ([0.025, 0.1], [0.05, 0.1])
    )
    assert facts != changed
    assert {key for key in facts if facts[key] != changed[key]} == {"recipe"}
    assert "recipe" not in prepare(config.parse({**DIGITS, "recipe": {}})).evaluation_facts()


def test_a_check_rehearses_recipes() -> None:
    said = "\n".join(check.report(config.parse({**DIGITS, "recipe": {"epochs": [1, 40]}})))
    assert "4 genes, 36 genomes" in said
    assert said.count("rehearsed") == 3


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"learning_rate": [0.1, -1]}, "recipe: Trained: 'learning_rate' must be above 0, and is -1"),
        ({"cutout": [0, 9]}, "recipe: Trained: 'cutout' must be at most the images' size, 8 pixels, and is 9"),
        ({"learning_rat": [0.1, 0.2]}, "'learning_rat' is no option .* did you mean 'learning_rate'"),
        ({"device": ["cpu", "cuda"]}, "'device' is no option that .* can follow a gene in"),
        ({"optimizer": ["sgd", "adam"]}, "recipe: optimizer: input should be 'sgd' or 'adamw', not 'adam'"),
        ({"shift": [0, 0.5]}, "recipe: shift: input should be a valid integer"),
        ({"epochs": [1, 1]}, "the options of 'epochs' must differ"),
        ({"width": [1, 2]}, "'width' is a gene of the architectures already"),
    ],
)
def test_what_training_would_refuse_is_refused_at_the_start(recipe: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        prepare(config.parse({**DIGITS, "recipe": recipe}))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"epochs": 3}, r"recipe.epochs: must be a list of plain options to choose from, such as \[0.05, 0.1\], not 3"),
        ({"epochs": []}, "recipe.epochs: must be a list of plain options"),
        ({"epochs": [[1], [2]]}, "recipe.epochs: must be a list of plain options"),
        ([1], "recipe: input should be an object, not"),
    ],
)
def test_what_is_no_recipe_is_refused_by_its_key(recipe: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.parse({**DIGITS, "recipe": recipe})


def test_an_evaluator_that_does_not_train_is_refused() -> None:
    formula = {"space": "synthetic:IntegerSpace", "data": None, "evaluator": "synthetic:FormulaEvaluator"}
    with pytest.raises(ConfigError, match=r"synthetic:FormulaEvaluator trains by no recipe, so its learning_rate can"):
        prepare(config.parse({**formula, "recipe": {"learning_rate": [0.1, 0.2]}, "tracking": None}))
