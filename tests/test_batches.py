"""Batches grow where that is cheaper, and end where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from toy import ToyEvaluator, ToySpace

from evonas.evaluation import Candidate, Evaluation
from evonas.space import Genome, Metrics
from evonas.workers import batches as module
from evonas.workers.batches import Batches
from evonas.workers.tasks import CallSize

ASKED = [Candidate(number, (0, 0, 0, 0, number % 3, 0), 0) for number in range(600)]


class Counting(ToyEvaluator):
    """Takes `seconds` of a clock of its own for a genome, in batches; notes how large they are."""

    def __init__(self, seconds: float) -> None:
        super().__init__(ToySpace(), seed=0)
        self.seconds = seconds
        self.clock = 0.0
        self.sizes: list[int] = []

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return self.measure_many([genome], budget)[0]

    def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
        self.sizes.append(len(genomes))
        self.clock += self.seconds * len(genomes)
        return [super(Counting, self).measure(genome, budget) for genome in genomes]


def counting(seconds: float, monkeypatch: pytest.MonkeyPatch) -> Counting:
    evaluator = Counting(seconds)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: evaluator.clock))
    return evaluator


def evaluate_all(batches: Batches, asked: Sequence[Candidate]) -> list[Candidate]:
    done: list[Candidate] = []
    while len(done) < len(asked):
        outcomes = batches.evaluate(asked[len(done) :])
        assert all(isinstance(outcome, Evaluation) for outcome in outcomes)
        done += [outcome.candidate for outcome in outcomes]
    return done


def test_cheap_ones_come_in_batches_that_double_up_to_a_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = counting(1e-6, monkeypatch)
    assert evaluate_all(Batches(evaluator), ASKED) == ASKED
    assert evaluator.sizes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 89]
    assert CallSize.LARGEST == 256


def test_batches_take_as_long_as_a_call_should(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = counting(0.004, monkeypatch)
    evaluate_all(Batches(evaluator), ASKED[:100])
    assert evaluator.sizes[:6] == [1, 2, 4, 8, 12, 12]


def test_what_suddenly_takes_long_is_evaluated_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = counting(1e-6, monkeypatch)
    batches = Batches(evaluator)
    evaluate_all(batches, ASKED[:31])
    assert batches.size == 32
    evaluator.seconds = 0.06
    batches.evaluate(ASKED[:4])
    assert batches.size == 1


def test_without_batches_of_its_own_an_evaluator_is_asked_one_by_one() -> None:
    batches = Batches(ToyEvaluator(ToySpace(), seed=0))
    assert evaluate_all(batches, ASKED[:20]) == ASKED[:20]
    assert batches.size == 1
