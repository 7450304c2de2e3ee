"""What an audit says of a small search, against numbers that were worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from toy import candidates, evaluated, header, toy_goals

from evonas.audit_plan import Plan
from evonas.evaluation import Fidelity, Source
from evonas.goals import Constraint
from evonas.history import History
from evonas.journal import Asked, Closed, Event, Finished
from evonas.space import Genome, Metrics
from evonas.verdict import Trainings, Verdict, near_front, verdict

A, B, C, D, E, R1, R2 = ((number,) for number in range(7))
PARAMS = {A: 10.0, B: 20.0, C: 30.0, D: 40.0, E: 25.0, R1: 20.0, R2: 40.0}
SEARCHED = {A: 0.5, B: 0.4, C: 0.3, D: 0.2, E: 0.45}
TRAINED = {A: 0.5, B: 0.6, C: 0.3, D: 0.35, E: 0.4, R1: 0.5, R2: 0.7}
RUNG = Fidelity(Source.TABULAR)
PLAN = Plan(front=[D, C, B, A], sample={RUNG: [A, B, C, D, E]}, random=[R1, R2])
GOALS = toy_goals()


def searched() -> History:
    """A search of five networks, 2 seconds each; E is not on its front."""
    asked = candidates(0, 5)
    found = [evaluated(candidate, SEARCHED[candidate.genome], PARAMS[candidate.genome]) for candidate in asked]
    events: list[Event] = [replace(header(), config={"seed": 1}), Asked(asked)]
    return History.replay([*events, *(Finished(e, 1.0) for e in found), Closed("budget", 1.0)])


def measured(genome: Genome, *errors: float) -> list[Metrics]:
    return [{"valid_error": error, "params": PARAMS[genome]} for error in errors]


def judged(
    plan: Plan = PLAN, without: Sequence[Genome] = (), trainings: Trainings | None = None, training_seconds: float = 4.0
) -> Verdict:
    trained = trainings or {g: measured(g, error) for g, error in TRAINED.items() if g not in without}
    pair = (GOALS.objectives[0], GOALS.objectives[0])
    return verdict(
        searched(), plan, GOALS, {RUNG: [pair]}, lambda metrics: 1 - metrics["valid_error"], trained, training_seconds
    )


def test_tau_counts_pairs() -> None:
    sample, front = judged().trusts
    assert (sample.source, sample.metric, sample.among) == (Source.TABULAR, "valid_error", "sample")
    assert sample.agreement is not None
    assert sample.agreement.kendall_tau.value == pytest.approx((7 - 3) / 10), "D-C, B-E and B-A are turned round"
    assert front.agreement is not None
    assert front.agreement.kendall_tau.value == pytest.approx((4 - 2) / 6), "D-C and B-A are turned round"


def test_regret_is_what_another_no_larger_network_is_better_by() -> None:
    found = judged()
    regrets = {member.genome: member.regret for member in found.members}
    assert regrets == {D: pytest.approx(0.05), C: 0.0, B: pytest.approx(0.1), A: 0.0}
    assert [member.genome for member in found.members] == [D, C, B, A]
    assert found.members[0].searched == {"valid_error": 0.2, "params": 40.0}
    assert found.members[0].trained == {"valid_error": 0.35, "params": 40.0}


def test_hypervolumes_are_sums_of_rectangles() -> None:
    found = judged()
    assert found.chosen == pytest.approx((0.5 * 70 + 0.2 * 50) / 80), "A and C are left of the front"
    assert found.best == pytest.approx((0.5 * 70 + 0.1 * 55 + 0.1 * 50) / 80), "and E between them"
    assert found.chosen_interval is None


def test_relative_improvement_is_over_the_mean_of_random_networks() -> None:
    found = judged()
    assert found.improvement is not None
    assert found.improvement.value == pytest.approx(100 * (0.5625 - 0.4) / 0.4)
    assert found.improvement.low == pytest.approx(100 * (0.5625 - 0.5) / 0.5), "both drawn are R1"
    assert found.improvement.high == pytest.approx(100 * (0.5625 - 0.3) / 0.3), "both drawn are R2"
    assert found.improvement_of_best == pytest.approx(100 * (0.65 - 0.4) / 0.4)


def test_random_networks_are_compared_with_as_many_of_the_front_and_at_the_same_cost() -> None:
    found = judged()
    assert found.same_size is not None
    assert (found.same_size.members, found.same_size.networks) == (1, 1)
    alone = [0.65 * 40, 0.7 * 50, 0.4 * 60, 0.5 * 70]
    assert found.same_size.front == pytest.approx(sum(alone) / 4 / 80, abs=0.01)
    assert found.same_size.random.value == pytest.approx((0.5 * 60 + 0.3 * 40) / 2 / 80, abs=0.01)
    assert found.affordable == 2, "five evaluations of 2 s, and 4 s a training"
    assert found.same_time is None, "the two make one set, which says nothing of others"
    found = judged(training_seconds=10.0)
    assert found.same_time is not None
    assert (found.same_time.members, found.same_time.networks) == (4, 1)
    assert found.same_time.front == found.chosen
    assert found.same_time.random.value == pytest.approx((0.5 * 60 + 0.3 * 40) / 2 / 80, abs=0.01)
    assert found.same_time.random.low < found.same_time.random.value < found.same_time.random.high


def test_what_failed_is_left_out_and_said() -> None:
    found = judged(without=[C, R1, R2])
    assert [member.trained is None for member in found.members] == [False, True, False, False]
    assert found.members[1].regret is None
    assert found.chosen == pytest.approx((0.5 * 70 + 0.15 * 40) / 80)
    assert (found.improvement, found.same_size, found.same_time) == (None, None, None)


def test_the_member_that_the_search_took_for_the_best_is_no_other_one() -> None:
    found = judged(without=[D])
    assert found.improvement is not None
    assert found.improvement_of_best is None


def test_seeds_give_probabilities_and_an_interval() -> None:
    spread = {A: (0.50, 0.52), B: (0.6, 0.58), C: (0.3, 0.32), D: (0.31, 0.31), E: (0.4, 0.42)}
    trainings = {**{g: measured(g, *errors) for g, errors in spread.items()}, R1: measured(R1, 0.5)}
    found = judged(trainings=trainings)
    probabilities = {member.genome: member.probability for member in found.members}
    assert probabilities[A] == 1.0
    assert probabilities[B] is not None
    assert probabilities[B] < 0.05, "A is smaller and better by five deviations of the mean"
    assert probabilities[D] == pytest.approx(0.5, abs=0.05), "as good as C on average, and larger"
    assert found.chosen_interval is not None
    assert found.chosen_interval.value == pytest.approx((0.49 * 70 + 0.20 * 50) / 80)
    assert found.chosen_interval.low < found.chosen_interval.value < found.chosen_interval.high


def test_near_the_front_are_the_first_two_ranks_of_what_is_feasible() -> None:
    trained = {genome: measured(genome, error)[0] for genome, error in TRAINED.items()}
    assert set(near_front(GOALS, trained)) == {A, E, C, R1, D}, "A, E and C dominate R1 and D, and R1 the others"
    assert near_front(toy_goals(Constraint("valid_error", at_most=0.1)), trained) == []
