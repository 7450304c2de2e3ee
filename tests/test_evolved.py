"""A file of an expression is a proxy as any other."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
from proxy_contract import ALL_KINDS, CELLS, ProxyContract, built
from torch import arange, nn, ones, randn, zeros

from evonas.errors import ConfigError, DataError
from evonas.proxies.expression import STATISTICS, Expression
from evonas.workers.datasets import digits
from evonas.workers.proxies.evolved import evolved
from evonas.workers.zero_cost import ZeroCost

ALL = Expression.parsed(0.0)
for name in STATISTICS:
    ALL = Expression(("add", ALL.tree, ("mean", name)))


class TestEvolved(ProxyContract):
    proxy = partial(evolved, Expression.parsed(["sum", ["multiply", "saliency", "activation_size"]]))
    of_nothing = 0.0

    def test_all_statistics_are_finite_on_all_operations(self) -> None:
        assert math.isfinite(evolved(ALL, built(CELLS, ALL_KINDS), randn(8, 1, 8, 8), arange(8) % 3))


def test_an_evaluator_scores_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "saliency.json"
    Expression.parsed(["sum", "saliency"]).save(file, {})
    evaluator = ZeroCost(CELLS, digits(), 0, proxies=["snip"], expressions={"evolved": file}, batch_size=8)
    measured = evaluator.measure(ALL_KINDS, None)
    assert [metric.name for metric in evaluator.metrics] == ["snip", "evolved"]
    assert measured["evolved"] == pytest.approx(measured["snip"], rel=1e-4)
    before = evaluator.fingerprint()
    Expression.parsed(["mean", "saliency"]).save(file, {})
    alone = ZeroCost(CELLS, digits(), 0, proxies=[], expressions={"evolved": file}, batch_size=8)
    assert alone.fingerprint() != before
    assert alone.measure(ALL_KINDS, None)["evolved"] < measured["evolved"]


def test_files_are_checked_before_a_search_begins(tmp_path: Path) -> None:
    file = tmp_path / "proxy.json"
    file.write_text('{"expression": ["sum", "salience"]}')
    with pytest.raises(DataError, match="did you mean 'saliency'"):
        ZeroCost(CELLS, digits(), 0, expressions={"evolved": file})
    Expression.parsed(["sum", "saliency"]).save(file, {})
    with pytest.raises(ConfigError, match="names of their own"):
        ZeroCost(CELLS, digits(), 0, proxies=["snip"], expressions={"snip": file})


def test_a_network_without_layers_has_no_score() -> None:
    assert math.isnan(evolved(ALL, nn.Identity(), ones(2, 3), zeros(2).long()))
