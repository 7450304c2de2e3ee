"""Strategies with a predictor: the same proposals on any pool, chosen ahead in a thread; a replay computes nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategy_contract import GATE, hopeless, play, proposed, troubled
from surrogates import LARGE, LINEAR, PLAIN, surrogate
from test_table_space import sparse
from toy import ToySpace, toy_evaluation, toy_goals
from toy_predictor import Broken, Linear, Slow

from evonas.controller import replay
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Outcome, evaluate
from evonas.goals import Constraint, Goals, Objective
from evonas.journal import Event, Finished
from evonas.spaces.table import Table
from evonas.strategies.surrogate import Archive, SurrogateStrategy
from evonas.strategies.surrogate_model import LossModel, Networks, PredictedLosses
from evonas.workers.tabular import Tabular

USE = "evonas.strategies.expected_hypervolume:ExpectedHypervolume"


@pytest.mark.parametrize("early_exit", [PLAIN, LARGE])
def test_proposals_are_the_same_on_any_number_of_workers_in_any_order(early_exit: EarlyExit) -> None:
    options = {"lag": 7, "batch": 6}
    searches = [
        proposed(play(surrogate(USE, early_exit, **options), 60, capacity=n, order=n, outcome_of=troubled))
        for n in (1, 3, 64)
    ]
    assert searches[0] == searches[1] == searches[2]
    assert {candidate.generation for candidate in searches[0]} == set(range(10))


@pytest.mark.parametrize("changed", [14, 15])
def test_a_batch_depends_on_outcomes_before_the_lag_only(changed: int) -> None:
    """The second batch begins with ticket 19; with a lag of 4 it knows the outcomes of tickets 0 to 14."""

    def outcome_of(candidate: Candidate) -> Outcome:
        evaluation = toy_evaluation(candidate)
        better = {**evaluation.metrics, "valid_error": 0.01}
        return replace(evaluation, metrics=better) if candidate.id == changed else evaluation

    plain = proposed(play(surrogate(USE), 28))
    other = proposed(play(surrogate(USE), 28, outcome_of=outcome_of))
    assert plain[:19] == other[:19]
    assert (plain[19:28] == other[19:28]) is (changed == 15)


def test_a_replay_fits_nothing_and_the_first_ask_after_it_does() -> None:
    events = play(surrogate(USE), 40)
    Linear.fits = 0
    resumed = surrogate(USE)
    replay(resumed, events)
    assert resumed._ahead is None
    assert Linear.fits == 0
    assert resumed.ask(3)
    assert Linear.fits > 0


def test_a_batch_is_chosen_while_the_last_of_the_one_before_are_evaluated() -> None:
    strategy = surrogate(USE, predictor={"use": "toy_predictor:Slow"}, initial=6, batch=6, lag=3)
    first = strategy.ask(6)
    for candidate in first[:3]:
        assert not Slow.fitting.is_set()
        strategy.tell(toy_evaluation(candidate))
    assert Slow.fitting.wait(300), "three outcomes are in, and three are open"
    assert threading.current_thread().name != Slow.thread
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == Slow.thread), "no exit waits for it"
    Slow.may_end.set()
    assert len(strategy.ask(6)) == 6


def test_what_goes_wrong_in_the_thread_is_raised_by_ask() -> None:
    strategy = surrogate(USE, predictor={"use": "toy_predictor:Broken"}, initial=4, batch=4, lag=1)
    for candidate in strategy.ask(4):
        strategy.tell(toy_evaluation(candidate))
    with pytest.raises(ZeroDivisionError, match=Broken.MESSAGE):
        strategy.ask(4)


def test_without_a_lag_nothing_is_chosen_that_is_not_asked_for() -> None:
    strategy = surrogate(USE, initial=4, batch=4, lag=0)
    Linear.fits = 0
    for candidate in strategy.ask(4):
        strategy.tell(toy_evaluation(candidate))
    assert (strategy._ahead, Linear.fits) == (None, 0), "this may have been the last of the budget"
    assert strategy.ask(4)
    assert Linear.fits > 0


def test_nothing_is_handed_out_before_the_outcomes_that_a_batch_needs_are_in() -> None:
    strategy = surrogate(USE, initial=10, batch=9, lag=4)
    first = strategy.ask(64)
    assert len(first) == 10
    for candidate in first[:5]:
        strategy.tell(toy_evaluation(candidate))
        assert strategy.ask(64) == []
    strategy.tell(toy_evaluation(first[5]))
    assert len(strategy.ask(64)) == 9


def test_the_design_begins_with_the_smallest_and_the_largest_network() -> None:
    first = surrogate(USE, design="extremes").ask(10)
    assert [candidate.genome for candidate in first[:2]] == [(0,) * 8, (2,) * 8]
    assert len({candidate.genome for candidate in first}) == 10


def test_a_gate_counts_what_it_turns_away_of_the_design_and_nothing_later() -> None:
    early_exit = EarlyExit(ToySpace(), [GATE])
    strategy = surrogate(USE, early_exit)
    first = strategy.ask(4)
    counts = early_exit.take_counts()
    assert counts[GATE.name] > 0
    resumed = surrogate(USE, early_exit)
    resumed.adopt(first)
    rest = resumed.ask(6)
    assert rest == strategy.ask(6)
    assert early_exit.take_counts() == {}, "what was turned away before was counted before"
    for candidate in [*first, *rest]:
        strategy.tell(toy_evaluation(candidate))
    later = strategy.ask(9)
    assert later
    assert all(GATE.passes(early_exit.space.costs(candidate.genome)["params"]) for candidate in later)
    assert early_exit.take_counts() == {}


def test_a_gate_on_the_initial_population_is_open_later() -> None:
    gate = Gate("params", at_most=20, applies_to="initial")
    early_exit = EarlyExit(ToySpace(), [gate])
    params = [early_exit.space.costs(c.genome)["params"] for c in proposed(play(surrogate(USE, early_exit), 60))]
    assert max(params[:10]) <= 20 < max(params[10:])


def test_constraints_steer() -> None:
    goals = toy_goals(Constraint("valid_error", at_least=0.7))
    steered = proposed(play(surrogate(USE, goals=goals), 100))[30:]
    errors = np.array([toy_evaluation(candidate).metrics["valid_error"] for candidate in steered])
    free = proposed(play(surrogate(USE), 100))[30:]
    assert np.mean(errors >= 0.7) > 0.6
    assert np.mean([toy_evaluation(candidate).metrics["valid_error"] >= 0.7 for candidate in free]) < 0.4


@pytest.mark.parametrize("listed", [True, False])
def test_of_a_table_that_lacks_most_networks_all_rows_are_proposed_and_no_others(
    listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not listed:
        monkeypatch.setattr(Table, "networks", lambda space, at_most: None)
    candidates = proposed(_play_on(sparse(tmp_path)))
    assert sorted(candidate.genome for candidate in candidates) == sorted(sparse(tmp_path).table.row_of)


def test_a_table_is_listed_however_large_and_some_of_it_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search on predictions would be moved to rows that it has met, again and again."""
    monkeypatch.setattr("evonas.strategies.surrogate.LISTED", 9)
    monkeypatch.setattr("evonas.strategies.surrogate.evolved", None)
    sizes = []
    predict = LossModel.predict

    def counted(model: LossModel, networks: Networks) -> PredictedLosses:
        sizes.append(len(networks))
        return predict(model, networks)

    monkeypatch.setattr(LossModel, "predict", counted)
    assert _play_on(sparse(tmp_path), evaluations=20, predictions=12, lag=0)
    assert max(sizes) == 12


@pytest.mark.parametrize("listed", [True, False])
def test_no_candidate_needs_repair_though_the_table_lacks_most_that_are_repaired(
    listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not listed:
        monkeypatch.setattr(Table, "networks", lambda space, at_most: None)
    space = sparse(tmp_path)
    events = _play_on(space, evaluations=10, lag=0)
    outcomes = [event.outcome for event in events if isinstance(event, Finished)]
    evaluations = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
    archive = Archive(evaluations, (), frozenset(evaluation.candidate.genome for evaluation in evaluations))
    strategy = _surrogate_on(space)
    rng = np.random.default_rng(0)
    genomes, _ = strategy.candidates(archive, strategy.fitted(archive), rng, repair=lambda g: (0, *g[1:]))
    assert genomes
    assert {genome[0] for genome in genomes} == {0}


def test_one_success_among_failures_is_nothing_to_fit() -> None:
    def lucky(candidate: Candidate) -> Outcome:
        return toy_evaluation(candidate) if candidate.id == 3 else hopeless(candidate)

    Linear.fits = 0
    assert len(proposed(play(surrogate(USE), 40, outcome_of=lucky))) == 40
    assert Linear.fits == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"initial": 1}, "'initial' must be at least 2, and is 1"),
        ({"batch": 0}, "'batch' must be at least 1, and is 0"),
        ({"lag": -1}, "'lag' must be at least 0, and is -1"),
        ({"predictions": 3}, "'predictions' must be at least the batch, and is 3"),
        ({"predictor": {"use": "toy:ToySpace"}}, "'use: toy:ToySpace' must name a class that inherits from Predictor"),
        ({"predictor": {**LINEAR, "penality": 1}}, "penality"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        surrogate(USE, **options)


def _surrogate_on(space: Table, **options: object) -> SurrogateStrategy:
    goals = Goals((Objective("error", False, 1.2), Objective("size", False, 20.0)))
    return surrogate(USE, EarlyExit(space, ()), goals, initial=6, batch=4, **options)


def _play_on(space: Table, evaluations: int = 1000, **options: object) -> Sequence[Event]:
    evaluator = Tabular(space, 0, metrics=["error", "size"])
    strategy = _surrogate_on(space, **options)
    return play(strategy, evaluations, outcome_of=lambda candidate: evaluate(evaluator, candidate))
