"""Genetic programming finds proxies that no statistic is alone, the same for the same seed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from evonas.proxies.deap_evolution import HEIGHT, NODES, evolved, tau
from evonas.proxies.expression import Expression, Layers
from evonas.seeds import generator

NAMES = ("a", "b", "c")
RNG = generator(0, "layers")
TABLES = [RNG.lognormal(size=(int(RNG.integers(3, 9)), 3)) for _ in range(80)]
LAYERS = Layers.of(NAMES, TABLES)
HIDDEN = Expression.parsed(["sum", ["divide", "a", ["root", "b"]]], NAMES)
ACCURACIES = HIDDEN.scores(LAYERS)
KNOWN = [Expression.parsed(["sum", name], NAMES) for name in NAMES]
FIT, HELD_OUT = np.arange(40), np.arange(40, 80)


def test_a_hidden_proxy_is_found_on_one_half_and_holds_on_the_other() -> None:
    best_known = max(tau(known.scores(LAYERS), ACCURACIES) for known in KNOWN)
    found = evolved(LAYERS.rows(FIT), ACCURACIES[FIT], KNOWN, 0, population=100, generations=30)
    held_out = tau(found.expression.scores(LAYERS.rows(HELD_OUT)), ACCURACIES[HELD_OUT])
    assert best_known < 0.75
    assert found.tau > 0.9
    assert held_out > 0.85
    assert len(found.expression) <= NODES
    assert found.tau == tau(found.expression.scores(LAYERS.rows(FIT)), ACCURACIES[FIT])
    assert Expression.parsed(found.expression.tree, NAMES) == found.expression, "it is of the right types"


def test_it_is_never_worse_than_what_it_begins_with() -> None:
    known = [*KNOWN, HIDDEN]
    found = evolved(LAYERS, ACCURACIES, known, 3, population=10, generations=3)
    assert found.expression == HIDDEN
    assert found.tau == pytest.approx(1.0)


SCRIPT = """
import test_deap_evolution as t
print(t.evolved(t.LAYERS, t.ACCURACIES, t.KNOWN, 5, population=40, generations=5, parsimony=0.0).expression)
"""


def test_the_seed_alone_decides_in_any_process_and_python_draws_on() -> None:
    random.seed(1)
    expected = random.Random(1).random()
    here = evolved(LAYERS, ACCURACIES, KNOWN, 5, population=40, generations=5, parsimony=0.0)
    assert random.random() == expected, "Python's own generator was left alone"
    there = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    ).stdout.strip()
    assert str(here.expression) == there
    other = evolved(LAYERS, ACCURACIES, KNOWN, 6, population=40, generations=5, parsimony=0.0)
    assert other.expression != here.expression


def test_parsimony_makes_smaller_trees() -> None:
    def nodes(parsimony: float) -> int:
        return len(evolved(LAYERS, ACCURACIES, KNOWN, 1, population=60, generations=12, parsimony=parsimony).expression)

    assert nodes(0.05) < nodes(0.0) <= NODES


def test_it_ends_when_nothing_better_is_found() -> None:
    noise = generator(1, "noise").normal(size=80)
    patient = evolved(LAYERS, noise, KNOWN, 0, population=20, generations=1000, patience=2)
    assert patient.generations < 1000


def test_tau_is_scipys_and_lowest_where_it_says_nothing() -> None:
    scores = generator(2, "scores").normal(size=80)
    assert tau(scores, ACCURACIES) == kendalltau(scores, ACCURACIES).statistic
    assert tau(np.ones(80), ACCURACIES) == -1.0
    assert tau(np.append(scores[:-1], np.inf), ACCURACIES) == -1.0


def test_trees_keep_their_height() -> None:
    def height(tree: object) -> int:
        return 1 + max(map(height, tree[1:])) if isinstance(tree, tuple) else 0

    found = evolved(LAYERS, ACCURACIES, KNOWN, 2, population=60, generations=15, parsimony=0.0)
    assert height(found.expression.tree) <= HEIGHT
