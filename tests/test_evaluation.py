"""Every way in which an evaluation can end is one record."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy import ToyEvaluator, ToySpace

from evonas.errors import DataError, EvonasError
from evonas.evaluation import (
    Candidate,
    Evaluation,
    Evaluator,
    Failure,
    FailureKind,
    Metric,
    NotFinite,
    Outcome,
    Rejected,
    Rejection,
    Source,
    Worker,
    batches,
    evaluate,
    evaluate_many,
    made_by,
)
from evonas.space import Genome, Metrics

CANDIDATE = Candidate(7, (1, 0, 2, 0, 0, 1), generation=2, parents=(3, 4), budget=5)


class Scripted(ToyEvaluator):
    """Does what it is told to: `script` gets genome and budget."""

    def __init__(self, script: Callable[[Genome, int | None], Any]) -> None:
        super().__init__(ToySpace(), seed=3)
        self._script = script

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        measured: Metrics = self._script(genome, budget)
        return measured


def measuring(value: Any) -> Outcome:
    return evaluate(Scripted(lambda genome, budget: value), CANDIDATE)


def raising(error: BaseException) -> Outcome:
    def script(genome: Genome, budget: int | None) -> Metrics:
        raise error

    return evaluate(Scripted(script), CANDIDATE)


def test_metrics_become_an_evaluation_with_costs_source_seed_and_time() -> None:
    outcome = evaluate(Scripted(lambda genome, budget: {"valid_error": sum(genome) / 100, "epochs": budget}), CANDIDATE)
    assert isinstance(outcome, Evaluation)
    assert outcome.candidate == CANDIDATE
    assert outcome.metrics == {"valid_error": 0.04, "epochs": 5, **ToySpace().costs(CANDIDATE.genome)}
    assert outcome.source is Source.TABULAR
    assert outcome.seed == ToyEvaluator(ToySpace(), seed=3).seed_for(CANDIDATE.genome)
    assert 0 <= outcome.seconds < 5


@pytest.mark.parametrize("value", [np.float32(0.25), torch.tensor(0.25), np.float64(0.25)])
def test_metrics_become_plain_floats(value: object) -> None:
    outcome = measuring({"valid_error": value})
    assert isinstance(outcome, Evaluation)
    assert {type(metric) for metric in outcome.metrics.values()} == {float}
    assert outcome.metrics["valid_error"] == 0.25


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_a_metric_that_is_not_finite_is_a_failure_that_names_it(value: float) -> None:
    outcome = measuring({"valid_error": value, "valid_loss": 0.5})
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.NOT_FINITE
    assert "valid_error" in outcome.reason
    assert "valid_loss" not in outcome.reason


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"valid_eror": 0.5}, "valid_error"),
        ({"valid_error": "low"}, "'low'"),
        ({"valid_error": None}, "None"),
        (3, "int"),
    ],
)
def test_what_is_not_the_declared_metrics_is_a_failure(measured: object, said: str) -> None:
    outcome = measuring(measured)
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.ERROR
    assert said in outcome.reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("no layer"), FailureKind.ERROR),
        (RecursionError(), FailureKind.ERROR),
        (AssertionError("odd"), FailureKind.ERROR),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory"), FailureKind.OUT_OF_MEMORY),
        (NotFinite("loss nan in epoch 3"), FailureKind.NOT_FINITE),
    ],
)
def test_an_exception_is_a_failure_of_its_kind(error: Exception, kind: FailureKind) -> None:
    outcome = raising(error)
    assert isinstance(outcome, Failure)
    assert outcome.kind is kind
    if kind is FailureKind.NOT_FINITE:
        assert outcome.reason == "loss nan in epoch 3"
    else:
        assert type(error).__name__ in outcome.reason
        assert __file__ in outcome.reason, "with its traceback"


def test_an_early_exit_is_a_rejection() -> None:
    assert raising(Rejected("synflow >= 3", 1.5, 3)) == Rejection(CANDIDATE, "synflow >= 3", 1.5, 3.0)


def test_an_early_exit_on_nan_is_a_failure() -> None:
    outcome = raising(Rejected("synflow >= 3", float("nan"), 3.0))
    assert isinstance(outcome, Failure), "a journal cannot hold a NaN"
    assert outcome.kind is FailureKind.NOT_FINITE
    assert "synflow >= 3: nan" in outcome.reason


@pytest.mark.parametrize("error", [DataError("no data"), EvonasError("mend it"), KeyboardInterrupt()])
def test_what_the_user_must_mend_escapes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        raising(error)


def test_seeds_belong_to_the_network_and_the_run() -> None:
    evaluator = ToyEvaluator(ToySpace(), seed=3)
    assert evaluator.seed_for((0, 0, 1, 1, 2, 1)) == evaluator.seed_for((0, 2, 1, 1, 1, 2)), "equal networks"
    assert evaluator.seed_for((0, 0, 1, 1, 1, 2)) != evaluator.seed_for((0, 0, 1, 1, 2, 2))
    assert evaluator.seed_for((0, 0, 1, 1, 1, 2)) != ToyEvaluator(ToySpace(), seed=4).seed_for((0, 0, 1, 1, 1, 2))


def test_rehearsing_takes_the_time_of_a_measurement() -> None:
    assert ToyEvaluator.metrics == (Metric("valid_error", worst=1.0),)
    assert 0 < ToyEvaluator(ToySpace(), seed=0).rehearse(CANDIDATE.genome) < 5


@pytest.mark.parametrize(
    "record",
    [
        CANDIDATE,
        Evaluation(
            CANDIDATE, {"valid_error": 0.5}, Source.TRAINED, 1.5, 3, Worker("here", "cpu", (("a", "1"),)), "x 3"
        ),
        Failure(CANDIDATE, "no luck", FailureKind.CRASH),
        Rejection(CANDIDATE, "proxy", 1.0, 2.0),
    ],
)
def test_records_travel_whole(record: object) -> None:
    assert pickle.loads(pickle.dumps(record)) == record


def test_an_outcome_that_came_back_has_the_candidate_that_was_asked_for() -> None:
    worker = Worker("there", "cpu")
    for outcome in (
        Evaluation(CANDIDATE, {"valid_error": 0.5}, Source.TRAINED, 1.5, 3, reused_from="x 3"),
        Failure(CANDIDATE, "no luck", FailureKind.CRASH),
        Rejection(CANDIDATE, "proxy", 1.0, 2.0),
    ):
        noted = made_by(worker, CANDIDATE, pickle.loads(pickle.dumps(outcome)))
        assert noted.candidate is CANDIDATE
        assert noted == (replace(outcome, worker=worker) if isinstance(outcome, Evaluation) else outcome)


class Batched(ToyEvaluator):
    """Notes the sizes of what it is asked for; batches with a genome that begins with 2 cannot be measured."""

    def __init__(self) -> None:
        super().__init__(ToySpace(), seed=3)
        self.asked: list[tuple[int, int | None]] = []

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        self.asked.append((1, budget))
        if genome[0] == 2:
            raise NotFinite("the loss is infinite")
        return {"valid_error": sum(genome) / 100}

    def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
        self.asked.append((len(genomes), budget))
        if any(genome[0] == 2 for genome in genomes):
            raise NotFinite("one of the losses is infinite")
        return [{"valid_error": sum(genome) / 100 if sum(genome) < 9 else float("nan")} for genome in genomes]


def group(firsts: Sequence[int], budgets: Sequence[int | None] | None = None) -> list[Candidate]:
    given = budgets or [None] * len(firsts)
    return [
        Candidate(n, (first, 1, 0, 0, 0, 0), 0, budget=b)
        for n, (first, b) in enumerate(zip(firsts, given, strict=True))
    ]


class TestManyAtOnce:
    def test_outcomes_are_those_of_one_by_one_and_share_the_time(self) -> None:
        evaluator, asked = Batched(), group([0, 1, 1])
        outcomes = evaluate_many(evaluator, asked)
        assert evaluator.asked == [(3, None)]
        alone = [evaluate(evaluator, candidate) for candidate in asked]
        assert [untimed(outcome) for outcome in outcomes] == [untimed(outcome) for outcome in alone]
        assert [outcome.metrics["valid_error"] for outcome in outcomes] == [0.01, 0.02, 0.02]  # type: ignore[union-attr]

    def test_seconds_are_divided(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def slow(self: Evaluator, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
            time.sleep(0.2)
            return [{"valid_error": 0.5} for _ in genomes]

        monkeypatch.setattr(Batched, "measure_many", slow)
        began = time.perf_counter()
        seconds = [outcome.seconds for outcome in evaluate_many(Batched(), group([0] * 4))]  # type: ignore[union-attr]
        assert 0.2 <= sum(seconds) < time.perf_counter() - began
        assert min(seconds) >= 0.05, "a quarter each"

    def test_candidates_of_a_budget_are_a_batch(self) -> None:
        evaluator = Batched()
        evaluate_many(evaluator, group([0, 1, 0, 1], [3, 3, 9, 9]))
        assert evaluator.asked == [(2, 3), (2, 9)]

    def test_only_those_fail_that_must(self) -> None:
        evaluator = Batched()
        outcomes = evaluate_many(evaluator, group([0, 2, 1]))
        assert evaluator.asked == [(3, None), (1, None), (1, None), (1, None)]
        assert [type(outcome) for outcome in outcomes] == [Evaluation, Failure, Evaluation]

    def test_a_number_that_is_not_finite_fails_alone_and_is_asked_for_once(self) -> None:
        evaluator = Batched()
        odd = Candidate(1, (1, 2, 2, 2, 2, 2), 0)
        outcomes = evaluate_many(evaluator, [*group([0]), odd])
        assert [type(outcome) for outcome in outcomes] == [Evaluation, Failure]
        assert outcomes[1].candidate is odd
        assert evaluator.asked == [(2, None)]

    @pytest.mark.parametrize("too_few", [[], [{"valid_error": 0.5}]])
    def test_numbers_that_are_missing_are_asked_for_one_by_one(
        self, too_few: list[Metrics], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Batched, "measure_many", lambda self, genomes, budget: too_few)
        outcomes = evaluate_many(Batched(), group([0, 1]))
        assert [outcome.metrics["valid_error"] for outcome in outcomes] == [0.01, 0.02]  # type: ignore[union-attr]

    def test_what_the_user_must_mend_escapes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refusing(self: Evaluator, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
            raise DataError("no data")

        monkeypatch.setattr(Batched, "measure_many", refusing)
        with pytest.raises(DataError, match="no data"):
            evaluate_many(Batched(), group([0, 1]))

    def test_who_measures_no_batches_is_asked_one_by_one(self) -> None:
        evaluator = Scripted(lambda genome, budget: {"valid_error": 1 / genome[0]})
        assert (batches(evaluator), batches(Batched())) == (False, True)
        assert [type(outcome) for outcome in evaluate_many(evaluator, group([0, 1]))] == [Failure, Evaluation]


def untimed(outcome: Outcome) -> Outcome:
    return replace(outcome, seconds=0.0) if isinstance(outcome, Evaluation) else outcome
