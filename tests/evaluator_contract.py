"""What every evaluator must do: inherit EvaluatorContract, and say how to make yours."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from evonas.errors import ConfigError
from evonas.evaluation import (
    Candidate,
    Evaluation,
    Evaluator,
    Failure,
    FailureKind,
    NotFinite,
    Outcome,
    Rejected,
    Rejection,
    evaluate,
    evaluate_many,
)
from evonas.pareto import untimed
from evonas.seeds import generator
from evonas.space import Genome, Metrics


class EvaluatorContract(ABC):
    """The claims; a subclass is collected by pytest if its name begins with Test.

    Evaluators should be quick: each test makes one or two and measures up to four genomes.
    """

    depends_on_seed = True
    """Whether another run seed gives other numbers; a table's does not."""

    budget: int | None = None

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        """As in a pool's worker: small networks only wait for each other on two."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @abstractmethod
    def evaluator(self, seed: int) -> Evaluator:
        """Return a new evaluator."""

    def genomes(self, count: int) -> list[Genome]:
        """Return different canonical genomes of the evaluator's space."""
        space, rng = self.evaluator(0).space, generator(0, "contract")
        found: dict[Genome, None] = {}
        for _ in range(1000):
            found.setdefault(space.canonical(space.sample(rng)))
            if len(found) == count:
                return list(found)
        raise AssertionError(f"the space has fewer than {count} genomes")

    def test_declared_metrics_are_the_returned_ones(self) -> None:
        evaluator = self.evaluator(0)
        measured = evaluator.measure(self.genomes(1)[0], self.budget)
        names = [metric.name for metric in evaluator.metrics]
        assert sorted(measured) == sorted(names)
        assert len(set(names)) == len(names)

    def test_metrics_are_finite_floats_no_worse_than_the_worst(self) -> None:
        evaluator = self.evaluator(0)
        measured = evaluator.measure(self.genomes(1)[0], self.budget)
        assert all(isinstance(value, float) and math.isfinite(value) for value in measured.values())
        for metric in evaluator.metrics:
            if metric.worst is not None:
                value = measured[metric.name]
                assert value >= metric.worst if metric.maximize else value <= metric.worst

    def test_no_metric_comes_from_the_test_split(self) -> None:
        assert not [metric.name for metric in self.evaluator(0).metrics if metric.name.startswith("test_")]

    def test_no_metric_shadows_a_static_cost(self) -> None:
        evaluator = self.evaluator(0)
        assert not {metric.name for metric in evaluator.metrics} & set(evaluator.space.costs(self.genomes(1)[0]))

    def test_same_genome_and_seed_give_the_same_numbers(self) -> None:
        (genome,) = self.genomes(1)
        evaluator = self.evaluator(3)
        first, again, elsewhere = (e.measure(genome, self.budget) for e in (evaluator, evaluator, self.evaluator(3)))
        assert untimed(first) == untimed(again) == untimed(elsewhere)

    def test_another_run_seed_gives_other_numbers(self) -> None:
        (genome,) = self.genomes(1)
        one, other = (untimed(self.evaluator(seed).measure(genome, self.budget)) for seed in (0, 1))
        assert (one != other) == self.depends_on_seed

    def test_numbers_do_not_depend_on_what_was_measured_before(self) -> None:
        genomes = self.genomes(2)
        forwards, backwards = self.evaluator(0), self.evaluator(0)
        ahead = {genome: untimed(forwards.measure(genome, self.budget)) for genome in genomes}
        back = {genome: untimed(backwards.measure(genome, self.budget)) for genome in reversed(genomes)}
        assert ahead == back

    def test_many_are_measured_as_one_by_one_in_any_company(self) -> None:
        genomes = self.genomes(4)
        evaluator = self.evaluator(0)
        alone = [untimed(evaluator.measure(genome, self.budget)) for genome in genomes]
        assert [untimed(measured) for measured in evaluator.measure_many(genomes, self.budget)] == alone
        company = evaluator.measure_many(genomes[:0:-1], self.budget)
        assert [untimed(measured) for measured in company] == alone[:0:-1]

    def test_a_batch_that_raises_is_evaluated_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        evaluator = self.evaluator(0)
        candidates = [Candidate(number, genome, 0, budget=self.budget) for number, genome in enumerate(self.genomes(2))]

        def raising(self: Evaluator, genomes: Sequence[Genome], budget: int | None) -> list[Metrics]:
            raise ValueError("an odd layer")

        expected = [self._measured(evaluate(evaluator, candidate)) for candidate in candidates]
        monkeypatch.setattr(type(evaluator.at(None)), "measure_many", raising)
        assert [self._measured(outcome) for outcome in evaluate_many(evaluator, candidates)] == expected

    def test_a_fingerprint_belongs_to_what_is_read_and_not_to_the_reader(self) -> None:
        evaluator = self.evaluator(0)
        assert evaluator.fingerprint() == evaluator.fingerprint() == self.evaluator(0).fingerprint()

    def test_global_random_numbers_are_left_alone_and_do_not_matter(self) -> None:
        import torch

        (genome,) = self.genomes(1)
        evaluator = self.evaluator(0)
        measured = []
        for seed in (0, 1):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state().tolist()
            measured.append(untimed(evaluator.measure(genome, self.budget)))
            after = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state().tolist()
            assert str(before) == str(after)
        assert measured[0] == measured[1]

    def test_rehearsal_estimates_some_seconds_and_changes_nothing(self) -> None:
        (genome,) = self.genomes(1)
        evaluator = self.evaluator(0)
        assert 0 < evaluator.rehearse(genome) < math.inf
        assert untimed(evaluator.measure(genome, self.budget)) == untimed(
            self.evaluator(0).measure(genome, self.budget)
        )

    def test_evaluation_adds_static_costs_and_says_where_its_numbers_come_from(self) -> None:
        evaluator = self.evaluator(0)
        candidate = self._candidate()
        outcome = evaluate(evaluator, candidate)
        assert isinstance(outcome, Evaluation)
        assert outcome.candidate is candidate
        assert outcome.source is evaluator.source
        assert outcome.seed == evaluator.seed_for(candidate.genome)
        costs = evaluator.space.costs(candidate.genome)
        assert set(outcome.metrics) == set(costs) | {metric.name for metric in evaluator.metrics}
        assert {name: outcome.metrics[name] for name in costs} == dict(costs)

    def test_an_exception_inside_is_a_failure_with_its_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = self._outcome_of_raising(ValueError("an odd layer"), monkeypatch)
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.ERROR
        assert "Traceback" in outcome.reason
        assert "an odd layer" in outcome.reason

    def test_a_loss_that_is_not_finite_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = self._outcome_of_raising(NotFinite("the loss is nan"), monkeypatch)
        assert outcome == Failure(self._candidate(), "the loss is nan", FailureKind.NOT_FINITE)

    def test_a_metric_that_is_not_finite_is_a_failure_that_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        evaluator = self.evaluator(0)
        name = evaluator.metrics[0].name
        measured = {metric.name: 1.0 for metric in evaluator.metrics} | {name: math.nan}
        monkeypatch.setattr(evaluator.at(None), "measure", lambda genome, budget: measured)
        outcome = evaluate(evaluator, self._candidate())
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.NOT_FINITE
        assert name in outcome.reason

    def test_too_little_memory_is_a_failure_of_its_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = self._outcome_of_raising(MemoryError("no room"), monkeypatch)
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.OUT_OF_MEMORY

    def test_an_early_exit_is_a_rejection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = self._outcome_of_raising(Rejected("synflow", 1.5, 2.0), monkeypatch)
        assert outcome == Rejection(self._candidate(), "synflow", 1.5, 2.0)

    def test_an_error_of_the_user_escapes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match="mend me"):
            self._outcome_of_raising(ConfigError("mend me"), monkeypatch)

    def _measured(self, outcome: Outcome) -> tuple[Candidate, Metrics]:
        assert isinstance(outcome, Evaluation)
        return outcome.candidate, untimed(outcome.metrics)

    def _candidate(self) -> Candidate:
        return Candidate(id=7, genome=self.genomes(1)[0], generation=0, budget=self.budget)

    def _outcome_of_raising(self, error: Exception, monkeypatch: pytest.MonkeyPatch) -> object:
        def raising(genome: Genome, budget: int | None) -> Metrics:
            raise error

        evaluator = self.evaluator(0)
        monkeypatch.setattr(evaluator.at(None), "measure", raising)
        return evaluate(evaluator, self._candidate())
