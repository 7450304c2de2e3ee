"""What is said of a predictor is what it does on networks that it has not seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from linear_predictor import Linear
from measured import LINEAR, measured

from evonas import predict
from evonas.component import Component
from evonas.errors import ConfigError, DataError
from evonas.predictor import Features, Prediction, Predictor
from evonas.shipped_predictors import named


class TestScores:
    def test_rank_correlations_are_those_of_their_definitions(self) -> None:
        rng = np.random.default_rng(0)
        predicted, true = rng.normal(size=40), rng.normal(size=40)
        pairs = list(itertools.combinations(range(40), 2))
        agree = [np.sign(predicted[i] - predicted[j]) * np.sign(true[i] - true[j]) for i, j in pairs]
        ranks = [column.argsort().argsort() for column in (predicted, true)]
        scored = predict.scores(Prediction(predicted, np.ones(40)), true)
        assert scored.rows == 40
        assert scored.kendall_tau == pytest.approx(np.mean(agree))
        assert scored.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
        assert scored.rmse == pytest.approx(np.sqrt(np.mean((predicted - true) ** 2)))

    def test_who_knows_how_far_off_it_is_has_as_many_inside_as_the_level_says(self) -> None:
        rng = np.random.default_rng(1)
        std = rng.uniform(0.1, 3.0, 40_000)
        true = rng.normal(size=40_000) * std
        scored = predict.scores(Prediction(np.zeros(40_000), std), true)
        assert scored.inside == pytest.approx({50: 0.5, 80: 0.8, 95: 0.95}, abs=0.01)
        sure = predict.scores(Prediction(np.zeros(40_000), std / 2), true)
        assert sure.inside == pytest.approx({50: 0.264, 80: 0.478, 95: 0.673}, abs=0.01)

    def test_equal_predictions_order_nothing(self) -> None:
        scored = predict.scores(Prediction(np.ones(5), np.ones(5)), np.arange(5.0))
        assert (scored.kendall_tau, scored.spearman) == (0.0, 0.0)


class Suspicious(Predictor):
    """Raises if it is asked for a network that it has learnt from; notes how many those were."""

    learnt: ClassVar[list[int]] = []

    def fit(self, features: Features, targets: np.ndarray) -> None:
        self._known = {tuple(row) for row in features.choices.tolist()}
        self.learnt.append(len(self._known))

    def predict(self, features: Features) -> Prediction:
        assert not self._known & {tuple(row) for row in features.choices.tolist()}
        return Prediction(np.arange(float(len(features))), np.ones(len(features)))

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        pass


class TestAssess:
    def test_no_network_is_scored_that_was_learnt_from(self) -> None:
        Suspicious.learnt.clear()
        problem = predict.problem(measured(61), rows=33)
        scored, _ = predict.assess(problem, Component("test_predict:Suspicious"))
        assert sorted(Suspicious.learnt) == [26, 26, 26, 27, 27, 33], "five folds, then all"
        assert scored.cross_validated.rows == 33
        assert scored.held_out is not None
        assert scored.held_out.rows == 28

    def test_without_other_rows_there_are_folds_only(self) -> None:
        scored, fitted = predict.assess(predict.problem(measured()), LINEAR)
        assert scored.held_out is None
        assert scored.cross_validated.kendall_tau > 0.6
        assert isinstance(fitted, Linear)
        assert scored.plain()["predictor"] == {"use": "linear_predictor:Linear", "shrink": 1e-6}

    def test_folds_say_about_what_other_networks_say(self) -> None:
        scored, _ = predict.assess(predict.problem(measured(400), rows=150), LINEAR)
        assert scored.held_out is not None
        assert scored.cross_validated.kendall_tau == pytest.approx(scored.held_out.kendall_tau, abs=0.08)
        assert scored.cross_validated.rmse == pytest.approx(scored.held_out.rmse, rel=0.25)

    def test_everything_follows_from_the_seed(self) -> None:
        def taus(seed: int) -> list[float]:
            scored, _ = predict.assess(predict.problem(measured(), rows=40, seed=seed), LINEAR)
            assert scored.held_out is not None
            return [scored.cross_validated.kendall_tau, scored.held_out.kendall_tau]

        assert taus(3) == taus(3)
        assert taus(3) != taus(4)


class TestProblem:
    def test_features_are_genes_exact_costs_and_what_is_known_beside(self) -> None:
        problem = predict.problem(measured(), "valid_error", beside=["throughput"])
        assert problem.features.names == ("depth", "width", "kernel", "macs", "params", "throughput")
        np.testing.assert_array_equal(problem.features.numbers[:, -1], problem.measured.column("throughput"))
        assert "throughput" not in predict.problem(measured()).features.names

    def test_the_target_is_the_first_objective_and_a_row_without_it_is_left_out(self) -> None:
        holes = measured().column("valid_error").copy()
        holes[[3, 7]] = np.nan, np.inf
        problem = predict.problem(measured(columns={"valid_error": holes}))
        assert (problem.target.name, problem.target.worst) == ("valid_error", 1.0)
        assert len(problem.targets) == 58
        assert problem.notes == ["2 of 60 rows are left out: no finite number there"]
        assert problem.measured.genomes[3] not in [tuple(row) for row in problem.features.choices.tolist()]

    def test_a_row_without_what_is_known_beside_is_left_out_too(self) -> None:
        proxy = np.arange(60.0)
        proxy[5] = np.nan
        problem = predict.problem(measured(columns={"proxy": proxy}), beside=["proxy"])
        assert len(problem.targets) == 59

    @pytest.mark.parametrize(
        ("target", "maximize", "upwards"),
        [("valid_accuracy", None, True), ("top1_acc", None, True), ("latency", None, False), ("latency", True, True),
         ("valid_accuracy", False, False)],
    )  # fmt: skip
    def test_the_direction_is_said_or_told_by_the_name(self, target: str, maximize: bool | None, upwards: bool) -> None:
        numbers = np.arange(60.0)
        found = predict.problem(measured(columns={target: numbers}), target, maximize=maximize).target
        assert (found.maximize, found.worst) == (upwards, 0.0 if upwards else 59.0)

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"target": "valid_eror"}, r"no measured 'valid_eror'; did you mean 'valid_error'"),
            ({"target": "params"}, "'params' is a static cost of the space, which is computed"),
            ({"beside": ["params"]}, "'params' is a static cost of the space"),
            ({"beside": ["valid_error"]}, "'valid_error' is what to predict: leave it out of --with"),
            ({"target": "constant"}, "'constant' has the same value in all 60 rows"),
            ({"beside": ["constant"]}, "'constant' has the same value in all 60 rows"),
            ({"target": "rare"}, "has 9 networks with a finite rare, and a predictor needs 10 or more"),
            ({"beside": ["rare"]}, "has 9 networks with a finite valid_error and rare"),
            ({"rows": 9}, "'rows' must be 10 to 60, which runs/some has, and is 9"),
            ({"rows": 61}, "'rows' must be 10 to 60, which runs/some has, and is 61"),
        ],
    )
    def test_what_cannot_be_learnt_is_said(self, how: dict[str, Any], said: str) -> None:
        rare = np.where(np.arange(60) < 9, np.arange(60.0), np.nan)
        with pytest.raises((DataError, ConfigError), match=said):
            predict.problem(measured(columns={"constant": np.ones(60), "rare": rare}), **how)


@pytest.mark.parametrize("name", ["ridge", "gp"])
def test_predictors_that_ship_order_networks_and_know_how_far_off_they_are(name: str) -> None:
    scored, _ = predict.assess(predict.problem(measured(130), rows=60), named(name))
    assert scored.held_out is not None
    assert scored.held_out.kendall_tau > 0.75, "the formula is smooth in the logarithm of params, and noisy"
    assert scored.held_out.inside[80] == pytest.approx(0.8, abs=0.15)
