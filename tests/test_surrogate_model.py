"""A model of losses: exact costs, a predictor a metric, signs and violations as goals say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from toy import ToySpace, toy_evaluation, toy_goals
from toy_predictor import Linear, Pretrained

from evonas.component import Component
from evonas.evaluation import Candidate, Evaluation
from evonas.goals import Constraint, Goals, Objective
from evonas.strategies.surrogate_model import CHUNK, UNIFORM, LossModel

SPACE = ToySpace(8, redundant=False)
LINEAR = Component("toy_predictor:Linear")


def archive(count: int, **metrics: float) -> list[Evaluation]:
    rng = np.random.default_rng(0)
    made = [toy_evaluation(Candidate(number, SPACE.sample(rng), 0)) for number in range(count)]
    return [replace(e, metrics={**e.metrics, **metrics, "accuracy": 1 - e.metrics["valid_error"]}) for e in made]


def test_static_costs_are_exact_and_have_no_predictor() -> None:
    Linear.fits = 0
    model = LossModel(SPACE, toy_goals(), LINEAR, seed=0)
    model.fit(archive(40))
    assert Linear.fits == 1
    genomes = [(0,) * 8, (2,) * 8, (1, 2, 0, 1, 2, 0, 1, 2)]
    predicted = model.predict(model.networks(genomes))
    assert predicted.losses[:, 1].tolist() == [SPACE.costs(genome)["params"] for genome in genomes]
    assert predicted.deviations[:, 1].tolist() == [0.0, 0.0, 0.0]
    assert (predicted.deviations[:, 0] > 0).all()


def test_what_is_measured_is_predicted_in_its_direction() -> None:
    """An accuracy to maximise is the same task as the error to minimise."""
    evaluations = archive(60)
    error = LossModel(SPACE, Goals((Objective("valid_error", False, 1.0),)), LINEAR, seed=0)
    accuracy = LossModel(SPACE, Goals((Objective("accuracy", True, 0.0),)), LINEAR, seed=0)
    for model in (error, accuracy):
        model.fit(evaluations)
    genomes = [evaluation.candidate.genome for evaluation in archive(20)]
    first, second = (model.predict(model.networks(genomes)) for model in (error, accuracy))
    np.testing.assert_allclose(first.losses, 1 + second.losses, rtol=1e-6)
    np.testing.assert_allclose(first.deviations, second.deviations, rtol=1e-6)


def test_constraints_on_costs_and_on_measured_metrics_are_predicted() -> None:
    goals = toy_goals(Constraint("params", at_most=20.0), Constraint("accuracy", at_least=2.0))
    model = LossModel(SPACE, goals, LINEAR, seed=0)
    Linear.fits = 0
    model.fit(archive(40))
    assert Linear.fits == 2, "error and accuracy"
    small, large = model.predict(model.networks([(0,) * 8, (2,) * 8])).violations.tolist()
    assert 0 < small < 1
    assert large > (73 - 20) / 20


def test_predictions_do_not_depend_on_how_many_are_asked_for() -> None:
    model = LossModel(SPACE, toy_goals(), LINEAR, seed=0)
    model.fit(archive(40))
    rng = np.random.default_rng(1)
    genomes = [SPACE.sample(rng) for _ in range(2 * CHUNK + 7)]
    together = model.predict(model.networks(genomes))
    alone = [model.predict(model.networks([genome])) for genome in genomes[:: CHUNK // 2]]
    np.testing.assert_allclose(together.losses[:: CHUNK // 2], [one.losses[0] for one in alone], rtol=1e-12)
    assert len(model.predict(model.networks([])).losses) == 0


def test_predictors_are_pretrained_once() -> None:
    model = LossModel(SPACE, toy_goals(), Component("toy_predictor:Pretrained"), seed=0)
    Pretrained.rows.clear()
    for count in (10, 20):
        model.fit(archive(count))
    assert Pretrained.rows == [UNIFORM]


def test_goals_of_costs_alone_need_no_predictor() -> None:
    model = LossModel(SPACE, Goals((Objective("params", False, 80.0), Objective("macs", True, 0.0))), LINEAR, seed=0)
    Linear.fits = 0
    model.fit(archive(3))
    assert Linear.fits == 0
    assert model.predict(model.networks([(0,) * 8])).losses.tolist() == [[1.0, -10.0]]
