"""BANANAS satisfies the contract, and evaluates mutants of the front."""

from __future__ import annotations

from strategy_contract import StrategyContract
from surrogates import LARGE, LINEAR, surrogate
from toy import toy_evaluation, toy_goals

from evonas.component import Component
from evonas.pareto import ParetoFront

USE = "evonas.strategies.bananas:BANANAS"


class TestBANANAS(StrategyContract):
    component = Component(USE, {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 200})


def test_what_is_evaluated_differs_little_from_a_member_of_the_front() -> None:
    strategy = surrogate(USE, LARGE, initial=20, batch=10, lag=0)
    evaluations = [toy_evaluation(candidate) for candidate in strategy.ask(20)]
    for evaluation in evaluations:
        strategy.tell(evaluation)
    front = [member.candidate.genome for member in ParetoFront.of(evaluations, toy_goals()).members]
    differences = [
        min(sum(a != b for a, b in zip(candidate.genome, genome, strict=True)) for genome in front)
        for candidate in strategy.ask(10)
    ]
    assert max(differences) <= 7, "of 14 genes, of which uniform networks differ in 9"
    assert sorted(differences)[5] <= 3
