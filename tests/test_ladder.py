"""A ladder is one evaluator: each candidate is measured by the rung of its source."""

from __future__ import annotations

import json
import shutil
import statistics
from collections import Counter
from pathlib import Path

import pytest
from evaluator_contract import EvaluatorContract
from one_thread import one_thread  # noqa: F401
from pyarrow import parquet
from rich.console import Console
from tiny_space import TinySpace

from evonas import plan, search
from evonas.check import report
from evonas.component import Component
from evonas.compose import prepare
from evonas.config import Experiment, parse
from evonas.early_exit import Gate, WorkerGate
from evonas.errors import ConfigError
from evonas.evaluation import (
    Candidate,
    Evaluation,
    Evaluator,
    Fidelity,
    Metric,
    Outcome,
    Rejection,
    Source,
    batches,
    evaluate,
    evaluate_many,
)
from evonas.forecast import Calibration
from evonas.history import History
from evonas.pareto import untimed
from evonas.reports.table import fidelities_table
from evonas.simulation import simulate
from evonas.space import Genome, Metrics, SearchSpace
from evonas.tracking.base import Tracker
from evonas.workers.datasets import digits
from evonas.workers.ladder import Ladder
from evonas.workers.trained import Trained

DATA, DATA80 = digits(train_size=100), digits(train_size=80)
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

    def share(self) -> str:
        return "read once"

    def adopt(self, shared: object) -> None:
        self.adopted = shared


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


def test_children_inherit_at_the_top_if_the_top_does(tmp_path: Path) -> None:
    heirs = Component("evonas.workers.trained:Trained", {"epochs": 2, "inherit": "parents", "inherited_epochs": 1})
    evaluator = ladder(GUESS, heirs, run_folder=tmp_path)
    evaluator.measure(GENOMES[0], None)
    child = evaluate(evaluator, Candidate(1, GENOMES[1], 1, (0,), parent_genomes=(GENOMES[0],)))
    assert isinstance(child, Evaluation)
    assert child.metrics["total_epochs"] == 3.0
    assert (evaluator.inherits, ladder().inherits) == (True, False)


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


def test_gates_are_asked_on_every_rung() -> None:
    evaluator = ladder()
    evaluator.gates = [WorkerGate(Gate("goodness", at_least=500.0), evaluator.at(Source.ZERO_COST))]
    small, large = sorted(GENOMES, key=lambda genome: TinySpace().costs(genome)["params"])[::2]
    for source in (None, Source.ZERO_COST):
        outcomes = evaluate_many(evaluator, [Candidate(n, g, 0, source=source) for n, g in enumerate((small, large))])
        assert [type(outcome) for outcome in outcomes] == [Rejection, Evaluation]
        assert evaluate(evaluator, outcomes[0].candidate) == outcomes[0]


def test_the_top_says_what_may_be_traded_off_and_every_rung_is_prepared_and_read() -> None:
    evaluator = ladder()
    assert (evaluator.source, evaluator.metrics) == (Source.TRAINED, Trained.metrics)
    assert evaluator.recipe_options == Trained.recipe_options
    evaluator.prepare()
    assert evaluator.at(Source.ZERO_COST).prepared == 1  # type: ignore[attr-defined]
    assert ladder().fingerprint() != ladder(Component(GUESS.use, {"bias": 1.0}), TRAINED).fingerprint()


def test_what_a_rung_has_read_reaches_that_rung_on_a_worker() -> None:
    driver, worker = ladder(), ladder()
    worker.adopt(driver.share())
    assert worker.at(Source.ZERO_COST).adopted == "read once"  # type: ignore[attr-defined]


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
    with pytest.raises(
        ConfigError, match="of the source predicted is among those that are joined: they are of zero_cost, trained"
    ):
        evaluate(ladder(), Candidate(0, GENOMES[0], 0, source=Source.PREDICTED))
    with pytest.raises(ConfigError, match="asks for the source trained, which is the top's: leave 'source' out"):
        evaluate(ladder(), Candidate(0, GENOMES[0], 0, source=Source.TRAINED))


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


def climbing(**changes: object) -> Experiment:
    return parse(
        {
            "space": "tiny_space:TinySpace",
            "data": {"use": "evonas.workers.datasets:digits", "train_size": 80},
            "evaluator": {
                "use": "evonas.workers.ladder:Ladder",
                "rungs": [GUESS.plain(), {"use": TRAINED.use, "epochs": 3, "rungs": [1, 2], "shift": 1}],
            },
            "strategy": {"use": "evonas.strategies.mo_asha:MOASHA", "eta": 2, "population": 6, "lag": 3},
            "evaluations": 26,
            "pool": "evonas.workers.local_pool:LocalPool",
            "tracking": None,
            **changes,
        }
    )


def archive(history: History) -> list[tuple[Candidate, str, int, Metrics]]:
    """Return what was evaluated, timings aside."""
    return [(e.candidate, str(e.fidelity), e.seed, untimed(e.metrics)) for e in history.evaluations]


class Cutter(Tracker):
    """Interrupts a search after so many outcomes."""

    def __init__(self, after: int) -> None:
        self.after = after

    def outcome(self, history: History, outcome: Outcome) -> None:
        if len(history.outcomes) == self.after:
            raise KeyboardInterrupt


def run_or_resume(path: Path, *trackers: Tracker) -> History:
    return search.run_or_resume(climbing(), path, lambda search, path: trackers)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    return search.run(climbing(), tmp_path_factory.mktemp("climbed") / "run")


def test_a_search_climbs_and_its_front_holds_only_what_was_measured_at_the_top(climbed: tuple[Path, History]) -> None:
    _, history = climbed
    assert [str(fidelity) for fidelity in history.spent] == [
        "zero_cost",
        "trained, 1 epoch",
        "trained, 2 epochs",
        "trained",
    ]
    assert history.front.members
    assert all(member.candidate.at_top and member.source is Source.TRAINED for member in history.front.members)
    scratch = Trained(TinySpace(), DATA80, 0, epochs=3, shift=1)
    for evaluation in history.evaluations:
        candidate, costs = evaluation.candidate, TinySpace().costs(evaluation.candidate.genome)
        assert {name: evaluation.metrics[name] for name in costs} == costs, "exact at every rung"
        if evaluation.source is Source.TRAINED:
            measured = scratch.measure(candidate.genome, candidate.budget)
            assert untimed(evaluation.metrics) == untimed({**costs, **measured})
            assert history.candidates[candidate.parents[0]].genome == candidate.genome


def test_what_it_cost_is_told_by_fidelity(climbed: tuple[Path, History]) -> None:
    path, history = climbed
    told = json.loads((path / "front.json").read_text())["fidelities"]
    assert [(row["source"], row["budget"]) for row in told] == [
        ("zero_cost", None), ("trained", 1), ("trained", 2), ("trained", None)
    ]  # fmt: skip
    assert sum(row["evaluated"] for row in told) == len(history.evaluations)
    table = parquet.read_table(path / "evaluations.parquet")
    assert Counter(zip(table["source"].to_pylist(), table["budget"].to_pylist(), strict=True)) == Counter(
        {(row["source"], row["budget"]): row["evaluated"] for row in told}
    )
    console = Console(width=80)
    with console.capture() as shown:
        console.print(fidelities_table(history))
    rows = {line.rpartition("  ")[0].strip().partition("  ")[0] for line in shown.get().splitlines()}
    assert rows >= {str(fidelity) for fidelity in history.spent}


def test_a_check_rehearses_every_rung_and_a_plan_counts_them(climbed: tuple[Path, History], tmp_path: Path) -> None:
    told = "\n".join(report(climbing()))
    assert "fidelities: zero_cost, then trained, 1 epoch, then trained, 2 epochs, then trained; what is" in told
    made = plan.make(climbing(runs=str(tmp_path)), workers=[1])
    parts, [planned] = made.calibration.parts, made.forecasts
    assert list(parts) == ["zero_cost", "trained, 1 epoch", "trained, 2 epochs", "trained"]
    assert parts["zero_cost"] > 0
    assert list(parts.values())[1:] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    _, history = climbed
    assert planned.evaluated == len(history.evaluations)
    assert planned.evaluation_seconds < statistics.mean(seconds for _, seconds in made.calibration.points)


def test_a_plan_counts_what_a_rung_takes(tmp_path: Path) -> None:
    parts = {"zero_cost": 0.01, "trained, 1 epoch": 0.2, "trained, 2 epochs": 0.3, "trained": 0.5}
    known = Calibration(
        ((1.0, 60.0),), seconds_fixed=60.0, seconds_per_mac=0.0, sigma=0.0, warm_up_seconds=0.0, parts=parts
    )
    prepared = prepare(climbing())
    forecast, simulated = simulate(prepared, prepared.header(), known, 1, tmp_path)
    spent = sum(60 * parts[str(evaluation.fidelity)] for evaluation in simulated.evaluations)
    assert {evaluation.source for evaluation in simulated.evaluations} == {Source.ZERO_COST, Source.TRAINED}
    assert forecast.evaluation_seconds * forecast.evaluated == pytest.approx(spent)


def test_a_strategy_that_asks_for_the_top_alone_pays_whole_evaluations(tmp_path: Path) -> None:
    trained = {"use": TRAINED.use, "epochs": 3, "rungs": [1, 2]}
    made = plan.make(climbing(runs=str(tmp_path), evaluator=trained, strategy={"population": 6}), workers=[1])
    assert made.calibration.parts == {}


def test_weights_are_kept_for_those_who_may_still_climb(climbed: tuple[Path, History]) -> None:
    path, history = climbed
    highest = {e.candidate.genome: e.fidelity for e in history.evaluations}
    waiting = [fidelity for fidelity in highest.values() if fidelity.budget is not None]
    assert len(list((path / "weights").iterdir())) == len(waiting) > 0


@pytest.mark.parametrize("lose", [False, True])
def test_a_search_cut_while_it_climbs_ends_as_the_uninterrupted(
    lose: bool, climbed: tuple[Path, History], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    for after in (12, 20):
        with pytest.raises(KeyboardInterrupt):
            run_or_resume(path, Cutter(after))
        if lose:
            shutil.rmtree(path / "weights")
    history = run_or_resume(path)
    assert archive(history) == archive(climbed[1])
    assert history.front.digest() == climbed[1].front.digest()


def test_many_workers_find_the_same(climbed: tuple[Path, History], tmp_path: Path) -> None:
    pool = {
        "use": "evonas.workers.simulated_pool:SimulatedPool",
        "workers": 3,
        "sigma": 1.0,
        "failure_rate": 0.1,
        "retries": 9,
    }
    _, history = search.run(climbing(pool=pool), tmp_path / "run")
    assert archive(history) == archive(climbed[1])
