"""Gates turn genomes away in order, count what they turn away, and say so when nothing can pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from toy import ToyEvaluator, ToySpace, candidates, evaluated, header, rejected, toy_error

from evonas.early_exit import (
    EarlyExit,
    Gate,
    WorkerGate,
    acceptance,
    check_reachable,
    joint_acceptance,
    quantile,
    receipt,
    sample_costs,
    static_gates,
)
from evonas.errors import GateError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Rejection, evaluate, evaluate_many
from evonas.history import History
from evonas.journal import Asked, Finished
from evonas.space import Genome, Metrics

SPACE = ToySpace()
COSTS = sample_costs(SPACE, seed=0)
SMALL, LARGE = (0, 0, 0, 0, 0, 0), (2, 2, 2, 2, 2, 2)  # 1 and 43 params
AT_MOST, AT_LEAST = Gate("params", at_most=20), Gate("macs", at_least=50)


@pytest.mark.parametrize(
    ("gate", "name", "passing"),
    [
        (Gate("params", at_most=300_000), "params <= 300000", [0, 299_999.5, 300_000]),
        (Gate("params", at_least=2.5), "params >= 2.5", [2.5, 3, 1e9]),
        (Gate("macs", at_least=1, at_most=2e6), "macs >= 1 and <= 2000000", [1, 2e6]),
        (Gate("params", at_most=3, applies_to="initial"), "params <= 3 (initial)", [0, 3]),
    ],
)
def test_a_gate_is_its_bounds_and_includes_them(gate: Gate, name: str, passing: list[float]) -> None:
    assert gate.name == name
    assert all(map(gate.passes, passing))
    for bound, outside in [(gate.at_most, np.inf), (gate.at_least, -np.inf)]:
        assert bound is None or not gate.passes(float(np.nextafter(bound, outside)))


def test_the_first_gate_that_is_not_passed_counts() -> None:
    never = Gate("params", at_most=-1)
    early_exit = EarlyExit(SPACE, [AT_MOST, AT_LEAST, never])
    assert [early_exit.admit(genome) for genome in (LARGE, SMALL, SMALL, (0, 0, 2, 0, 0, 0))] == [False] * 4
    assert early_exit.take_counts() == {AT_MOST.name: 1, AT_LEAST.name: 2, never.name: 1}


def test_counts_are_taken_once() -> None:
    early_exit = EarlyExit(SPACE, [AT_MOST])
    assert early_exit.admit(SMALL)
    assert early_exit.take_counts() == {}
    assert not early_exit.admit(LARGE)
    assert [early_exit.take_counts(), early_exit.take_counts()] == [{AT_MOST.name: 1}, {}]


def test_who_only_asks_is_not_counted() -> None:
    early_exit = EarlyExit(SPACE, [AT_MOST])
    assert not early_exit.admit(LARGE, counted=False)
    assert early_exit.take_counts() == {}


def test_initial_gates_let_offspring_pass() -> None:
    gate = replace(AT_MOST, applies_to="initial")
    early_exit = EarlyExit(SPACE, [gate])
    assert early_exit.admit(LARGE)
    assert not early_exit.admit(LARGE, initial=True)
    assert early_exit.take_counts() == {gate.name: 1}


def test_without_gates_everything_passes_and_no_costs_are_computed() -> None:
    class Costless(ToySpace):
        def costs(self, genome: Genome) -> Metrics:
            raise AssertionError("costs are not needed")

    assert EarlyExit(Costless(), ()).admit(LARGE)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 1.0])
def test_a_quantile_lets_its_share_of_the_space_through(share: float) -> None:
    bound = quantile("params", share, COSTS)
    fresh = sample_costs(SPACE, seed=1)
    passing = np.mean([Gate("params", at_most=bound).passes(cost["params"]) for cost in fresh])
    ties = np.mean([cost["params"] == bound for cost in fresh])
    assert share - 0.05 <= passing <= share + ties + 0.05


def test_sampled_costs_are_of_canonical_genomes_and_of_the_seed() -> None:
    class CanonicalOnly(ToySpace):
        def costs(self, genome: Genome) -> Metrics:
            assert genome == self.canonical(genome)
            return super().costs(genome)

    assert sample_costs(CanonicalOnly(), 0) == COSTS
    assert len(COSTS) == 2000
    assert sample_costs(SPACE, 0, size=50) == COSTS[:50] != sample_costs(SPACE, 1, size=50)


def test_acceptance_is_measured_for_each_gate_and_for_all() -> None:
    at_most, at_least = acceptance([AT_MOST, AT_LEAST], COSTS)
    passing = [(cost["params"] <= 20, cost["macs"] >= 50) for cost in COSTS]
    assert (at_most.share, at_least.share) == tuple(np.mean(passing, axis=0))
    assert (at_most.smallest, at_most.largest) == (min(c["params"] for c in COSTS), max(c["params"] for c in COSTS))
    assert joint_acceptance([AT_MOST, AT_LEAST], COSTS) == np.mean([first and second for first, second in passing])


def test_gates_that_some_network_passes_are_fine() -> None:
    check_reachable([AT_MOST, AT_LEAST], COSTS)
    check_reachable([], COSTS)


def test_an_unreachable_bound_is_refused_with_the_rate_and_the_smallest_value_seen() -> None:
    smallest = min(cost["params"] for cost in COSTS)
    with pytest.raises(GateError) as refused:
        check_reachable([AT_LEAST, Gate("params", at_most=0.5)], COSTS)
    message = str(refused.value)
    assert "turn away all of 2,000 sampled networks" in message
    assert f"params <= 0.5: lets 0.0% through; params seen from {smallest:.10g} to" in message
    assert "macs >= 50: lets 9" in message, "the innocent gate is measured too"
    assert "at_most: {quantile: 0.5}" in message


def test_gates_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(GateError, match="turn away all"):
        check_reachable([Gate("params", at_most=20), Gate("params", at_least=21)], COSTS)


def test_small_values_are_shown_with_their_digits() -> None:
    with pytest.raises(GateError, match=r"seen from 0\.0025 to 0\.005"):
        check_reachable([Gate("seconds", at_most=0.001)], [{"seconds": 0.0025}, {"seconds": 0.005}])


def test_the_receipt_counts_driver_and_workers_and_estimates_seconds() -> None:
    asked = candidates(0, 4)
    outcomes = [evaluated(asked[0]), evaluated(asked[1]), rejected(asked[2]), rejected(asked[3])]
    head = replace(header(), gates=[asdict(AT_MOST), asdict(AT_LEAST)])
    events = [Asked(asked[:2], {AT_MOST.name: 3}), Asked(asked[2:], {AT_MOST.name: 4})]
    history = History.replay([head, *events, *(Finished(outcome, 1.0) for outcome in outcomes)])
    assert receipt(history) == {
        AT_MOST.name: {"turned_away": 7, "estimated_seconds_saved": 14.0},
        AT_LEAST.name: {"turned_away": 0, "estimated_seconds_saved": 0.0},
        "synflow >= 3": {"turned_away": 2, "estimated_seconds_saved": 4.0},
    }


# --- on workers -------------------------------------------------------------------------------------------------------

ERROR = toy_error(LARGE)


@pytest.mark.parametrize(
    ("gate", "bound"),
    [
        (Gate("valid_error", at_most=ERROR, on_workers=True), None),
        (Gate("valid_error", at_least=ERROR, at_most=1.0, on_workers=True), None),
        (Gate("valid_error", at_most=0.01, on_workers=True), 0.01),
        (Gate("valid_error", at_least=2.0, at_most=3.0, on_workers=True), 2.0),
        (Gate("valid_error", at_least=0.0, at_most=0.01, on_workers=True), 0.01),
    ],
)
def test_a_gate_on_workers_rejects_what_its_evaluator_measures_out_of_bounds(gate: Gate, bound: float | None) -> None:
    evaluator, candidate = ToyEvaluator(SPACE, 0), Candidate(0, LARGE, 3)
    evaluator.gates = [WorkerGate(gate, ToyEvaluator(SPACE, 0))]
    outcome = evaluate(evaluator, candidate)
    if bound is None:
        assert isinstance(outcome, Evaluation)
    else:
        assert outcome == Rejection(candidate, gate.name, ERROR, bound)


def test_where_there_are_gates_nothing_is_measured_in_batches() -> None:
    class Batching(ToyEvaluator):
        def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
            raise AssertionError("measured before its gate was asked")

    evaluator = Batching(SPACE, 0)
    evaluator.gates = [WorkerGate(Gate("valid_error", at_most=ERROR, on_workers=True), ToyEvaluator(SPACE, 0))]
    outcomes = evaluate_many(evaluator, [Candidate(0, SMALL, 0), Candidate(1, LARGE, 0)])
    assert [type(outcome) for outcome in outcomes] == [Rejection, Evaluation]


def test_an_initial_gate_on_workers_is_for_generation_zero() -> None:
    gate = WorkerGate(Gate("valid_error", at_most=0.01, applies_to="initial", on_workers=True), ToyEvaluator(SPACE, 0))
    evaluator = ToyEvaluator(SPACE, 0)
    evaluator.gates = [gate]
    assert isinstance(evaluate(evaluator, Candidate(0, LARGE, 0)), Rejection)
    assert isinstance(evaluate(evaluator, Candidate(0, LARGE, 1)), Evaluation)


def test_what_cannot_be_compared_with_a_bound_is_a_failure() -> None:
    class Undefined(ToyEvaluator):
        def measure(self, genome: Genome, budget: int | None) -> Metrics:
            return {"valid_error": float("nan")}

    evaluator = ToyEvaluator(SPACE, 0)
    evaluator.gates = [WorkerGate(Gate("valid_error", at_most=1.0, on_workers=True), Undefined(SPACE, 0))]
    outcome = evaluate(evaluator, Candidate(0, LARGE, 0))
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.reason) == (FailureKind.NOT_FINITE, "valid_error <= 1: nan against 1.0")


def test_gates_on_workers_are_in_the_header_and_not_asked_on_the_driver() -> None:
    on_workers = Gate("synflow", at_least=3, on_workers=True)
    begun = header(gates=[asdict(AT_MOST), asdict(on_workers)])
    assert static_gates(begun) == [AT_MOST]
    assert set(receipt(History(begun))) == {AT_MOST.name, "synflow >= 3"}
