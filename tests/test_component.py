"""A component is found by its import path, told what is wrong with it, and built with what it asks for."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from toy import ToyEvaluator, ToySpace

from evonas.component import Component
from evonas.errors import ComponentError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with whatever it adds to the search path and the modules taken back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("evonas.space", "must read 'package.module:Name'"),
        ("evonas.space:", "must read 'package.module:Name'"),
        (":SearchSpace", "must read 'package.module:Name'"),
        (".space:SearchSpace", "must read 'package.module:Name'"),
        ("evonas..space:SearchSpace", "must read 'package.module:Name'"),
        ("evonas.space:Search:Space", "must read 'package.module:Name'"),
        ("evonas.strategies.random_search:RandomSerch", "has no 'RandomSerch'; did you mean 'RandomSearch'?"),
        ("evonas.strategies.random_serch:RandomSearch", "random_serch'; did you mean 'random_search'?"),
        ("evonas.stratgies.random_search:RandomSearch", "no module 'evonas.stratgies'; did you mean 'strategies'?"),
        ("evonas.space.cells:Cell", "there is no module 'evonas.space.cells'"),
        ("nosuchthing.spaces:Mine", "no module 'nosuchthing'; run from the folder that holds it, or install it"),
        ("evonas.strategies.base:TRIES", "is of type int, not a class or a function"),
        ("evonas.space:SearchSpace", "names an abstract class: it lacks build, costs"),
        ("spaces.cell201:Cell201", "import evonas.spaces, not spaces"),
    ],
)
def test_what_cannot_be_found_is_told_with_the_nearest(use: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ComponentError) as refused:
        Component(use).load()
    assert str(refused.value).startswith(f"'use: {use}'")
    assert said in str(refused.value)


def test_a_module_of_the_user_lies_in_the_current_folder(here: Path) -> None:
    (here / "beside_me.py").write_text("def doubled(number, factor=2):\n    return number * factor\n")
    assert Component("beside_me:doubled", {"number": 4}).build() == 8
    with pytest.raises(ComponentError, match="no module 'beside_mee'; did you mean 'beside_me'"):
        Component("beside_mee:doubled").load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import numpy\nimport nosuchpackage.part\n", ["needs the package 'nosuchpackage'", "not installed", "line 2"]),
        ("x = (1,\n", ["SyntaxError", "'(' was never closed", "line 1"]),
        ("if True:\nx = 1\n", ["IndentationError", "line 2"]),
        ("from numpy import no_such_name\n", ["ImportError", "no_such_name", "line 1"]),
        ("def half(x):\n    return x / 0\n\nhalf(1)\n", ["ZeroDivisionError", "line 4"]),
        ("raise ModuleNotFoundError\n", ["ModuleNotFoundError", "line 1"]),
        ("import sys\nsys.exit('usage: ...')\n", ["SystemExit", "usage", "line 2"]),
        ("x = '\0'\n", ["cannot be imported"]),
        ("import numpy as np\nnp.zeros(-1)\n", ["ValueError", "negative", "line 2"]),
    ],
)
def test_a_module_that_fails_when_imported_is_told_with_file_and_line(text: str, said: list[str], here: Path) -> None:
    (here / "failing_module.py").write_text(text)
    with pytest.raises(ComponentError) as refused:
        Component("failing_module:Thing").load()
    message = str(refused.value)
    assert not [word for word in [*said, "failing_module"] if word not in message], message
    assert "Traceback" not in message
    if "line" in said[-1]:
        assert f"{here / 'failing_module.py'}, {said[-1]}" in message


def test_supplies_are_given_by_name_to_those_who_ask() -> None:
    space = ToySpace()
    evaluator = Component("toy:ToyEvaluator").build({"space": space, "seed": 3, "data": None, "recipe": None})
    assert isinstance(evaluator, ToyEvaluator)
    assert (evaluator.space, evaluator.seed) == (space, 3)
    assert Component("toy:ToySpace", {"length": 9}).build({"space": space, "seed": 3}).size() == 3**9


def test_what_cannot_be_supplied_is_named() -> None:
    with pytest.raises(
        ComponentError, match="'use: toy:ToyEvaluator' asks for space, seed, which cannot be supplied here"
    ):
        Component("toy:ToyEvaluator").build({"data": None})


def test_options_are_the_parameters_that_are_not_supplied() -> None:
    assert list(Component("evonas.strategies.random_search:RandomSearch").parameters()) == ["block"]
    assert list(Component("toy:ToySpace").parameters()) == ["length", "redundant"]
    assert list(Component("toy:toy_error").parameters()) == ["canonical"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"lenght": 3}, "unexpected keyword argument 'lenght'"), ({"self": 3}, "unexpected keyword argument 'self'")],
)
def test_options_that_it_does_not_take_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ComponentError, match=f"'use: toy:ToySpace' refuses its options: .*{said}"):
        Component("toy:ToySpace", options).build()


def test_a_missing_or_doubled_option_is_refused() -> None:
    with pytest.raises(ComponentError, match="missing a required argument: 'canonical'"):
        Component("toy:toy_error").build()
    with pytest.raises(ComponentError, match="multiple values for keyword argument 'seed'"):
        Component("toy:ToyEvaluator", {"seed": 4}).build({"space": ToySpace(), "seed": 3})


def test_an_error_inside_a_constructor_is_its_own() -> None:
    with pytest.raises(TypeError, match="as an integer"):
        Component("toy:ToySpace", {"length": "many"}).build()


def test_a_class_that_hides_its_signature_is_refused() -> None:
    with pytest.raises(ComponentError, match="does not tell which options it takes: wrap it in a function"):
        Component("builtins:dict").parameters()


def test_a_component_is_small_and_picklable() -> None:
    component = Component("toy:ToySpace", {"length": 9})
    assert pickle.loads(pickle.dumps(component)) == component
    assert len(pickle.dumps(component)) < 200
