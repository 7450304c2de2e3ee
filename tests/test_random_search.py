"""Random search satisfies the contract, and draws the same sequence on any number of workers."""

from __future__ import annotations

from collections import Counter

import pytest
from strategy_contract import StrategyContract, play, proposed
from toy import ToySpace, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError
from evonas.strategies.random_search import RandomSearch


class TestRandomSearch(StrategyContract):
    component = Component("evonas.strategies.random_search:RandomSearch", {"block": 9})

    def test_sequence_is_the_same_on_any_number_of_workers(self) -> None:
        sequences = [proposed(play(self.strategy(), 50, capacity=n, order=n)) for n in (1, 3, 64)]
        assert sequences[0] == sequences[1] == sequences[2]

    def test_blocks_are_reported_as_generations(self) -> None:
        sizes = Counter(candidate.generation for candidate in proposed(play(self.strategy(), 20)))
        assert sizes == {0: 9, 1: 9, 2: 2}

    def test_first_genomes_are_uniform(self) -> None:
        gates = EarlyExit(ToySpace(length=2, redundant=False), ())
        first = Counter(self.strategy(gates, seed=seed).ask(1)[0].genome for seed in range(1800))
        assert len(first) == 9
        assert max(abs(count - 200) for count in first.values()) < 60  # more than 4 standard deviations of 13.3

    def test_initial_gates_apply_to_every_draw(self) -> None:
        gate = Gate("params", at_most=20, applies_to="initial")
        space = ToySpace()
        candidates = proposed(play(self.strategy(EarlyExit(space, [gate])), 50))
        assert all(gate.passes(space.costs(candidate.genome)["params"]) for candidate in candidates)


def test_block_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="'block' must be at least 1, and is 0"):
        RandomSearch(ToySpace(), toy_goals(), EarlyExit(ToySpace(), ()).admit, 0, block=0)
