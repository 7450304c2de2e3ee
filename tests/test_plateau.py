"""A search stops when its hypervolume no longer grows: at the same candidate on any number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import FORMULA
from toy import candidates, evaluated, failed, toy_goals

from evonas import config, search
from evonas.errors import ConfigError
from evonas.evaluation import Outcome
from evonas.pareto import digest
from evonas.plateau import Plateau


def plateau(window: int = 10, epsilon: float = 0.01, confidence: float = 0.95) -> Plateau:
    return Plateau(toy_goals(), seed=0, window=window, epsilon=epsilon, confidence=confidence)


def outcomes(errors: list[float]) -> list[Outcome]:
    return [evaluated(c, error) for c, error in zip(candidates(0, len(errors)), errors, strict=True)]


def reached(watch: Plateau, told: list[Outcome], order: list[int] | None = None) -> int | None:
    watch.asked(outcome.candidate for outcome in told)
    for index in order or range(len(told)):
        watch.tell(told[index])
    return watch.reached


def test_reached_when_a_whole_window_has_added_nothing() -> None:
    errors = [0.5, 0.4, 0.3, *[0.6] * 20]
    assert reached(plateau(), outcomes(errors)) == 13, "three that add, and ten that do not"


def test_a_search_that_grows_goes_on() -> None:
    assert reached(plateau(), outcomes([0.9 - 0.01 * number for number in range(60)])) is None


def test_a_small_gain_is_a_plateau_and_a_large_one_is_none() -> None:
    # the hypervolume is half of 1 - error: at most 3 of 10 draws are the one that gains, with a confidence of 0.95
    start = [0.5, *[0.6] * 8]
    assert reached(plateau(), outcomes([*start, 0.499, *[0.6] * 3])) == 11, "3 * 0.001 of 0.5 is below 0.01"
    assert reached(plateau(), outcomes([*start, 0.498, *[0.6] * 8])) is None, "3 * 0.002 of 0.5 is above"
    assert reached(plateau(confidence=0.7), outcomes([*start, 0.498, *[0.6] * 8])) == 11, "0.7 allows for one draw"


def test_failures_are_candidates_that_add_nothing() -> None:
    told: list[Outcome] = [*outcomes([0.5]), *(failed(candidate) for candidate in candidates(1, 10))]
    assert reached(plateau(), told) == 11


def test_order_of_arrival_changes_nothing() -> None:
    errors = [0.5, 0.4, 0.3, *[0.6] * 20]
    for order in (list(range(22, -1, -1)), [*range(5, 23), 4, 2, 0, 1, 3]):
        assert reached(plateau(), outcomes(errors), order) == 13


def test_more_is_asked_for_only_as_far_as_it_may_be_open() -> None:
    watch = plateau()
    assert watch.left(4) is None
    reached(watch, outcomes([0.5, *[0.6] * 10]))
    assert watch.reached == 11
    assert watch.left(None) == 0
    assert watch.left(4) == 3
    watch.asked(candidates(11, 3))
    assert watch.left(4) == watch.left(2) == 0


STOPPING: dict[str, Any] = {
    **FORMULA, "evaluations": 400, "plateau": {"window": 30, "epsilon": 0.002}, "gates": [], "cache": None,
}  # fmt: skip
STEADY = {"use": "evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", "population": 12, "lag": 8}


@pytest.mark.parametrize("strategy", [{"population": 12}, STEADY])
def test_search_stops_at_the_same_candidates_on_any_number_of_workers(strategy: Any, tmp_path: Path) -> None:
    pool = {"use": "evonas.workers.simulated_pool:SimulatedPool", "sigma": 0.8}
    ended = []
    for workers in (1, 3, 7):
        experiment = config.parse({**STOPPING, "strategy": strategy, "pool": {**pool, "workers": workers}})
        history = search.run(experiment, tmp_path / f"{workers}")[1]
        assert history.closed == "plateau"
        ended.append((len(history.candidates), digest(history.evaluations)))
    assert ended[0] == ended[1] == ended[2]
    assert 30 < ended[0][0] < 400


def test_stopped_search_stays_stopped_and_goes_on_when_told_to(tmp_path: Path) -> None:
    path, history = search.run(config.parse(STOPPING), tmp_path / "run")
    stopped = len(history.candidates)
    assert history.closed == "plateau"
    assert len(search.resume(path).candidates) == stopped
    longer = search.resume(path, ["plateau=null", f"evaluations={stopped + 24}"])
    assert (longer.closed, len(longer.candidates)) == ("budget", stopped + 24)


def test_an_experiment_without_a_plateau_has_the_identity_that_it_had_before() -> None:
    without = config.parse(FORMULA)
    assert "plateau" not in without.plain()
    assert config.parse(STOPPING | {"plateau": None}).identity() == config.parse(STOPPING).identity()


@pytest.mark.parametrize(
    ("given", "said"),
    [({"window": 5}, "plateau.window"), ({"epsilon": 0}, "plateau.epsilon"), ({"windw": 50}, "did you mean 'window'")],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.parse({**FORMULA, "plateau": given})
