"""Expressions of statistics of layers compute what they say, and files of them are checked and never executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evonas.errors import DataError
from evonas.proxies.expression import ELEMENTWISE, MOST_NODES, Expression, Layers, load

NAMES = ("saliency", "weights")
DEEP, SHALLOW = np.array([[1.0, 10.0], [-2.0, 20.0], [4.0, 0.0]]), np.array([[3.0, 5.0]])
LAYERS = Layers.of(NAMES, [DEEP, SHALLOW])


def scores(plain: Any) -> list[float]:
    return Expression.parsed(plain, NAMES).scores(LAYERS).tolist()


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (["sum", "saliency"], [3.0, 3.0]),
        (["mean", ["absolute", "saliency"]], [7 / 3, 3.0]),
        (["maximum", ["negate", "saliency"]], [2.0, -3.0]),
        (["minimum", "weights"], [0.0, 5.0]),
        (["deviation", "weights"], [float(np.std([10, 20, 0])), 0.0]),
        (["sum", ["divide", "saliency", "weights"]], [0.1 - 0.1 + 0.0, 0.6]),
        (["sum", ["multiply", "saliency", ["mean", "weights"]]], [30.0, 15.0]),
        (["sum", ["log", "weights"]], [np.log(10) + np.log(20) + np.log(1e-12), np.log(5)]),
        (["subtract", ["square", ["sum", "saliency"]], 2], [7.0, 7.0]),
        (["root", ["negate", ["sum", ["add", "weights", 0.5]]]], [np.sqrt(31.5), np.sqrt(5.5)]),
        (1.5, [1.5, 1.5]),
    ],
)
def test_scores_are_worked_out_by_hand_and_missing_layers_count_nothing(plain: Any, expected: list[float]) -> None:
    assert np.allclose(scores(plain), expected)


def test_what_overflows_is_not_finite_and_warns_of_nothing() -> None:
    plain: Any = ["sum", "weights"]
    for _ in range(12):
        plain = ["square", plain]
    assert not np.isfinite(scores(["subtract", plain, plain])).any()


def test_networks_side_by_side_score_as_they_do_alone() -> None:
    expression = Expression.parsed(["sum", ["divide", "saliency", ["deviation", "weights"]]], NAMES)
    alone = [expression.scores(Layers.of(NAMES, [table]))[0] for table in (DEEP, SHALLOW)]
    assert expression.scores(LAYERS).tolist() == alone == expression.scores(LAYERS.rows(np.array([0, 1]))).tolist()


def test_a_file_gives_back_the_expression(tmp_path: Path) -> None:
    expression = Expression.parsed(["log", ["sum", ["multiply", "saliency", 2.5]]], NAMES)
    expression.save(tmp_path / "proxy.json", {"tau": 0.7})
    assert load(tmp_path / "proxy.json", NAMES) == expression
    assert json.loads((tmp_path / "proxy.json").read_text())["tau"] == 0.7
    assert len(expression) == 5
    assert str(expression) == "log(sum(multiply(saliency, 2.5)))"


def nested(levels: int) -> str:
    return '["negate", ' * levels + '["sum", "saliency"]' + "]" * levels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"expression": "saliency"}', "is a number of each layer: make it one of the network, with sum, mean"),
        ('{"expression": ["sum", "salience"]}', "'salience' is no statistic of layers; did you mean 'saliency'"),
        ('{"expression": ["summ", "saliency"]}', "'summ' is no operation; did you mean 'sum'"),
        ('{"expression": ["__import__", "os"]}', "'__import__' is no operation"),
        ('{"expression": ["sum", ["mean", "weights"]]}', "'sum' takes a number of each layer"),
        ('{"expression": ["add", ["sum", "weights"]]}', "'add' takes 2, not 1"),
        ('{"expression": ["add", 1, true]}', "True is no expression"),
        ('{"expression": [[], 1]}', "is no expression"),
        ('{"expression": NaN}', "is no expression"),
        ('{"expresion": 1}', "must be a JSON object with an 'expression'"),
        ("sum(saliency)", "cannot be read"),
        ('{"expression": ' + nested(MOST_NODES) + "}", f"at most {MOST_NODES} names and numbers"),
        ('{"expression": ' + nested(100_000) + "}", "cannot be read"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "proxy.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as refused:
        load(path, NAMES)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 400
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "missing.json", NAMES)


def test_operations_never_divide_by_zero() -> None:
    for name, (number, operation) in ELEMENTWISE.items():
        with np.errstate(all="raise"):
            assert np.isfinite(operation(*[np.array([0.0, 1.0, -1.0])] * number)).all(), name
