"""Networks that are listed are proposed in the order of the list, each once, on any number of workers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from strategy_contract import play, proposed
from toy import ToySpace, toy_goals

from evonas.controller import replay
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import GenomeError
from evonas.seeds import generator
from evonas.space import Genome
from evonas.strategies.listed import Listed

SPACE = ToySpace()


def listed(genomes: Sequence[Genome], *gates: Gate) -> Listed:
    return Listed(SPACE, toy_goals(), EarlyExit(SPACE, gates).admit, 0, genomes=genomes)


def test_each_network_is_proposed_once_in_the_order_of_the_list() -> None:
    twins = [(2, 0, 0, 0, 0, 1), (1, 0, 0, 0, 0, 0), (2, 0, 0, 0, 1, 0), (0, 1, 1, 1, 1, 1)]
    found = [candidate.genome for candidate in proposed(play(listed(twins), 10, capacity=2))]
    assert found == [(2, 0, 0, 0, 0, 1), (1, 0, 0, 0, 0, 0), (0, 0, 1, 1, 1, 1)]


def test_a_genome_of_another_space_is_refused() -> None:
    with pytest.raises(GenomeError, match="has 6 genes, not 2"):
        listed([(0, 1)])


def test_the_rest_follows_a_replay_and_a_longer_list() -> None:
    genomes = [SPACE.canonical(SPACE.sample(generator(0, number))) for number in range(30)]
    whole = proposed(play(listed(genomes), 100, capacity=1))
    for cut in (1, 4, 11):
        events = play(listed(genomes[:cut]), 100, capacity=3, order=cut)
        continued = listed(genomes)
        replay(continued, events)
        assert proposed(events) + proposed(play(continued, 100, capacity=2)) == whole


def test_gates_turn_away_what_is_listed() -> None:
    genomes = [(0, 0, 0, 0, 0, 0), (2, 2, 2, 2, 2, 2)]
    found = proposed(play(listed(genomes, Gate("params", at_most=20)), 10))
    assert [candidate.genome for candidate in found] == [(0, 0, 0, 0, 0, 0)]
