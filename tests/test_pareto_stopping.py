"""Trainings are stopped when an optimistic end is dominated, by what is known on any number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from strategy_contract import StrategyContract, play, proposed
from toy import ToySpace, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.controller import replay
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Fidelity, Metric, Source
from evonas.journal import Asked, Event, Finished
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.strategies.pareto_stopping import ParetoStopping

EARLY_EXIT = EarlyExit(ToySpace(length=8, redundant=False), ())
ERROR = Metric("valid_error", worst=1.0)
BUDGETS = (1, 2, 4, None)
RUNGS: dict[Fidelity, Sequence[Metric]] = {Fidelity(Source.TABULAR, budget): (ERROR,) for budget in BUDGETS}
STEADY = Component("evonas.strategies.pymoo_steady_state:SteadyStateNSGA2", {"population": 10, "lag": 9})
NSGA2 = Component("evonas.strategies.pymoo_nsga2:NSGA2", {"population": 10})


def trained(candidate: Candidate) -> Evaluation:
    """Return the toy's numbers after some epochs: errors fall towards the end's, not all at one pace."""
    full = toy_evaluation(candidate)
    pace = float(generator(0, "pace", list(candidate.genome)).uniform(0.7, 1.3))
    left = {1: 1.0, 2: 0.5, 4: 0.2, None: 0.0}[candidate.budget]
    error = min(1.0, full.metrics["valid_error"] * (1 + pace * left))
    return replace(full, metrics={**full.metrics, "valid_error": error})


def new(strategy: Component = NSGA2, **options: object) -> ParetoStopping:
    given = {"strategy": strategy, "least_curves": 5, **options}
    return ParetoStopping(EARLY_EXIT.space, toy_goals(), EARLY_EXIT.admit, 0, RUNGS, **given)  # type: ignore[arg-type]


def evaluations(events: Sequence[Event]) -> dict[int, Evaluation]:
    outcomes = [event.outcome for event in events if isinstance(event, Finished)]
    return {o.candidate.id: o for o in outcomes if isinstance(o, Evaluation)}


def front(events: Sequence[Event]) -> list[tuple[int, ...]]:
    finished = [e for e in evaluations(events).values() if e.candidate.at_top]
    return [member.candidate.genome for member in ParetoFront.of(finished, toy_goals()).members]


class StoppingContract(StrategyContract):
    fidelities = RUNGS

    def test_ids_and_generations_count_up_and_parents_are_older(self) -> None:
        candidates = [c for c in proposed(play(self.strategy(), self.evaluations)) if c.budget == BUDGETS[0]]
        assert [c.id for c in candidates] == [4 * number for number in range(len(candidates))], "3 ids for other rungs"
        generations = [c.generation for c in candidates]
        assert generations == sorted(generations)
        assert all(0 <= parent < c.id for c in candidates for parent in c.parents)


class TestParetoStopping(StoppingContract):
    component = Component("evonas.strategies.pareto_stopping:ParetoStopping", {"strategy": NSGA2.plain()})


class TestParetoStoppingInASteadyState(StoppingContract):
    component = Component("evonas.strategies.pareto_stopping:ParetoStopping", {"strategy": STEADY.plain()})


@pytest.mark.parametrize("inner", [NSGA2, STEADY])
def test_a_search_of_so_many_networks_is_the_same_on_any_number_of_workers(inner: Component) -> None:
    found = []
    for capacity, order in ((1, 0), (3, 1), (64, 2)):
        strategy = new(inner, networks=130)
        events = play(strategy, 10_000, capacity=capacity, order=order, outcome_of=trained)
        kept = evaluations(events)
        found.append({id_: e.metrics for id_, e in kept.items()})
        savings = strategy.savings(kept.values())
        assert savings.stopped > 10
        assert savings.stopped + savings.finished == 130
    assert found[0] == found[1] == found[2]


def test_what_is_stopped_would_have_been_dominated_and_costs_nothing_more() -> None:
    strategy = new(checked=0.0)
    events = play(strategy, 800, outcome_of=trained)
    kept = evaluations(events)
    reached: dict[tuple[int, ...], Evaluation] = {}
    for evaluation in kept.values():
        before = reached.get(evaluation.candidate.genome)
        if before is None or before.candidate.id < evaluation.candidate.id:
            reached[evaluation.candidate.genome] = evaluation
    stopped = [e for e in reached.values() if not e.candidate.at_top]
    finished = [e for e in reached.values() if e.candidate.at_top]
    savings = strategy.savings(kept.values())
    assert abs(savings.stopped - len(stopped)) <= 4  # what is still in training when the search ends is not stopped
    assert savings.finished == len(finished)
    ends = [trained(replace(e.candidate, id=10_000 + e.candidate.id, budget=None)) for e in stopped]
    lost = set(front(events)) ^ {m.candidate.genome for m in ParetoFront.of([*finished, *ends], toy_goals()).members}
    assert len(lost) <= 2


def test_a_share_of_what_would_be_stopped_is_trained_to_the_end_and_counted() -> None:
    strategy = new(checked=1.0)
    events = play(strategy, 800, outcome_of=trained)
    savings = strategy.savings(evaluations(events).values())
    assert savings.stopped == 0
    assert savings.seconds_saved == 0
    assert savings.checked > 20
    assert savings.false_stops <= savings.checked // 10


def test_seconds_saved_are_those_of_the_rungs_that_were_left() -> None:
    strategy = new(checked=0.0, least_curves=1)
    events = play(strategy, 400, outcome_of=lambda candidate: replace(trained(candidate), seconds=2.0))
    savings = strategy.savings(evaluations(events).values())
    rungs_run = len(evaluations(events))
    assert savings.seconds_spent == pytest.approx(2.0 * rungs_run)
    stopped_rungs = sum(4 - len(n.curve) for n in strategy._networks.values() if n.stopped)
    assert savings.seconds_saved == pytest.approx(2.0 * stopped_rungs)
    assert stopped_rungs > 0


def test_a_replayed_search_goes_on_as_if_it_had_not_been_interrupted() -> None:
    whole = play(new(), 600, outcome_of=trained)
    for cut in (1, 37, 200, len(whole) // 2):
        resumed = new()
        replay(resumed, whole[:cut])
        pending = {c.id: c for e in whole[:cut] if isinstance(e, Asked) for c in e.candidates}
        for event in whole[:cut]:
            if isinstance(event, Finished):
                pending.pop(event.outcome.candidate.id)
        for candidate in pending.values():
            resumed.tell(trained(candidate))
        done = evaluations(whole[:cut]) | {id_: trained(c) for id_, c in pending.items()}
        done |= evaluations(play(resumed, 600, outcome_of=trained))
        first = {id_: e.metrics for id_, e in done.items() if id_ < 400}
        assert first == {id_: e.metrics for id_, e in evaluations(whole).items() if id_ < 400}


def test_a_strategy_that_does_not_say_what_it_had_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not say which outcomes it had"):
        new(Component("evonas.strategies.random_search:RandomSearch"))
    with pytest.raises(ConfigError, match="deterministic: true"):
        new(Component(STEADY.use, {**STEADY.options, "deterministic": False}))


def test_an_evaluator_without_rungs_is_refused() -> None:
    with pytest.raises(ConfigError, match="rungs"):
        ParetoStopping(
            EARLY_EXIT.space, toy_goals(), EARLY_EXIT.admit, 0, {Fidelity(Source.TRAINED): (ERROR,)}, strategy=NSGA2
        )
