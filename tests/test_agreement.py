"""Rank correlations equal scipy's, ties and resamples included, and their intervals hold the truth as often as said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evonas.agreement import Interval, agreement, bootstrap
from evonas.seeds import generator


def rng(*names: object) -> np.random.Generator:
    return generator(0, *names)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_correlations_are_those_of_scipy_with_and_without_ties(decimals: int) -> None:
    first = rng(decimals).normal(size=30).round(decimals)
    second = (first + rng(decimals, "noise").normal(size=30)).round(decimals)
    found = agreement(first, second, rng())
    assert found is not None
    assert found.networks == 30
    assert found.kendall_tau.value == pytest.approx(stats.kendalltau(first, second).statistic)
    assert found.spearman.value == pytest.approx(stats.spearmanr(first, second).statistic)


def test_intervals_are_percentiles_of_what_scipy_says_of_resamples() -> None:
    first = rng("values").normal(size=15)
    second = first + rng("noise").normal(size=15)
    rows = rng("rows").integers(15, size=(1000, 15))
    found = agreement(first, second, rng())
    assert found is not None
    for interval, statistic in ((found.kendall_tau, stats.kendalltau), (found.spearman, stats.spearmanr)):
        resampled = [statistic(first[row], second[row]).statistic for row in rows]
        assert interval.low == pytest.approx(np.quantile(resampled, 0.025), abs=0.05)
        assert interval.high == pytest.approx(np.quantile(resampled, 0.975), abs=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_interval_of_tau_holds_the_truth_about_as_often_as_it_says(correlation: float) -> None:
    truth = 2 / math.pi * math.asin(correlation)  # of a bivariate normal distribution
    covariance, held = [[1, correlation], [correlation, 1]], 0
    for trial in range(120):
        first, second = rng("trial", trial).multivariate_normal([0, 0], covariance, size=20).T
        found = agreement(first, second, rng("resamples", trial))
        assert found is not None
        held += found.kendall_tau.includes(truth)
    assert 0.88 <= held / 120 <= 0.99, "0.95 with deviations of 0.02, and a bias of small samples"


def test_nothing_is_said_of_two_networks_or_of_one_value() -> None:
    three = np.array([1.0, 2.0, 3.0])
    assert agreement(three[:2], three[:2], rng()) is None
    assert agreement(three, np.ones(3), rng()) is None
    assert agreement(np.ones(3), three, rng()) is None


def test_same_generator_gives_the_same_interval() -> None:
    first, second = rng("a").normal(size=(2, 12))
    assert agreement(first, second, rng("b")) == agreement(first, second, rng("b"))


def test_bootstrap_interval_of_a_mean_is_the_normal_one() -> None:
    values = rng("values").normal(size=200)
    interval = bootstrap(lambda rows: float(rows.mean()), values, rng())
    assert interval.value == values.mean()
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(200), rel=0.1)
    assert Interval(0.0, -1.0, 1.0).includes(1.0)
    assert not Interval(0.0, -1.0, 1.0).includes(1.1)
