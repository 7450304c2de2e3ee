"""A ladder is one evaluator: each candidate is measured by the rung of its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluator_contract import EvaluatorContract
from one_thread import one_thread  # noqa: F401
from tiny_space import TinySpace

from evonas.component import Component
from evonas.config import parse
from evonas.errors import ConfigError
from evonas.evaluation import (
    Candidate,
    Evaluation,
    Evaluator,
    Fidelity,
    Metric,
    Source,
    batches,
    evaluate,
    evaluate_many,
)
from evonas.pareto import untimed
from evonas.space import Genome, Metrics, SearchSpace
from evonas.workers.datasets import digits
from evonas.workers.ladder import Ladder
from evonas.workers.trained import Trained

DATA = digits(train_size=100)
GENOMES: list[Genome] = [(2, 1, 1), (0, 1, 0), (1, 2, 1)]
GUESS, TRAINED = (
    Component("test_ladder:Guess"),
    Component("evonas.workers.trained:Trained", {"epochs": 2, "rungs": [1]}),
)


class Guess(Evaluator):
    """Says that width is good, for many networks at a time; it reads a file and knows another seed."""

    source = Source.ZERO_COST
    metrics = (Metric("goodness", maximize=True, worst=0.0),)

    def __init__(self, space: SearchSpace, seed: int, *, bias: float = 0.0) -> None:
        super().__init__(space, seed)
        self.bias = bias
        self.prepared = 0
        self.asked: list[int] = []

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return self.measure_many([genome], budget)[0]

    def measure_many(self, genomes: list[Genome], budget: int | None) -> list[Metrics]:  # type: ignore[override]
        self.asked.append(len(genomes))
        return [{"goodness": self.space.costs(genome)["params"] + self.bias} for genome in genomes]

    def fingerprint(self) -> str:
        return f"file {self.bias}"

    def prepare(self) -> None:
        self.prepared += 1


def ladder(*rungs: Component, run_folder: Path | None = None, seed: int = 3) -> Ladder:
    return Ladder(TinySpace(), seed, DATA, run_folder, rungs=rungs or (GUESS, TRAINED))


class TestLadder(EvaluatorContract):
    def evaluator(self, seed: int) -> Evaluator:
        return ladder(seed=seed)


class TestLadderBelowItsTop(EvaluatorContract):
    budget = 1

    def evaluator(self, seed: int) -> Evaluator:
        return ladder(seed=seed)


def test_fidelities_are_those_of_the_rungs_cheapest_first() -> None:
    trained = Source.TRAINED
    assert ladder().fidelities == [Fidelity(Source.ZERO_COST), Fidelity(trained, 1), Fidelity(trained)]


def test_each_candidate_is_measured_by_the_rung_of_its_source_with_exact_costs(tmp_path: Path) -> None:
    evaluator, alone = ladder(run_folder=tmp_path), Trained(TinySpace(), DATA, 3, epochs=2)
    costs = TinySpace().costs(GENOMES[0])
    guess = evaluate(evaluator, Candidate(0, GENOMES[0], 0, source=Source.ZERO_COST))
    few = evaluate(evaluator, Candidate(1, GENOMES[0], 0, (0,), budget=1))
    full = evaluate(evaluator, Candidate(2, GENOMES[0], 0, (1,)))
    assert all(isinstance(outcome, Evaluation) for outcome in (guess, few, full))
    assert isinstance(guess, Evaluation)
    assert isinstance(few, Evaluation)
    assert isinstance(full, Evaluation)
    assert guess.metrics == {**costs, "goodness": costs["params"]}
    assert untimed(few.metrics) == untimed({**costs, **alone.measure(GENOMES[0], 1)})
    assert untimed(full.metrics) == untimed({**costs, **alone.measure(GENOMES[0], None)})
    assert [str(e.fidelity) for e in (guess, few, full)] == ["zero_cost", "trained, 1 epoch", "trained"]
    assert {e.seed for e in (guess, few, full)} == {alone.seed_for(GENOMES[0])}


def test_batches_are_of_one_fidelity_and_in_order() -> None:
    evaluator = ladder()
    sources = [Source.ZERO_COST, Source.ZERO_COST, None, Source.ZERO_COST]
    asked = [Candidate(n, GENOMES[n % 3], 0, budget=None if s else 1, source=s) for n, s in enumerate(sources)]
    outcomes = evaluate_many(evaluator, asked)
    assert [outcome.candidate for outcome in outcomes] == asked
    assert evaluator.at(Source.ZERO_COST).asked == [2, 1]  # type: ignore[attr-defined]
    assert batches(evaluator)
    assert not batches(evaluator.at(None))


def test_the_top_says_what_may_be_traded_off_and_every_rung_is_prepared_and_read() -> None:
    evaluator = ladder()
    assert (evaluator.source, evaluator.metrics) == (Source.TRAINED, Trained.metrics)
    assert evaluator.recipe_options == Trained.recipe_options
    evaluator.prepare()
    assert evaluator.at(Source.ZERO_COST).prepared == 1  # type: ignore[attr-defined]
    assert ladder().fingerprint() != ladder(Component(GUESS.use, {"bias": 1.0}), TRAINED).fingerprint()


@pytest.mark.parametrize(
    ("rungs", "said"),
    [
        ((GUESS,), "'rungs' must name two evaluators or more"),
        ((GUESS, GUESS, TRAINED), "of different sources, and are of zero_cost, zero_cost, trained"),
        ((GUESS, Component("evonas.workers.datasets:digits")), "must name a class that inherits from Evaluator"),
    ],
)
def test_rungs_that_make_no_ladder_are_refused(rungs: tuple[Component, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ladder(*rungs)


def test_a_source_that_no_rung_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="no rung of the ladder is predicted: it has zero_cost, trained"):
        evaluate(ladder(), Candidate(0, GENOMES[0], 0, source=Source.PREDICTED))


def test_rungs_of_an_experiment_are_completed_and_checked_and_overridden() -> None:
    given = {"use": "evonas.workers.ladder:Ladder", "rungs": [GUESS.plain(), {"use": TRAINED.use, "epochs": 3}]}
    experiment = parse({"evaluator": given}, ["evaluator.rungs.1.rungs=[1, 2]"])
    guess, trained = experiment.evaluator.options["rungs"]
    assert (guess, trained["epochs"], trained["rungs"]) == ({"use": GUESS.use, "bias": 0.0}, 3, [1, 2])
    assert parse(experiment.plain()).identity() == experiment.identity()
    with pytest.raises(ConfigError, match="did you mean 'bias'"):
        parse({"evaluator": {**given, "rungs": [{"use": GUESS.use, "bais": 1.0}, TRAINED.plain()]}})
    with pytest.raises(ConfigError, match="rungs"):
        parse({"evaluator": {**given, "rungs": GUESS.plain()}})
