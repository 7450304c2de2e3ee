"""GBDT-NAS satisfies the contract, and prunes the options that hurt."""

from __future__ import annotations

import numpy as np
import pytest
from strategy_contract import StrategyContract, play, proposed
from surrogates import LINEAR, surrogate
from toy import ToySpace

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.goals import Goals, Objective

USE = "evonas.strategies.gbdt_nas:GBDTNAS"
GENES = 14


class TestGBDTNAS(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 200})


@pytest.mark.parametrize(("genes", "prune"), [(GENES, 0.1), (6, 0.1)])
def test_networks_have_no_option_that_hurts(genes: int, prune: float) -> None:
    """Option 1 of the first genes costs error and gains nothing; four options of 42 may be pruned, one of 18."""

    def outcome_of(candidate: Candidate) -> Evaluation:
        error = 0.1 + sum((5 - gene) * (option == 1) for gene, option in enumerate(candidate.genome[:4])) / 100
        return Evaluation(candidate, {"valid_error": error}, Source.TABULAR, seconds=0.0, seed=0)

    space = ToySpace(genes, redundant=False)
    goals = Goals((Objective("valid_error", False, 1.0),))
    strategy = surrogate(USE, EarlyExit(space, ()), goals, initial=60, batch=20, lag=0, prune=prune)
    genomes = np.array([candidate.genome for candidate in proposed(play(strategy, 80, outcome_of=outcome_of))])
    pruned = 4 if genes == GENES else 1
    assert (genomes[:60, :pruned] == 1).any(axis=0).all()
    assert not (genomes[60:, :pruned] == 1).any()


def test_a_share_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="'prune' must be a share, from 0 to less than 1, and is 1"):
        surrogate(USE, prune=1.0)
