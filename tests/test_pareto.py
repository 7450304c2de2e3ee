"""Fronts, hypervolumes, knees and goals against brute force."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.goals import Constraint, Goals, Objective
from evonas.pareto import (
    ParetoFront,
    crowding_distances,
    digest,
    hypervolume_gains,
    normalised_hypervolume,
    ranks,
)

DIRECTIONS = [(False,), (False, False), (True, False), (False, True), (True, True), (False, True, False), (False,) * 4]


def goals_for(directions: Sequence[bool], worst: float = 10.0, constraints: Sequence[Constraint] = ()) -> Goals:
    """Objectives a, b, ... with values from 0 to 10; the worst of a maximised one is 0."""
    return Goals(
        [Objective("abcdef"[i], up, 0.0 if up else worst) for i, up in enumerate(directions)], tuple(constraints)
    )


def evaluations_of(points: np.ndarray, **extra: float) -> list[Evaluation]:
    return [
        Evaluation(
            Candidate(id_, (id_,), 0),
            {**{"abcdef"[i]: float(value) for i, value in enumerate(point)}, **extra},
            Source.TABULAR,
            seconds=1.0,
            seed=id_,
        )
        for id_, point in enumerate(points)
    ]


def random_points(directions: Sequence[bool], count: int, seed: int) -> np.ndarray:
    """Points on an integer grid, so that ties and duplicates abound."""
    return np.random.default_rng(seed).integers(0, 10, size=(count, len(directions))).astype(float)


def brute_force_front(points: np.ndarray, directions: Sequence[bool]) -> set[int]:
    losses = np.where(directions, -points, points)
    return {
        i
        for i, mine in enumerate(losses)
        if not any(
            (theirs <= mine).all() and ((theirs < mine).any() or j < i) for j, theirs in enumerate(losses) if j != i
        )
    }


def brute_force_volume(losses: np.ndarray, reference: np.ndarray) -> float:
    """Volume of a union of boxes by inclusion and exclusion."""
    volume = 0.0
    for size in range(1, len(losses) + 1):
        for chosen in itertools.combinations(losses, size):
            volume -= (-1) ** size * float(np.prod(np.clip(reference - np.max(chosen, axis=0), 0, None)))
    return volume


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_front_is_that_of_brute_force(directions: tuple[bool, ...], seed: int) -> None:
    points = random_points(directions, 60, seed)
    front = ParetoFront.of(evaluations_of(points), goals_for(directions))
    assert {member.candidate.id for member in front.members} == brute_force_front(points, directions)


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_front_does_not_depend_on_the_order_and_may_be_built_one_by_one(directions: tuple[bool, ...]) -> None:
    goals = goals_for(directions)
    evaluations = evaluations_of(random_points(directions, 80, seed=3))
    front = ParetoFront.of(evaluations, goals)
    for seed in range(5):
        shuffled = [evaluations[i] for i in np.random.default_rng(seed).permutation(len(evaluations))]
        assert ParetoFront.of(shuffled, goals).members == front.members
        grown = ParetoFront(goals, ())
        for evaluation in shuffled:
            grown = grown.including(evaluation)
        assert grown.members == front.members
        assert grown.digest() == front.digest()


def test_front_is_the_same_object_when_a_newcomer_changes_nothing() -> None:
    goals = goals_for((False, False), constraints=[Constraint("c", at_most=1.0)])
    front = ParetoFront.of(evaluations_of(np.array([[1.0, 5.0], [5.0, 1.0]]), c=0.0), goals)
    beaten, equal, infeasible = evaluations_of(np.array([[6.0, 6.0], [1.0, 5.0], [0.0, 0.0]]), c=0.0)
    infeasible = Evaluation(infeasible.candidate, {**infeasible.metrics, "c": 2.0}, Source.TABULAR, 1.0, 0)
    assert front.including(beaten) is front
    assert front.including(equal) is front
    assert front.including(infeasible) is front


def test_front_starts_with_the_best_of_the_first_objective() -> None:
    points = np.array([[3.0, 3.0], [9.0, 1.0], [1.0, 9.0]])
    front = ParetoFront.of(evaluations_of(points), goals_for((True, True)))
    assert [member.metrics["a"] for member in front.members] == [9.0, 3.0, 1.0]


def test_infeasible_evaluations_are_never_on_the_front() -> None:
    points = np.array([[0.0, 0.0, 9.0], [5.0, 5.0, 2.0], [4.0, 4.0, 2.1]])
    goals = goals_for((False, False), constraints=[Constraint("c", at_most=2.0, at_least=1.0)])
    assert [member.candidate.id for member in ParetoFront.of(evaluations_of(points), goals).members] == [1]
    assert ParetoFront.of(evaluations_of(points[:1]), goals).members == ()


def test_hypervolume_is_the_hand_worked_one() -> None:
    """The staircase (1, 8), (4, 4), (7, 1) up to (10, 10) covers 9 x 2 + 6 x 4 + 3 x 3 = 51 of 100."""
    points = np.array([[1.0, 8.0], [4.0, 4.0], [7.0, 1.0], [9.0, 9.0], [11.0, 0.0]])
    front = ParetoFront.of(evaluations_of(points), goals_for((False, False)))
    assert front.hypervolume == pytest.approx(0.51)
    assert dict(zip([m.candidate.id for m in front.members], front.contributions, strict=True)) == pytest.approx(
        {0: 0.06, 1: 0.12, 2: 0.09, 4: 0.0}
    )


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_hypervolume_is_that_of_inclusion_and_exclusion(directions: tuple[bool, ...], seed: int) -> None:
    goals = goals_for(directions, worst=7.0)  # some points lie outside and must count nothing
    points = random_points(directions, 9, seed)
    front = ParetoFront.of(evaluations_of(points), goals)
    losses = np.where(directions, -points, points)
    box = np.prod([1.0 if up else 7.0 for up in directions])
    assert front.hypervolume == pytest.approx(brute_force_volume(losses, goals.reference) / box)
    assert normalised_hypervolume(losses, goals) == pytest.approx(front.hypervolume)


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("worst", [0.5, 4.0, 7.0])  # of the members all, some or none lie outside
def test_contribution_is_what_the_hypervolume_loses(directions: tuple[bool, ...], worst: float) -> None:
    front = ParetoFront.of(evaluations_of(random_points(directions, 40, seed=1)), goals_for(directions, worst=worst))
    for left_out, contribution in enumerate(front.contributions):
        others = [member for row, member in enumerate(front.members) if row != left_out]
        assert contribution == pytest.approx(front.hypervolume - ParetoFront.of(others, front.goals).hypervolume)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("members", [0, 1, 7])
def test_gains_are_what_each_point_alone_adds(objectives: int, members: int) -> None:
    """Dominated and repeated members, points that tie with them and points beyond the reference among them."""
    reference = np.full(objectives, 8.0)
    front = random_points([False] * objectives, members, seed=1)
    points = random_points([False] * objectives, 60, seed=2)
    before = brute_force_volume(front, reference)
    gains = [brute_force_volume(np.vstack([front, point]), reference) - before for point in points]
    np.testing.assert_allclose(hypervolume_gains(points, front, reference), gains, atol=1e-9)


def test_hypervolume_never_falls_as_evaluations_come() -> None:
    goals, front, volumes = goals_for((False, True, False)), ParetoFront(goals_for((False, True, False)), ()), [0.0]
    for evaluation in evaluations_of(random_points((False, True, False), 50, seed=2)):
        front = front.including(evaluation)
        volumes.append(front.hypervolume)
    assert front.goals == goals
    assert volumes == sorted(volumes)


@pytest.mark.parametrize("directions", [(False, False), (True, False), (True, True)])
def test_knee_is_where_the_front_bends(directions: tuple[bool, ...]) -> None:
    losses = np.array([[0.0, 9.0], [0.5, 5.0], [1.0, 1.5], [5.0, 1.0], [9.0, 0.0]])
    front = ParetoFront.of(evaluations_of(np.where(directions, 9.0 - losses, losses)), goals_for(directions))
    assert front.knee is not None
    assert front.knee.candidate.id == 2


def test_knee_does_not_depend_on_units() -> None:
    losses = np.array([[0.0, 9.0], [0.5, 5.0], [1.0, 1.5], [5.0, 1.0], [9.0, 0.0]])
    front = ParetoFront.of(evaluations_of(losses * [1e-3, 1e6]), goals_for((False, False), worst=1e8))
    assert front.knee is not None
    assert front.knee.candidate.id == 2


def test_several_costs_that_go_together_do_not_outvote_the_error() -> None:
    """With error and three costs that rise together the knee is that of error and one of them."""
    error = np.array([0.0, 1.5, 3.0, 5.0, 9.0])
    cost = np.array([9.0, 3.5, 2.8, 2.4, 0.0])
    two = ParetoFront.of(evaluations_of(np.stack([error, cost], axis=1)), goals_for((False, False)))
    four = ParetoFront.of(evaluations_of(np.stack([error, cost, cost * 2, cost * 3], axis=1)), goals_for((False,) * 4))
    assert two.knee is not None
    assert four.knee is not None
    assert two.knee.candidate == four.knee.candidate
    assert two.knee.candidate.id == 1


def test_knee_of_three_objectives_lies_below_the_plane_through_their_extremes() -> None:
    points = np.array([[0.0, 9.0, 9.0], [9.0, 0.0, 9.0], [9.0, 9.0, 0.0], [5.0, 5.0, 5.0], [4.0, 5.0, 4.0]])
    front = ParetoFront.of(evaluations_of(points), goals_for((False,) * 3))
    assert front.knee is not None
    assert front.knee.candidate.id == 4


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_small_fronts_have_a_knee_too(directions: tuple[bool, ...]) -> None:
    for count in (1, 2, 3):
        front = ParetoFront.of(evaluations_of(random_points(directions, count, seed=5)), goals_for(directions))
        assert front.knee in front.members


def test_empty_front_has_no_knee_no_volume_and_no_contributions() -> None:
    front = ParetoFront.of([], goals_for((False, True)))
    assert front.knee is None
    assert front.hypervolume == 0.0
    assert front.losses.shape == (0, 2)
    assert len(front.contributions) == 0


def test_digest_ignores_seconds_and_order_but_not_numbers() -> None:
    evaluations = evaluations_of(random_points((False, False), 5, seed=0), train_seconds=1.0, seconds=2.0)
    slower = [
        Evaluation(e.candidate, {**e.metrics, "train_seconds": 9.0, "seconds": 8.0}, e.source, e.seconds * 7, e.seed)
        for e in reversed(evaluations)
    ]
    assert digest(slower) == digest(evaluations)
    for changed in (
        Evaluation(evaluations[0].candidate, {**evaluations[0].metrics, "a": 0.25}, Source.TABULAR, 1.0, 0),
        Evaluation(evaluations[0].candidate, evaluations[0].metrics, Source.TRAINED, 1.0, 0),
        Evaluation(evaluations[0].candidate, evaluations[0].metrics, Source.TABULAR, 1.0, 99),
        Evaluation(Candidate(0, (7,), 0), evaluations[0].metrics, Source.TABULAR, 1.0, 0),
    ):
        assert digest([changed, *evaluations[1:]]) != digest(evaluations)


def test_constraint_measures_the_excess_relative_to_its_bound() -> None:
    constraint = Constraint("params", at_most=200.0, at_least=100.0)
    assert constraint.violation(150.0) == 0.0
    assert constraint.violation(200.0) == 0.0
    assert constraint.violation(300.0) == pytest.approx(0.5)
    assert constraint.violation(50.0) == pytest.approx(0.5)
    assert Constraint("x", at_most=0.0).violation(2.0) == pytest.approx(2.0)
    assert Constraint("x", at_least=-4.0).violation(-6.0) == pytest.approx(0.5)


def test_violations_add_up_and_decide_feasibility() -> None:
    goals = goals_for((False,), constraints=[Constraint("b", at_most=1.0), Constraint("c", at_least=2.0)])
    assert goals.violation({"a": 0.0, "b": 2.0, "c": 1.0}) == pytest.approx(1.5)
    assert not goals.feasible({"a": 0.0, "b": 2.0, "c": 2.0})
    assert goals.feasible({"a": 0.0, "b": 1.0, "c": 2.0})
    assert goals.metrics == ("a", "b", "c")


def test_losses_turn_maximised_objectives_round() -> None:
    goals = goals_for((True, False))
    assert goals.losses({"a": 3.0, "b": 4.0}).tolist() == [-3.0, 4.0]
    assert goals.reference.tolist() == [0.0, 10.0]


@pytest.mark.parametrize(
    ("objectives", "constraints", "message"),
    [
        ([Objective("test_error", False, 1.0)], [], "'test_error' is measured on the test split.*'valid_error'"),
        ([Objective("valid_error", False, 1.0)], [Constraint("test_accuracy", at_least=0.9)], "'valid_accuracy'"),
        ([Objective("cifar10_test_accuracy", True, 0.0)], [], "test split.*'cifar10_valid_accuracy'"),
        ([Objective("valid_error", False, 1.0)], [Constraint("auc_test", at_least=0.9)], "'auc_valid'"),
        ([Objective("test", False, 1.0)], [], "search on 'valid'"),
        ([], [], "at least one objective"),
        ([Objective("a", False, 1.0), Objective("a", True, 0.0)], [], "given twice: a"),
    ],
)
def test_goals_that_make_no_sense_are_refused(
    objectives: list[Objective], constraints: list[Constraint], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Goals(objectives, constraints)


@pytest.mark.parametrize("name", ["latest_error", "testing_ms", "contest", "test2_error"])
def test_a_word_that_only_contains_test_says_nothing_of_the_test_split(name: str) -> None:
    assert Goals([Objective(name, False, 1.0)]).metrics == (name,)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_ranks_are_those_of_fronts_peeled_off_one_by_one(objectives: int) -> None:
    for seed in range(20):
        points = np.random.default_rng(seed).integers(5, size=(25, objectives)).astype(float)
        expected, rank = np.full(25, -1), 0
        while (left := np.flatnonzero(expected < 0)).size:
            dominated = [any(np.all(q <= p) and np.any(q < p) for q in points[left]) for p in points[left]]
            expected[left[~np.array(dominated)]] = rank
            rank += 1
        assert ranks(points).tolist() == expected.tolist()
    assert ranks(np.empty((0, objectives))).tolist() == []


def test_crowding_distance_is_the_mean_share_between_neighbours() -> None:
    front = np.array([[0.0, 10.0], [10.0, 0.0], [1.0, 8.0], [4.0, 2.0]])
    assert crowding_distances(front) == pytest.approx([np.inf, np.inf, (0.4 + 0.8) / 2, (0.9 + 0.8) / 2])
    assert crowding_distances(front[:2]).tolist() == [np.inf, np.inf]
    assert crowding_distances(np.ones((4, 2))).tolist() == [0.0] * 4, "all are equal"


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_crowding_distance_is_that_of_pymoo_to_the_bit(objectives: int) -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        points = rng.random((3 + seed // 2, objectives)) if seed % 2 else rng.integers(4, size=(20, objectives)) / 3
        assert crowding_distances(points).tolist() == calc_crowding_distance(points).tolist()
