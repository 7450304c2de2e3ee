"""A few rehearsals tell how long an evaluation takes: what is fixed, what grows with size, and what is chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from commands import FORMULA

from evonas.calibration import calibrate, fit
from evonas.compose import prepare
from evonas.config import parse
from evonas.errors import ConfigError
from evonas.forecast import Calibration

MACS = (1e6, 3e6, 5e6, 8e6, 9e6)


def calibration(evaluator: str, **changes: Any) -> Calibration:
    return calibrate(prepare(parse({**FORMULA, "evaluator": evaluator, **changes})))


def test_a_line_is_found() -> None:
    fixed, per_mac, sigma = fit([(macs, 3 + 2e-6 * macs) for macs in MACS])
    assert (fixed, per_mac) == pytest.approx((3, 2e-6))
    assert sigma == pytest.approx(0, abs=1e-6)


def test_durations_that_size_does_not_explain_are_fixed_with_a_spread() -> None:
    fixed, per_mac, sigma = fit(list(zip(MACS, (9.0, 11.0, 10.0, 9.0, 11.0), strict=True)))
    assert (fixed, per_mac) == (10.0, 0.0)
    assert sigma == pytest.approx(0.1, rel=0.05)
    assert fit([(1e6, 4.0), (9e6, 4.0)]) == (4.0, 0.0, 0.0), "two points make no trend"
    assert fit([(5.0, 1.0)] * 5) == (1.0, 0.0, 0.0), "nor do networks of one size"


def test_neither_part_is_ever_negative() -> None:
    fixed, per_mac, _ = fit([(macs, 1e-6 * macs - 0.5) for macs in MACS])
    assert 0 < fixed < 1e-3
    assert per_mac == pytest.approx(1e-6, rel=0.2)
    assert fit([(macs, 20 - 1e-6 * macs) for macs in MACS])[1] == 0


def test_the_mean_is_kept_whatever_the_spread() -> None:
    rng = np.random.default_rng(0)
    macs = rng.uniform(1e6, 9e6, 400)
    seconds = (1 + 1e-6 * macs) * np.exp(0.3 * rng.normal(size=400) - 0.045)
    fixed, per_mac, sigma = fit(list(zip(macs, seconds, strict=True)))
    assert fixed + per_mac * macs.mean() == pytest.approx(seconds.mean(), rel=0.01)
    assert sigma == pytest.approx(0.3, rel=0.25)


def test_networks_of_all_sizes_are_rehearsed() -> None:
    found = calibration("planned:Linear")
    macs = [macs for macs, _ in found.points]
    assert macs == sorted(macs)
    assert macs[-1] > 50 * macs[0]
    assert (found.seconds_fixed, found.seconds_per_mac) == pytest.approx((2, 1e-6), rel=0.01)


def test_warming_up_counts_once() -> None:
    found = calibration("planned:SlowToWarm")
    assert 0.3 < found.warm_up_seconds < 20, "and not for each of 60"
    assert found.seconds_fixed < 0.1


def test_networks_that_the_evaluator_turns_away_are_counted_and_not_timed() -> None:
    found = calibration("planned:HalfPicky")
    assert (len(found.points), found.turned_away) == (3, 2)
    assert max(macs for macs, _ in found.points) <= 20_000 * 64


def test_a_rehearsal_that_fails_is_told_as_by_check() -> None:
    with pytest.raises(ConfigError, match=r"the rehearsal failed on a network of [\d,]+ params.*no such layer"):
        calibration("test_check:Raising")
