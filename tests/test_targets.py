"""The transformation of targets: what it does to odd ones, and that it loses nothing on the way back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import skew, yeojohnson

from evonas.predictors.targets import TargetScale

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=400)
SHAPES = {
    "normal": NORMAL,
    "errors with an upper tail": np.exp(NORMAL),
    "accuracies with a lower tail": 100 - np.exp(NORMAL),
    "small": 1e-9 * np.exp(NORMAL),
    "large": 1e12 - 1e10 * NORMAL,
    "half zeros": np.maximum(NORMAL, 0),
    "two": np.array([3.0, 4.0]),
    "an outlier": np.append(NORMAL, 1e6),
}


@pytest.mark.parametrize("name", SHAPES)
def test_targets_come_back_as_they_were(name: str) -> None:
    targets = SHAPES[name]
    scale = TargetScale.of(targets)
    bent = scale.forward(targets)
    np.testing.assert_allclose([bent.mean(), bent.std()], [0, 1], atol=1e-6)
    back = scale.back(bent, np.full(len(bent), 0.1))
    np.testing.assert_allclose(back.mean, targets, rtol=1e-6, atol=1e-6 * targets.std())
    assert (back.std > 0).all()


def test_tails_are_shortened_and_what_is_normal_stays() -> None:
    assert TargetScale.of(NORMAL).power == 1.0
    for name in ("errors with an upper tail", "accuracies with a lower tail"):
        targets = SHAPES[name]
        assert abs(skew(targets)) > 3
        assert abs(skew(TargetScale.of(targets).forward(targets))) < 0.5


def test_it_is_the_power_transform_of_yeo_and_johnson() -> None:
    targets = np.exp(NORMAL)
    scale = TargetScale.of(targets)
    published = yeojohnson((targets - targets.mean()) / targets.std(), scale.power)
    expected = (published - published.mean()) / published.std()
    np.testing.assert_allclose(scale.forward(targets), expected, rtol=1e-9, atol=1e-12)
    _, best = yeojohnson((targets - targets.mean()) / targets.std())
    assert abs(scale.power - best) < 0.25


@pytest.mark.parametrize("name", SHAPES)
def test_no_prediction_is_too_far_off_to_come_back(name: str) -> None:
    targets = SHAPES[name]
    scale, wild = TargetScale.of(targets), np.array([-1e9, -50.0, 0.0, 50.0, 1e9])
    for deviation in (0.0, 1.0, 1e9):
        back = scale.back(wild, np.full(5, deviation))
        assert np.isfinite(back.mean).all()
        assert np.isfinite(back.std).all()
        assert (np.diff(back.mean) >= 0).all(), "ranks are kept"
        width = np.ptp(targets) + 2 * targets.std()
        assert targets.min() - width <= back.mean.min()
        assert back.mean.max() <= targets.max() + width


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e100])
def test_constant_targets_come_back_whatever_is_predicted(value: float) -> None:
    scale = TargetScale.of(np.full(7, value))
    assert not scale.forward(np.full(7, value)).any()
    back = scale.back(np.array([-0.3, 0.0, 5.0]), np.ones(3))
    np.testing.assert_allclose(back.mean, value, rtol=1e-12)


def test_an_array_holds_all_of_it() -> None:
    scale = TargetScale.of(SHAPES["errors with an upper tail"])
    assert TargetScale(*scale.array().tolist()) == scale
