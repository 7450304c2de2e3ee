"""MO-ASHA climbs one rung at a time, promotes the best of each, and is the same search on any number of workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategy_contract import StrategyContract, hopeless, play, troubled
from toy import ToySpace, toy_error, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.controller import replay
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Fidelity, Metric, Outcome, Source
from evonas.goals import Goals, Objective
from evonas.journal import Event, Finished
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.space import Genome
from evonas.spaces.cell201 import Cell201
from evonas.strategies.base import Strategy
from evonas.strategies.mo_asha import MOASHA
from evonas.strategies.random_search import RandomSearch
from evonas.strategies.rung import Rung
from evonas.strategies.surrogate import Archive, SurrogateStrategy
from evonas.workers.tabular import Tabular

PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())
GATED = EarlyExit(ToySpace(length=8), [Gate("params", at_most=40)])
ERROR, PROXY = Metric("valid_error", worst=1.0), Metric("synflow", maximize=True)
PROXIES, FEW, MORE, TOP = (
    Fidelity(Source.ZERO_COST), Fidelity(Source.TABULAR, 1), Fidelity(Source.TABULAR, 3), Fidelity(Source.TABULAR)
)  # fmt: skip
TABLE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "nasbench201_12epochs.parquet"


QUICK = Component(
    "evonas.strategies.expected_hypervolume:ExpectedHypervolume",
    {"predictor": {"use": "evonas.predictors.ridge:Ridge"}, "predictions": 100, "samples": 2},
)


def at_fidelity(candidate: Candidate) -> Evaluation:
    """Return what the candidate's fidelity measures of the toy: noise falls as the budget grows, and a proxy is one."""
    full = toy_evaluation(candidate)
    noise = float(generator(0, "noise", list(candidate.genome), candidate.budget).normal())
    if candidate.source is Source.ZERO_COST:
        metrics = {"synflow": 10 * (1 - toy_error(candidate.genome) + 0.1 * noise), "params": full.metrics["params"]}
        return replace(full, metrics=metrics, source=Source.ZERO_COST)
    spread = {None: 0.0, 3: 0.02, 1: 0.05}[candidate.budget]
    error = float(np.clip(full.metrics["valid_error"] + spread * noise, 0.0, 1.0))
    return replace(full, metrics={**full.metrics, "valid_error": error})


def with_troubles(candidate: Candidate) -> Outcome:
    outcome = troubled(candidate)
    return at_fidelity(candidate) if isinstance(outcome, Evaluation) else outcome


def rungs(*fidelities: Fidelity) -> dict[Fidelity, Sequence[Metric]]:
    fidelities = fidelities or (FEW, MORE, TOP)
    return {f: (PROXY,) if f.source is Source.ZERO_COST else (ERROR, Metric("epochs")) for f in fidelities}


def new(
    early_exit: EarlyExit = PLAIN, fidelities: Mapping[Fidelity, Sequence[Metric]] | None = None, **options: object
) -> MOASHA:
    given = {"population": 10, "lag": 8, "model": QUICK, **options}
    fidelities = fidelities or rungs(PROXIES, FEW, MORE, TOP)
    return MOASHA(early_exit.space, toy_goals(), early_exit.admit, 0, fidelities, **given)  # type: ignore[arg-type]


def archive(events: list[Event]) -> dict[int, Outcome]:
    outcomes = [event.outcome for event in events if isinstance(event, Finished)]
    return {outcome.candidate.id: outcome for outcome in sorted(outcomes, key=lambda outcome: outcome.candidate.id)}


class TestMOASHA(StrategyContract):
    component = Component("evonas.strategies.mo_asha:MOASHA", {"population": 10, "lag": 9})
    fidelities = rungs()


class TestEvolvingMOASHA(StrategyContract):
    component = Component("evonas.strategies.mo_asha:MOASHA", {"population": 10, "lag": 9, "proposals": "evolution"})
    fidelities = rungs()


class TestModellingMOASHA(StrategyContract):
    component = Component(
        "evonas.strategies.mo_asha:MOASHA",
        {"population": 10, "lag": 9, "proposals": "model", "model": QUICK.plain()},
    )
    fidelities = rungs()


all_proposals = pytest.mark.parametrize("proposals", ["random", "evolution", "model"])


@all_proposals
@pytest.mark.parametrize("outcome_of", [at_fidelity, with_troubles])
def test_the_search_is_the_same_on_any_number_of_workers(
    outcome_of: Callable[[Candidate], Outcome], proposals: str
) -> None:
    alone = archive(play(new(GATED, proposals=proposals), 120, capacity=1, outcome_of=outcome_of))
    assert len(alone) == 120
    assert len({o.candidate.budget for o in alone.values()} - {None}) == 2, "it has climbed"
    for capacity in (3, 64):
        for order in range(2):
            strategy = new(GATED, proposals=proposals)
            assert archive(play(strategy, 120, capacity=capacity, order=order, outcome_of=outcome_of)) == alone


@all_proposals
def test_prolonging_to_any_length_equals_a_longer_search(proposals: str) -> None:
    long = archive(play(new(proposals=proposals), 80, outcome_of=at_fidelity))
    for length in (1, 23, 60):
        strategy, resumed = new(proposals=proposals), new(proposals=proposals)
        events = play(strategy, length, order=length, outcome_of=at_fidelity)
        replay(resumed, events)
        assert archive(events + play(strategy, 80 - length, order=1, outcome_of=at_fidelity)) == long
        assert archive(events + play(resumed, 80 - length, capacity=3, outcome_of=at_fidelity)) == long


def test_who_is_asked_for_is_who_the_paper_promotes() -> None:
    """Step by step: the highest rung that has somebody to promote in its best third, else a new network."""
    lag, addresses = 8, [(Source.ZERO_COST, None), (None, 1), (None, 3), (None, None)]
    outcomes = archive(play(new(lag=lag), 150, outcome_of=at_fidelity))
    strategy = new(lag=lag)
    goals = [rung.goals for rung in strategy._rungs]
    known, climbed = [Rung(goal) for goal in goals], Counter[int]()
    for ticket, outcome in outcomes.items():
        asked = outcome.candidate
        if ticket >= lag:
            before = outcomes[ticket - lag]
            assert isinstance(before, Evaluation)
            known[addresses.index((before.candidate.source, before.candidate.budget))].add(before)
        climbers = [rung.climber(3) for rung in known[:-1]]
        highest = max((number for number, climber in enumerate(climbers) if climber), default=None)
        if highest is None:
            assert (asked.source, asked.budget, asked.parents) == (Source.ZERO_COST, None, ())
            continue
        climber = climbers[highest]
        assert climber is not None
        assert (asked.genome, asked.parents) == (climber.candidate.genome, (climber.candidate.id,))
        assert (asked.source, asked.budget) == addresses[highest + 1]
        known[highest].promoted.add(asked.genome)
        climbed[highest] += 1
    assert min(climbed[number] for number in range(3)) >= 2


def test_each_rung_sees_about_a_part_of_the_one_below() -> None:
    outcomes = archive(play(new(eta=4, fidelities=rungs(FEW, MORE, TOP)), 420, outcome_of=at_fidelity))
    low, middle, top = (sum(o.candidate.budget == budget for o in outcomes.values()) for budget in (1, 3, None))
    assert low + middle + top == 420
    assert low / 4 - 5 <= middle <= low / 3
    assert middle / 4 - 5 <= top <= middle / 2.5


def test_failures_do_not_climb() -> None:
    def failing(candidate: Candidate) -> Outcome:
        return hopeless(candidate) if candidate.budget == 1 else at_fidelity(candidate)

    outcomes = archive(play(new(), 60, outcome_of=failing))
    assert {o.candidate.budget for o in outcomes.values()} == {None, 1}
    assert all(o.candidate.source is Source.ZERO_COST for o in outcomes.values() if o.candidate.budget is None)


def test_a_searched_space_is_climbed_to_its_end_though_nothing_new_is_left() -> None:
    space = EarlyExit(ToySpace(length=4), ())
    for deterministic in (True, False):
        strategy = new(space, rungs(FEW, TOP), deterministic=deterministic, lag=40)
        outcomes = archive(play(strategy, 1000, capacity=5, outcome_of=at_fidelity))
        budgets = Counter(o.candidate.budget for o in outcomes.values())
        networks = len(space.space.networks(at_most=81) or ())
        assert (budgets[1], budgets[None] >= networks // 3) == (networks, True)


def test_evolution_breeds_from_the_highest_rung_that_knows_enough() -> None:
    strategy = new(proposals="evolution", population=12)
    outcomes = archive(play(strategy, 400, outcome_of=at_fidelity))
    bred = [o.candidate for o in outcomes.values() if o.candidate.source is Source.ZERO_COST and o.candidate.parents]
    budgets = [{(outcomes[p].candidate.source, outcomes[p].candidate.budget) for p in child.parents} for child in bred]
    assert all(len(each) == 1 for each in budgets), "of one rung each time"
    order = list(dict.fromkeys(next(iter(each)) for each in budgets))
    assert order == [(Source.ZERO_COST, None), (None, 1), (None, 3), (None, None)]


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_model_chooses_by_the_highest_rung_that_knows_enough(
    deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = new(proposals="model", population=8, deterministic=deterministic)
    asked: list[tuple[int, Archive, list[Genome]]] = []
    chosen = SurrogateStrategy.chosen

    def watched(self: SurrogateStrategy, archive: Archive, rng: np.random.Generator) -> list[Genome]:
        number = next(n for n, model in enumerate(strategy._models) if model is self)
        sizes = [len(rung) for rung in strategy._rungs]
        assert number == max((n for n, size in enumerate(sizes) if size >= 8), default=0)
        assert archive.evaluations == strategy._rungs[number].evaluations
        assert not {e.candidate.genome for e in archive.evaluations} & set(archive.open), "what is known is not awaited"
        found = chosen(self, archive, rng)
        asked.append((number, archive, found))
        return found

    monkeypatch.setattr(SurrogateStrategy, "chosen", watched)
    outcomes = archive(play(strategy, 200, capacity=4, outcome_of=at_fidelity))
    assert {number for number, _, _ in asked} >= {0, 1, 2}
    assert any(known.open for _, known, _ in asked)
    new_ones = [o.candidate.genome for o in outcomes.values() if o.candidate.source is Source.ZERO_COST]
    assert [found for _, _, [found] in asked] == new_ones[-len(asked) :], "and all that it chose is evaluated"


def test_one_fidelity_is_no_ladder() -> None:
    with pytest.raises(ConfigError, match=r"the evaluator has but one: give it more, such as evaluator.rungs=\[1, 3\]"):
        new(fidelities=rungs(TOP))
    with pytest.raises(ConfigError, match="'eta' must be at least 2, and is 1"):
        new(eta=1)


@pytest.mark.skipif(not TABLE.exists(), reason=f"the table of NAS-Bench-201 is not at {TABLE}")
@all_proposals
def test_a_table_is_searched_better_for_the_same_epochs_than_by_full_trainings_at_random(proposals: str) -> None:
    """Accuracies after 12 epochs, and after 1 and 3 with the noise that fewer epochs might have."""
    space = Cell201()
    genes = [f"e{number}" for number in range(6)]
    table = Tabular(space, 0, file=TABLE, genes=genes, metrics={"valid_accuracy": "cifar10_valid_accuracy"})
    goals = Goals((Objective("valid_accuracy", True, 10.0), Objective("params", False, 1.6e6)))
    accuracy = Metric("valid_accuracy", maximize=True)

    def outcome_of(candidate: Candidate) -> Evaluation:
        measured = {**space.costs(candidate.genome), **table.measure(candidate.genome, None)}
        noise = float(generator(0, list(candidate.genome), candidate.budget).normal())
        measured["valid_accuracy"] += {None: 0.0, 3: 3.0, 1: 8.0}[candidate.budget] * noise
        return Evaluation(candidate, measured, Source.TABULAR, 1.0, 0)

    def found(strategy: Strategy, evaluations: int) -> tuple[float, int]:
        """Return the hypervolume of what was trained to the end, and the epochs that were trained."""
        made = archive(play(strategy, evaluations, outcome_of=outcome_of)).values()
        measured = [outcome for outcome in made if isinstance(outcome, Evaluation)]
        epochs = sum({1: 1, 3: 2, None: 9}[e.candidate.budget] for e in measured)
        return ParetoFront.of([e for e in measured if e.candidate.at_top], goals).hypervolume, epochs

    gains = []
    for seed in range(4):
        admit = EarlyExit(space, ()).admit
        fidelities = dict.fromkeys((FEW, MORE, TOP), (accuracy,))
        climbing = MOASHA(space, goals, admit, seed, fidelities, proposals=proposals, model=QUICK)  # type: ignore[arg-type]
        reached, epochs = found(climbing, 300)
        at_random, _ = found(RandomSearch(space, goals, admit, seed), -(-epochs // 12))
        gains.append(reached / at_random - 1)
    assert np.mean(gains) > 0.005, gains
