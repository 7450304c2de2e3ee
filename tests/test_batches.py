"""Batches grow where that is cheaper, and end where it is not."""

from __future__ import annotations

import time
from collections.abc import Sequence

from toy import ToyEvaluator, ToySpace

from evonas.evaluation import Candidate, Evaluation
from evonas.space import Genome, Metrics
from evonas.workers.batches import Batches
from evonas.workers.tasks import CallSize

ASKED = [Candidate(number, (0, 0, 0, 0, number % 3, 0), 0) for number in range(600)]


class Counting(ToyEvaluator):
    """Takes `seconds` for a genome, in batches; notes how large they are."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(ToySpace(), seed=0)
        self.seconds = seconds
        self.sizes: list[int] = []

    def measure_many(self, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
        self.sizes.append(len(genomes))
        time.sleep(self.seconds * len(genomes))
        return [self.measure(genome, budget) for genome in genomes]


def evaluate_all(batches: Batches, asked: Sequence[Candidate]) -> list[Candidate]:
    done: list[Candidate] = []
    while len(done) < len(asked):
        outcomes = batches.evaluate(asked[len(done) :])
        assert all(isinstance(outcome, Evaluation) for outcome in outcomes)
        done += [outcome.candidate for outcome in outcomes]
    return done


def test_cheap_ones_come_in_batches_that_double_up_to_a_largest() -> None:
    evaluator = Counting()
    assert evaluate_all(Batches(evaluator), ASKED) == ASKED
    assert evaluator.sizes[:4] == [2, 4, 8, 16], "the first is alone, and not a batch"
    assert max(evaluator.sizes) <= CallSize.LARGEST


def test_what_suddenly_takes_long_is_soon_evaluated_singly() -> None:
    evaluator = Counting()
    batches = Batches(evaluator)
    evaluate_all(batches, ASKED[:31])
    assert batches.size >= 16
    evaluator.seconds = 0.06
    batches.evaluate(ASKED[:4])
    assert batches.size == 1


def test_without_batches_of_its_own_an_evaluator_is_asked_one_by_one() -> None:
    batches = Batches(ToyEvaluator(ToySpace(), seed=0))
    assert evaluate_all(batches, ASKED[:20]) == ASKED[:20]
    assert batches.size == 1
