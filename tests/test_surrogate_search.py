"""NSGA-II on predictions: it finds the predicted front, meets only what is fresh, and keeps to its predictions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_surrogate_model import LINEAR, SPACE, archive
from toy import toy_goals

from evonas.pareto import normalised_hypervolume
from evonas.space import Genome
from evonas.strategies.surrogate_model import LossModel, PredictedLosses
from evonas.strategies.surrogate_search import BRED, POPULATION, evolved

ALL = list(itertools.product(range(3), repeat=8))


@pytest.fixture(scope="module")
def model() -> LossModel:
    model = LossModel(SPACE, toy_goals(), LINEAR, seed=0)
    model.fit(archive(60))
    return model


def search(model: LossModel, taken: set[Genome], predictions: int = 2000) -> tuple[list[Genome], PredictedLosses]:
    return evolved(
        SPACE,
        model,
        [(0,) * 8],
        lambda genome: None if genome in taken else genome,
        predictions=predictions,
        optimism=0.0,
        rng=np.random.default_rng(0),
    )


def test_it_finds_nearly_all_of_the_predicted_front_with_a_third_of_the_predictions(model: LossModel) -> None:
    everything = normalised_hypervolume(model.predict(model.networks(ALL)).losses, model.goals)
    _, predicted = search(model, set())
    assert len(predicted.losses) <= 2100
    assert normalised_hypervolume(predicted.losses, model.goals) > 0.995 * everything


def test_predictions_are_those_of_the_networks_and_none_comes_twice(model: LossModel) -> None:
    genomes, predicted = search(model, {(0,) * 8})
    assert len(set(genomes)) == len(genomes) == len(predicted.losses)
    assert (0,) * 8 not in genomes
    again = model.predict(model.networks(genomes))
    np.testing.assert_allclose(predicted.losses, again.losses)
    assert all(type(option) is int for option in genomes[-1])


def test_it_ends_when_nothing_fresh_is_left(model: LossModel) -> None:
    rest = set(ALL[1000:1030])
    genomes, predicted = search(model, set(ALL) - rest)
    assert set(genomes) <= rest
    assert len(predicted.losses) == len(genomes)
    assert search(model, set(ALL))[0] == []


def test_it_ends_when_it_has_bred_enough_however_little_of_it_is_new(model: LossModel) -> None:
    bred = itertools.count()

    def rarely(genome: Genome) -> Genome | None:
        """Of the children after the founders, one in forty is fresh: a generation has one or two of them."""
        return genome if (number := next(bred)) < POPULATION or number % 40 == 0 else None

    genomes, predicted = evolved(
        SPACE, model, [(0,) * 8], rarely, predictions=500, optimism=0.0, rng=np.random.default_rng(0)
    )
    assert len(genomes) == len(predicted.losses) < 200
    assert next(bred) <= POPULATION + BRED * 500
