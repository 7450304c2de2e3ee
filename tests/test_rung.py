"""A rung promotes by non-dominated rank, and of one rank those that lie farthest apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy import candidates, evaluated, toy_goals

from evonas.evaluation import Evaluation, Metric
from evonas.goals import Constraint, Goals, Objective
from evonas.strategies.rung import Rung, epsilon_net
from evonas.strategies.rung import rung_of as rung_at


def rung_of(points: list[tuple[float, float]], goals: Goals | None = None) -> Rung:
    """Return a rung with these errors and params, by id."""
    rung = Rung(goals or toy_goals())
    for candidate, (error, params) in zip(candidates(0, len(points)), points, strict=True):
        rung.add(evaluated(candidate, error, params))
    return rung


def climbed(rung: Rung, eta: int) -> list[int]:
    """Return the ids of all that climb, one after the other."""
    ids = []
    while (climber := rung.climber(eta)) is not None:
        rung.promoted.add(climber.candidate.genome)
        ids.append(climber.candidate.id)
    return ids


def dominates(one: Evaluation, other: Evaluation) -> bool:
    goals = toy_goals()
    a, b = goals.losses(one.metrics), goals.losses(other.metrics)
    return bool((a <= b).all() and (a < b).any())


def test_the_first_is_the_least_in_the_first_objective_and_the_others_the_farthest_by_turns() -> None:
    line = np.array([[0.0, 10.0], [1.0, 9.0], [4.0, 6.0], [5.0, 5.0], [10.0, 0.0]])
    assert epsilon_net(line, 5) == [0, 4, 3, 1, 2], "the ends, the middle, and then what is left"
    assert epsilon_net(line[::-1], 3) == [4, 0, 1]
    stretched = line * [1.0, 1e9]
    assert epsilon_net(stretched, 5) == epsilon_net(line, 5), "units do not decide"
    assert epsilon_net(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]), 2) == [0, 1], "equal points, in order"


def test_a_net_is_greedy_by_brute_force() -> None:
    points = np.random.default_rng(0).random((30, 3))
    scaled = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    net = epsilon_net(points, 12)
    assert net[0] == points[:, 0].argmin()
    for size in range(1, 12):
        gaps = [min(float(np.linalg.norm(scaled[row] - scaled[old])) for old in net[:size]) for row in range(30)]
        assert gaps[net[size]] == pytest.approx(max(gaps))


def test_nobody_climbs_before_eta_networks_are_known_and_then_the_best() -> None:
    assert climbed(rung_of([(0.5, 5.0), (0.4, 4.0)]), eta=3) == []
    assert climbed(rung_of([(0.5, 5.0), (0.4, 4.0), (0.6, 6.0)]), eta=3) == [1]


def test_all_of_a_front_climb_before_any_of_the_next() -> None:
    chain = [(0.9, 9.0), (0.1, 8.0), (0.8, 1.0), (0.2, 8.5), (0.85, 2.0), (0.5, 4.0)]
    assert climbed(rung_of(chain), eta=2) == [1, 2, 5]
    assert climbed(rung_of(chain), eta=3) == [1, 2]


def test_a_newcomer_opens_the_rung_again_and_who_has_climbed_stays_so() -> None:
    rung = rung_of([(0.5, 5.0), (0.4, 4.0), (0.6, 6.0)])
    assert climbed(rung, eta=3) == [1]
    assert rung.climber(3) is None
    rung.add(evaluated(candidates(3, 1)[0], 0.1, 1.0))
    assert climbed(rung, eta=3) == [3], "now the best, though one has climbed already"


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_climbers_are_the_best_by_brute_force(eta: int) -> None:
    rng = np.random.default_rng(eta)
    points = [
        (float(error), float(round(params))) for error, params in zip(rng.random(60), rng.random(60) * 9, strict=True)
    ]
    rung, chosen = rung_of(points), climbed(rung_of(points), eta)
    assert len(chosen) == len(points) // eta
    left = [evaluated(candidate, *point) for candidate, point in zip(candidates(0, 60), points, strict=True)]
    while chosen:
        front = [one for one in left if not any(dominates(other, one) for other in left)]
        ids = [evaluation.candidate.id for evaluation in front]
        part, chosen = chosen[: len(front)], chosen[len(front) :]
        if len(part) == len(front):
            assert sorted(part) == ids
        losses = np.array([rung.goals.losses(evaluation.metrics) for evaluation in front])
        assert part == [ids[row] for row in epsilon_net(losses, len(part))]
        left = [one for one in left if one not in front]


def test_who_breaks_a_constraint_climbs_last_the_least_violation_first() -> None:
    goals = toy_goals(Constraint("params", at_most=10.0))
    rung = rung_of([(0.1, 40.0), (0.9, 9.0), (0.1, 20.0), (0.2, 30.0)], goals)
    assert climbed(rung, eta=2) == [1, 2]


def test_what_a_rung_does_not_measure_its_first_metric_stands_for() -> None:
    latency, params = Objective("latency", False, 1.0), Objective("params", False, 80.0)
    goals = Goals((*toy_goals().objectives, latency), (Constraint("latency", at_most=1.0), Constraint("params", 9.0)))
    proxy = Metric("synflow", maximize=True)
    rung = rung_at(goals, {"params", "synflow", "naswot"}, proxy)
    assert rung.goals.objectives == (params, Objective("synflow", True, 0.0)), "once, however many it stands for"
    assert rung.goals.constraints == (Constraint("params", 9.0),)
    assert rung_at(goals, {"valid_error", "latency", "params"}, Metric("valid_error")).goals == goals
    part = rung_at(goals, {"valid_error", "params"}, Metric("valid_error"))
    assert [objective.metric for objective in part.goals.objectives] == ["valid_error", "params"]
    for candidate, synflow in zip(candidates(0, 3), (1.0, 3.0, 2.0), strict=True):
        rung.add(replace(evaluated(candidate), metrics={"params": 5.0, "synflow": synflow}))
    assert climbed(rung, eta=3) == [1], "in its own direction"
    assert rung.goals_so_far().reference.tolist() == [80.0, -1.0], "the worst that was seen, as nobody says it"
    bounded = rung_at(goals, {"params", "synflow"}, replace(proxy, worst=0.0))
    assert bounded.goals_so_far() is bounded.goals
