"""The choice among predictors: the contract, what is chosen or blended, and which candidates it takes."""

from __future__ import annotations

import numpy as np
import pytest
from predictor_contract import PredictorContract, toy_rows
from scipy.stats import kendalltau

from evonas.component import Component
from evonas.config import checked_options
from evonas.errors import ComponentError, ConfigError
from evonas.predictor import Features, Predictor
from evonas.predictors.auto import Auto, _best, _blended

RIDGE, GP, FOREST = (f"evonas.predictors.{name}" for name in ("ridge:Ridge", "gp:GP", "forest:Forest"))


class TestAuto(PredictorContract):
    component = Component(
        "evonas.predictors.auto:Auto", {"candidates": [RIDGE, {"use": GP, "tuning_rows": 60}], "folds": 4}
    )


def used(auto: Auto) -> list[int]:
    """Return the candidates that have a weight."""
    return np.flatnonzero(auto.state()["weights"]).tolist()


def test_without_blending_the_best_is_refitted_on_all_rows() -> None:
    (features, targets), (asked, _) = toy_rows(60, noise=0.5), toy_rows(50, seed=1)
    auto = Auto(seed=0, candidates=[{"use": FOREST, "trees": 10}, GP], blend=False)
    auto.fit(features, targets)
    assert used(auto) == [1], "a forest of ten trees is no match"
    gp: Predictor = Component(GP).build({"seed": 0})
    gp.fit(features, targets)
    np.testing.assert_allclose(auto.predict(asked).mean, gp.predict(asked).mean, rtol=1e-3)


def test_the_score_is_the_mean_of_tau_minus_its_deviation() -> None:
    assert _best(np.array([[0.9, 0.7], [0.3, 0.5]])).tolist() == [0, 1], "equal means, but steadier"
    assert _best(np.array([[0.9, 0.3], [0.8, 0.3]])).tolist() == [1, 0]


def test_a_blend_halves_what_is_equal_and_leaves_out_what_is_far_behind() -> None:
    np.testing.assert_allclose(_blended(np.array([0.66, 0.70, 0.70])), [1 / 3] * 3)  # the first has a head start
    weights = _blended(np.array([0.10, 0.80, 0.75, 0.40]))
    assert weights.sum() == pytest.approx(1)
    assert weights[1] / weights[2] == pytest.approx(np.e)
    assert weights[[0, 3]].tolist() == [0, 0]


def test_a_blend_of_equals_is_their_mean_and_knows_that_they_differ() -> None:
    (features, targets), (asked, _) = toy_rows(6), toy_rows(50, seed=1)  # too few rows to choose by
    auto = Auto(seed=0, candidates=[RIDGE, GP])
    auto.fit(features, targets)
    assert auto.state()["weights"].tolist() == [0.5, 0.5]
    assert auto._scale is not None
    singles = []
    for use in (RIDGE, GP):
        predictor: Predictor = Component(use).build({"seed": 0})
        predictor.fit(features, auto._scale.forward(targets))
        singles.append(predictor.predict(asked))
    mean = (singles[0].mean + singles[1].mean) / 2
    variance = (singles[0].std ** 2 + singles[1].std ** 2) / 2 + ((singles[0].mean - singles[1].mean) / 2) ** 2
    expected = auto._scale.back(mean, np.sqrt(variance))
    np.testing.assert_allclose(auto.predict(asked).mean, expected.mean)
    np.testing.assert_allclose(auto.predict(asked).std, expected.std)


def test_it_is_hardly_behind_the_best_single_predictor_on_problems_of_both_kinds() -> None:
    (features, linear), (asked, linear_truth) = toy_rows(80, noise=2.0), toy_rows(500, seed=1)
    steps, steps_truth = (
        np.where(rows.choices[:, 0] == 1, rows.choices[:, 1] * 1.0, 3.0 * (rows.choices[:, 2] == 2))
        for rows in (features, asked)
    )
    for targets, truth in ((linear, linear_truth), (steps, steps_truth)):
        taus = []
        for component in (RIDGE, GP, "evonas.predictors.auto:Auto"):
            predictor: Predictor = Component(component).build({"seed": 0})
            predictor.fit(features, targets)
            taus.append(kendalltau(predictor.predict(asked).mean, truth)[0])
        assert taus[-1] > max(taus) - 0.03


def test_candidates_are_plain_values_that_an_experiment_may_give() -> None:
    given = checked_options(Component("evonas.predictors.auto:Auto", {"candidates": [RIDGE, {"use": GP}]}), "here")
    assert given.build({"seed": 0}).candidates == (RIDGE, {"use": GP})
    default = checked_options(Component("evonas.predictors.auto:Auto"), "here")
    assert default.options["candidates"] == [GP, RIDGE]


def test_what_is_no_predictor_is_refused() -> None:
    features, targets = toy_rows(10)
    with pytest.raises(ConfigError, match=r"'candidates' are predictors, and evonas\.spaces\.cell201:Cell201 is none"):
        Auto(seed=0, candidates=["evonas.spaces.cell201:Cell201"]).fit(features, targets)
    with pytest.raises(ComponentError, match="did you mean 'ridge'"):
        Auto(seed=0, candidates=["evonas.predictors.rigde:Ridge"]).fit(features, targets)
    with pytest.raises(ConfigError, match="'candidates' must be at least one predictor"):
        Auto(seed=0, candidates=[])


class Eager(Predictor):
    """Counts the rows that it may learn from beforehand."""

    seen: list[int] = []  # noqa: RUF012

    def pretrain(self, features: Features) -> None:
        self.seen.append(len(features))

    def fit(self, features: Features, targets: np.ndarray) -> None: ...

    def predict(self, features: Features):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state) -> None: ...  # type: ignore[no-untyped-def]


def test_rows_without_targets_reach_the_candidates() -> None:
    auto = Auto(seed=0, candidates=["test_auto:Eager"])
    features, targets = toy_rows(5)
    auto.pretrain(toy_rows(123)[0])
    auto.fit(features, targets)
    assert Eager.seen == [123]
