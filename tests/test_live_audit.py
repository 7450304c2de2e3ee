"""A search is audited while it runs: the same networks, whoever evaluates and however often it is cut."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cheap import Score
from commands import FORMULA
from one_thread import one_thread  # noqa: F401
from rich.console import Console as Terminal
from synthetic import FormulaEvaluator, IntegerSpace
from test_controller import BUDGET, GATES, ShufflingPool, nsga2, search, steady_state
from tiny_space import TinySpace
from toy import ToyEvaluator, ToySpace, candidates, evaluated, failed, header

from evonas import config, plan
from evonas import search as searching
from evonas.audit_plan import by_fidelity
from evonas.auditor import auditor
from evonas.check import report
from evonas.compose import prepare
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError
from evonas.evaluation import FIRST_AUDIT, Candidate, Evaluation, Failure, FailureKind, Outcome, Source, evaluate
from evonas.history import JOURNAL, History
from evonas.joined import Joined
from evonas.journal import Asked, Finished, Journal
from evonas.live_audit import ENOUGH, LiveAudit, Rule
from evonas.pareto import digest, untimed
from evonas.reports.table import audited, doubt
from evonas.seeds import generator
from evonas.space import Genome, Metrics
from evonas.strategies.base import Strategy
from evonas.tracking.console import Console
from evonas.tracking.mlflow_records import live_audit_points
from evonas.workers.datasets import digits
from evonas.workers.trained import Trained

RULE = Rule(4, Source.TRAINED, "valid_error", False, "valid_error", False)
BY_FORMULA = {"every": 5, "evaluator": {"use": "synthetic:FormulaEvaluator"}}
SCORED: dict[str, Any] = {**FORMULA, "evaluator": "cheap:Score", "objectives": ["score", "params"], "gates": []}


def told(audit: LiveAudit, outcomes: Sequence[Outcome]) -> LiveAudit:
    """Ask for candidates in the order of their ids, and tell their outcomes in the order given."""
    audit.asked(sorted((outcome.candidate for outcome in outcomes), key=lambda candidate: candidate.id))
    for outcome in outcomes:
        audit.tell(outcome)
    return audit


def audited_as(
    audit: LiveAudit, value_of: Callable[[int], float], rounds: int, error_of: Callable[[int], float]
) -> None:
    """Let a search measure `error_of` each block, and its audit `value_of` it."""
    for number in range(rounds):
        told(audit, [evaluated(c, error_of(number)) for c in candidates(4 * number, 4)])
        due = audit.due
        audit.asked(due)
        for candidate in due:
            audit.tell(evaluated(candidate, value_of(number)))


def test_one_evaluation_of_every_block_is_due_whatever_arrives_first() -> None:
    outcomes = [failed(c) if c.id in (1, 4, 5, 6, 7) else evaluated(c) for c in candidates(0, 14)]
    due = told(LiveAudit(RULE, 3), outcomes).due
    assert due == told(LiveAudit(RULE, 3), outcomes[::-1]).due
    assert [candidate.id - FIRST_AUDIT for candidate in due] == [0, 2], "none is left of the second, the last is cut"
    for block, candidate in zip((0, 8), due, strict=True):
        (parent,) = candidate.parents
        assert block <= parent < block + 4
        assert parent != 1
        assert (candidate.genome, candidate.source, candidate.at_top) == ((parent,), Source.TRAINED, False)


def test_blocks_are_of_the_top_fidelity() -> None:
    mixed = [replace(c, budget=None if c.id % 2 else 1) for c in candidates(0, 8)]
    (due,) = told(LiveAudit(RULE, 0), [evaluated(candidate) for candidate in mixed]).due
    assert due.parents[0] % 2


def test_each_network_of_a_block_is_as_likely_as_any_other() -> None:
    audit = told(LiveAudit(RULE, 0), [evaluated(candidate) for candidate in candidates(0, 4_000)])
    counts = Counter(candidate.parents[0] % 4 for candidate in audit.due)
    assert len(audit.due) == 1_000
    assert all(200 < counts[place] < 300 for place in range(4)), "250, with a standard deviation of 14"


@pytest.mark.parametrize(("maximize", "expected"), [(False, 1.0), (True, -1.0)])
def test_tau_is_one_where_both_agree_which_network_is_better(maximize: bool, expected: float) -> None:
    for rule in (replace(RULE, maximize=maximize), replace(RULE, against_maximize=maximize)):
        audit = LiveAudit(rule, 0)
        audited_as(audit, lambda n: n / 50, 6, lambda n: n / 10)
        assert (tau := audit.finding().tau) is not None
        assert tau.value == expected


def test_audits_count_in_their_order_up_to_the_first_that_is_open() -> None:
    audit = told(LiveAudit(RULE, 0), [evaluated(candidate) for candidate in candidates(0, 16)])
    first, second, third, fourth = audit.due
    audit.asked([first, second, third, fourth])
    assert audit.due == []
    audit.tell(evaluated(third))
    audit.tell(failed(second))
    assert (len(audit.pairs), len(audit.failures)) == (0, 0)
    audit.tell(evaluated(first))
    assert [pair[1].candidate for pair in audit.pairs] == [first, third]
    assert [pair[0].candidate.id for pair in audit.pairs] == [first.parents[0], third.parents[0]]
    assert [failure.candidate for failure in audit.failures] == [second]


def test_doubt_begins_with_enough_networks_and_says_why() -> None:
    noise = generator(0, "noise").permutation(40) / 40
    cases: list[tuple[Callable[[int], float], str | None]] = [
        (lambda n: n / 50, None),
        (lambda n: float(noise[n]), "the interval of tau includes 0 after 8"),
        (lambda n: 1 - n / 50, "the interval of tau is below 0 after 8"),
        (lambda n: 0.5, "all values are alike after 8"),
    ]
    for value_of, said in cases:
        few, enough = LiveAudit(RULE, 0), LiveAudit(RULE, 0)
        audited_as(few, value_of, ENOUGH - 1, lambda n: n / 10)
        audited_as(enough, value_of, ENOUGH, lambda n: n / 10)
        assert doubt(few.finding()) is None
        words = doubt(enough.finding())
        assert words is None if said is None else words and words.startswith(said)
        assert "8 audited" in audited(enough.finding())


class Truth(ToyEvaluator):
    """The toy's error, a little off."""

    source = Source.TRAINED

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {"valid_error": super().measure(genome, budget)["valid_error"] ** 1.5}


def outcome_of(candidate: Candidate) -> Outcome:
    """Evaluate or audit; every ninth network fails, and some audits do."""
    if sum(candidate.genome) % 9 == 0 or (candidate.is_audit and candidate.id % 5 == 3):
        return Failure(candidate, "no layer", FailureKind.ERROR)
    cheap, truth = ToyEvaluator(ToySpace(), seed=0), Truth(ToySpace(), seed=1)
    return evaluate(Joined([cheap, truth], cheap), candidate)


def begin(folder: Path) -> None:
    """Begin a toy search that is audited."""
    head = header(gates=[asdict(gate) for gate in GATES])
    Journal.create(folder / JOURNAL, replace(head, config={"seed": 5}, audit=asdict(RULE))).close()


def told_of(folder: Path) -> tuple[Any, ...]:
    """What must not depend on cuts, workers and order."""
    history = History.read(folder)
    assert history.audit
    assert history.pending == []
    pairs = [(a.candidate, b.candidate, a.metrics, b.metrics) for a, b in history.audit.pairs]
    own = (digest(history.evaluations), history.front.digest(), [f.candidate for f in history.failures])
    return *own, pairs, [failure.candidate for failure in history.audit.failures], history.audit.finding()


@pytest.fixture(scope="module", params=[nsga2, steady_state])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("whole")
    begin(folder)
    search(folder, ShufflingPool(1, 0, outcome_of), strategy=request.param)
    return request.param, folder


def test_search_is_as_long_as_without_audits_and_finds_the_same(
    finished: tuple[Callable[[EarlyExit], Strategy], Path], tmp_path: Path
) -> None:
    strategy, folder = finished
    plain, history = search(tmp_path, ShufflingPool(1, 0, outcome_of), strategy=strategy), History.read(folder)
    assert history.asked == history.done == BUDGET
    assert history.audit
    assert digest(history.evaluations) == digest(plain.evaluations)
    assert history.front.digest() == plain.front.digest()
    assert history.closed == plain.closed == "budget"
    assert [(g.number, g.evaluated, g.hypervolume) for g in history.generations] == [
        (g.number, g.evaluated, g.hypervolume) for g in plain.generations
    ]
    assert len(history.audit.pairs) + len(history.audit.failures) == BUDGET // RULE.every
    assert history.audit.failures
    for searched, truth in history.audit.pairs:
        assert truth.metrics["valid_error"] == pytest.approx(searched.metrics["valid_error"] ** 1.5)
        assert truth.candidate.genome == searched.candidate.genome
    assert {evaluation.source for evaluation in history.evaluations} == {Source.TABULAR}


@pytest.mark.parametrize(("capacity", "order"), [(3, 1), (7, 2), (64, 3)])
def test_networks_audited_are_the_same_on_any_number_of_workers(
    capacity: int, order: int, finished: tuple[Any, Path], tmp_path: Path
) -> None:
    begin(tmp_path)
    search(tmp_path, ShufflingPool(capacity, order, outcome_of), strategy=finished[0])
    assert told_of(tmp_path) == told_of(finished[1])


def test_search_cut_at_any_line_ends_as_the_uninterrupted(finished: tuple[Any, Path], tmp_path: Path) -> None:
    strategy, whole = finished
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    for cut in range(1, len(lines), 3):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(b"".join(lines[:cut]))
        pool = ShufflingPool(2, cut, outcome_of)
        search(folder, pool, strategy=strategy)
        assert told_of(folder) == told_of(whole)
        done = sum(b'"event":"finished"' in line for line in lines[:cut])
        assert len(pool.evaluated) == len(History.read(folder).outcomes) - done, "nothing finished is measured again"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search by a score, audited by the formula."""
    return searching.run(config.parse({**SCORED, "audit": BY_FORMULA}), tmp_path_factory.mktemp("scored") / "run")[0]


def test_audit_has_a_seed_of_its_own_and_is_in_the_result(scored: Path) -> None:
    history = History.read(scored)
    assert history.audit
    told = json.loads((scored / "front.json").read_text())["audit"]
    assert (told["metric"], told["against"], told["audited"], told["failed"]) == ("score", "valid_error", 12, 0)
    space = IntegerSpace()
    truth, score = FormulaEvaluator(space, seed=1), Score(space, seed=0)
    for row in told["networks"]:
        genome = history.candidates[row["id"]].genome
        assert row["searched"] == score.measure(genome, None)["score"]
        assert row["audited"] == truth.measure(genome, None)["valid_error"]
        assert row["seed"] == truth.seed_for(genome)
    tau = (finding := history.audit.finding()).tau
    assert tau is not None
    assert told["kendall_tau"] == asdict(tau)
    assert f"tau {tau.value:.2f} (" in audited(finding)


def test_audits_are_left_out_where_the_search_itself_is_looked_at(scored: Path) -> None:
    history = History.read(scored)
    assert {fidelity.source for fidelity in by_fidelity(history)} == {Source.ZERO_COST}
    assert list(history.spent) == list(by_fidelity(history))
    later = auditor(history, ["evaluator.use=synthetic:FormulaEvaluator"])
    assert later.experiment.audit is None


def test_log_tells_tau_and_warns_once_a_change(scored: Path) -> None:
    history, file = History.read(scored), io.StringIO()
    assert history.audit
    console = Console(space=IntegerSpace(), evaluations=60, console=Terminal(file=file, width=200))
    watched = History(replace(history.header, audit=asdict(replace(history.audit.rule, maximize=False))))
    console.started(watched)
    watched.apply(Asked([c for c in history.candidates.values() if not c.is_audit]))
    for outcome in sorted(history.outcomes.values(), key=lambda outcome: outcome.candidate.id):
        if outcome.candidate.is_audit:
            watched.apply(Asked([outcome.candidate]))
        watched.apply(Finished(outcome, 1.0))
        console.outcome(watched, outcome)
    console.closed(watched)
    lines = file.getvalue().splitlines()
    warnings = [line for line in lines if line.startswith("warning: the interval of tau")]
    assert len(warnings) == 1, "a score that is read the wrong way round orders nothing"
    assert "zero_cost values of score" in warnings[0]
    assert audited(watched.audit.finding()) in lines[-1]  # type: ignore[union-attr]
    assert "60 of 60" in lines[-1]


def test_tau_has_a_step_for_every_audited_network_in_mlflow(scored: Path) -> None:
    history = History.read(scored)
    assert history.audit
    points = live_audit_points(history, 0)
    assert {point.metric for point in points} == {"audit_tau", "audit_tau_low", "audit_tau_high"}
    assert [point.step for point in points if point.metric == "audit_tau"] == list(range(3, 13))
    tau = history.audit.finding().tau
    assert tau is not None
    assert [point.value for point in points[-3:]] == [tau.value, tau.low, tau.high]
    assert live_audit_points(history, 11) == points[-3:]
    assert live_audit_points(history, 12) == []


def tiny(**changes: object) -> config.Experiment:
    return config.parse(
        {
            "space": "tiny_space:TinySpace",
            "data": {"use": "evonas.workers.datasets:digits", "train_size": 80},
            "evaluator": "test_ladder:Guess",
            "objectives": ["goodness", "params"],
            "strategy": {"population": 4},
            "evaluations": 12,
            "audit": {"every": 4, "evaluator": {"epochs": 1}},
            "pool": "evonas.workers.local_pool:LocalPool",
            "tracking": None,
            **changes,
        }
    )


def test_guesses_are_compared_with_networks_that_are_trained(tmp_path: Path) -> None:
    _, history = searching.run(tiny(cache=str(tmp_path / "cache")), tmp_path / "run")
    assert history.audit
    assert len(history.audit.pairs) == 3
    trained = Trained(TinySpace(), digits(train_size=80), 1, epochs=1)
    for searched, truth in history.audit.pairs:
        genome = searched.candidate.genome
        assert searched.metrics["goodness"] == TinySpace().costs(genome)["params"]
        assert untimed(truth.metrics) == untimed({**TinySpace().costs(genome), **trained.measure(genome, None)})
    again = searching.run(tiny(cache=str(tmp_path / "cache")), tmp_path / "again")[1]
    assert again.audit
    assert all(isinstance(truth, Evaluation) and truth.reused_from for _, truth in again.audit.pairs)
    assert again.audit.finding() == history.audit.finding()


def test_check_says_what_audits_take_and_a_plan_leaves_them_out(tmp_path: Path) -> None:
    told = [line for line in report(tiny()) if line.startswith("audits: ")]
    assert len(told) == 1
    assert "3 x " in told[0]
    assert "one of every 4 networks, by Trained: goodness is compared with valid_" in told[0]
    heard: list[str] = []
    made = plan.make(tiny(runs=str(tmp_path)), [2], heard.append)
    assert made.forecasts[0].evaluated == 12
    assert any("audits of the search are not in the plan" in line for line in heard)


def test_an_audit_belongs_to_the_identity_and_says_its_evaluator() -> None:
    plain, experiment = tiny(audit=None), tiny(audit="every 4")
    assert "audit" not in plain.plain()
    assert experiment.audit == config.AuditConfig(every=4)
    prepared = prepare(experiment).experiment
    assert prepared.plain()["audit"]["evaluator"]["use"] == "evonas.workers.trained:Trained"
    assert config.parse(prepared.plain()) == prepared
    assert prepared.identity() != prepare(plain).experiment.identity()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"audit": {"every": 0}}, "audit.every"),
        ({"audit": "sometimes"}, "audit"),
        ({"audit": {"every": 4, "evaluator": {"epocs": 1}}}, "did you mean 'epochs'"),
        ({"audit": {"every": 4, "evaluator": {"use": "test_ladder:Guess"}}}, "both have the source zero_cost"),
        ({"objectives": ["params", "macs"]}, "all objectives are static costs"),
        ({"audit": {"every": 4, "evaluator": {"use": "evonas.workers.datasets:digits"}}}, "inherits from Evaluator"),
    ],
)
def test_audits_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        prepare(tiny(**changes))
