"""Training a supernet learns, repeats to the bit, and goes on where it was as if it had never stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from tiny_space import TinySpace
from tiny_supernet import TinySupernet

from evonas.workers.batch_norm import recalibrate
from evonas.workers.datasets import digits
from evonas.workers.examples import Examples
from evonas.workers.recipe import Recipe
from evonas.workers.supernets.method import Method, subnet_of
from evonas.workers.supernets.sandwich import Sandwich
from evonas.workers.supernets.single_path import SinglePath
from evonas.workers.supernets.training import Training
from evonas.workers.training import score, seeded

CPU = torch.device("cpu")
SPACE = TinySpace()
DATA = digits(train_size=300)
TRAIN, VALID = Examples.of(DATA, DATA.train, CPU), Examples.of(DATA, DATA.valid, CPU)
RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=0.1, warmup_epochs=0.5, weight_decay=5e-4, shift=1)


def training(recipe: Recipe = RECIPE, method: Method | None = None, seed: int = 0) -> Training:
    with seeded(seed, CPU):
        supernet = TinySupernet(SPACE)
    return Training(supernet, method or SinglePath(SPACE, seed), TRAIN, recipe, seed)


def same(one: Training, other: Training) -> bool:
    first, second = one.arrays(), other.arrays()
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "method", [SinglePath(SPACE, 0), Sandwich(SPACE, 0, random_subnets=1)], ids=["spos", "sandwich"]
)
def test_all_subnets_learn(method: Method) -> None:
    run = training(replace(RECIPE, epochs=12, batch_size=16, learning_rate=0.05, shift=0), method)
    losses = [run.epoch() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    for genome, at_most in ((SPACE.largest(), 0.4), ((1, 1, 0), 0.6), (SPACE.smallest(), 0.8)):
        subnet = subnet_of(run.supernet, genome)
        recalibrate(subnet, TRAIN, RECIPE)
        assert score(subnet, VALID, RECIPE).error < at_most


@pytest.mark.parametrize("changed", [{}, {"optimizer": "adamw", "learning_rate": 0.01}, {"mixed_precision": True}])
def test_a_state_that_is_taken_back_goes_on_to_the_bit(changed: dict[str, object]) -> None:
    recipe = replace(RECIPE, **changed)  # type: ignore[arg-type]
    whole = training(recipe)
    whole.epoch()
    kept, facts = {name: array.copy() for name, array in whole.arrays().items()}, whole.facts()
    whole.epoch()
    resumed = training(recipe, seed=0)
    resumed.restore(kept, facts)
    assert not same(whole, resumed)
    assert resumed.epochs == 1
    resumed.epoch()
    assert same(whole, resumed)


def test_training_follows_its_seed_alone() -> None:
    first, second, other = training(), training(), training(seed=1)
    other.restore(first.arrays(), first.facts())
    first.epoch()
    torch.rand(3)
    second.epoch()
    other.epoch()
    assert same(first, second)
    assert not same(first, other)
