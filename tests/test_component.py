"""A component is found by its import path, told what is wrong with it, and built with what it asks for."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from toy import ToyEvaluator, ToySpace, toy_goals

from evonas.component import Component
from evonas.errors import ComponentError, DataError


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
        ("NSGA2", "must read 'package.module:Name': write the full import path, which 'evonas list' shows"),
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


def test_who_asks_for_data_is_told_where_to_name_them() -> None:
    with pytest.raises(ComponentError, match="asks for data, which cannot be supplied here: set 'data:' in the exp"):
        Component("evonas.workers.trained:Trained").build({"space": ToySpace(), "seed": 3})


def test_what_fails_when_it_is_built_is_told_with_the_place_in_the_code_of_the_user(here: Path) -> None:
    (here / "failing_data.py").write_text(
        "import json\n\ndef load(text='{}'):\n    return json.loads(text)['labels']\n"
        "class Space:\n    def __init__(self):\n        self.size = half(1)\n"
        "def half(x):\n    return x / 0\n"
    )
    for component, said, line in [
        (Component("failing_data:load"), "KeyError: 'labels'", 4),
        (Component("failing_data:load", {"text": "{"}), "JSONDecodeError: Expecting property name", 4),
        (Component("failing_data:Space"), "ZeroDivisionError: division by zero", 9),
    ]:
        with pytest.raises(ComponentError) as refused:
            component.build()
        message = str(refused.value)
        assert message.startswith(f"'use: {component.use}' fails when it is built: {said}"), message
        assert message.endswith(f"({here / 'failing_data.py'}, line {line}): mend it, or the options that it is given")
        assert refused.value.__cause__ is not None


def test_what_is_written_in_c_fails_without_a_place() -> None:
    with pytest.raises(ComponentError, match=r"fails when it is built: TypeError: memoryview: .*[^)]: mend it"):
        Component("builtins:memoryview", {"object": 1}).build()


def test_an_error_for_the_user_stays_what_it_is(here: Path) -> None:
    (here / "refusing_data.py").write_text(
        "from evonas.errors import DataError\n\ndef load():\n    raise DataError('shard 3 is empty')\n"
    )
    with pytest.raises(DataError, match=r"^shard 3 is empty$"):
        Component("refusing_data:load").build()


def test_a_class_that_hides_its_signature_is_refused() -> None:
    with pytest.raises(ComponentError, match="does not tell which options it takes: wrap it in a function"):
        Component("builtins:dict").parameters()


@pytest.mark.parametrize("plain", ["toy_predictor:Linear", {"use": "toy_predictor:Linear"}])
def test_a_plain_value_becomes_the_component_that_is_asked_for(plain: object) -> None:
    supplies = {"space": ToySpace(), "goals": toy_goals(), "admit": lambda genome, **_: True, "seed": 0}
    strategy = Component("evonas.strategies.linas:LINAS", {"predictor": plain}).build(supplies)
    assert strategy.predictor == Component("toy_predictor:Linear")


def test_a_component_is_small_and_picklable() -> None:
    component = Component("toy:ToySpace", {"length": 9})
    assert pickle.loads(pickle.dumps(component)) == component
    assert len(pickle.dumps(component)) < 200
