"""The evaluator that scores untrained networks: what every evaluator must do, and which scores it gives of what."""

from __future__ import annotations

import csv
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluator_contract import EvaluatorContract
from proxy_contract import ALL_KINDS, CELLS, NOTHING
from tiny_space import TinySpace
from torch import Tensor, nn

from evonas import predict, search, warm_start
from evonas.compose import prepare
from evonas.config import parse
from evonas.early_exit import receipt
from evonas.errors import ComponentError, ConfigError, RunFolderError
from evonas.evaluation import Candidate, Evaluation, Evaluator, Failure, FailureKind, Metric, Source, evaluate
from evonas.goals import Objective
from evonas.history import History
from evonas.measurements import measurements
from evonas.predictor import Encoding
from evonas.space import Genome, Metrics, SearchSpace
from evonas.spaces.table import Table
from evonas.workers.datasets import digits
from evonas.workers.proxies.naswot import naswot
from evonas.workers.zero_cost import PROXIES, ZeroCost

DIGITS = digits()


def first_weight(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """A proxy of a user's own, which draws."""
    return float(next(network.parameters()).detach().flatten()[0] + torch.rand(()))


class TestZeroCost(EvaluatorContract):
    def evaluator(self, seed: int) -> Evaluator:
        return ZeroCost(TinySpace(), DIGITS, seed, proxies=PROXIES, batch_size=16)


def test_all_that_ship_are_named_and_no_others() -> None:
    folder = Path(sys.modules["evonas.workers.proxies"].__path__[0])
    assert sorted(PROXIES) == sorted(
        path.stem
        for path in folder.glob("*.py")
        if path.stem not in ("__init__", "passes", "layer_statistics", "evolved")
    )


def test_metrics_are_the_scores_and_more_is_better() -> None:
    evaluator = ZeroCost(CELLS, DIGITS, 0, proxies=["synflow", "jacob_cov", "test_zero_cost:first_weight"])
    assert evaluator.source is Source.ZERO_COST
    assert evaluator.metrics == (
        Metric("synflow", maximize=True, worst=0.0), Metric("jacob_cov", maximize=True),
        Metric("first_weight", maximize=True),
    )  # fmt: skip


def test_the_minibatch_is_of_the_training_split_and_the_same_for_all() -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    evaluator = ZeroCost(CELLS, DIGITS, 3, proxies=["test_zero_cost:first_weight"], batch_size=32)
    evaluator.prepare()
    evaluator._functions = {"first_weight": lambda network, *batch: seen.append(batch) or 0.0}  # type: ignore[func-returns-value]
    evaluator.measure(ALL_KINDS, None), evaluator.measure(NOTHING, None)
    (inputs, labels), (again, _) = seen
    assert torch.equal(inputs, again)
    assert len({tuple(row) for row in inputs.flatten(1).tolist()}) == 32
    mean, std = DIGITS.normalisation()
    train = (DIGITS.train.inputs.astype(np.float64) - mean[:, None, None]) / std[:, None, None]
    for image, label in zip(inputs.numpy(), labels.tolist(), strict=True):
        distances = np.abs(train - image).max(axis=(1, 2, 3))
        assert distances.min() < 1e-5
        assert DIGITS.train.labels[distances.argmin()] == label


def test_a_score_is_the_functions_of_the_initial_network() -> None:
    evaluator = ZeroCost(CELLS, DIGITS, 0, proxies=["naswot"], batch_size=8)
    measured = evaluator.measure(ALL_KINDS, None)
    assert evaluator._minibatch is not None
    with torch.random.fork_rng():
        torch.manual_seed(evaluator.seed_for(ALL_KINDS))
        network = CELLS.build(ALL_KINDS)
    assert measured == {"naswot": naswot(network, *evaluator._minibatch)}


def test_a_score_does_not_depend_on_which_others_are_asked_for() -> None:
    own = "test_zero_cost:first_weight"
    together = ZeroCost(CELLS, DIGITS, 0, proxies=[*PROXIES, own], batch_size=8).measure(ALL_KINDS, None)
    for proxy in ("zen", own):
        alone = ZeroCost(CELLS, DIGITS, 0, proxies=[proxy], batch_size=8).measure(ALL_KINDS, None)
        assert alone == {name: together[name] for name in alone}


def test_a_network_that_hands_nothing_on_fails_where_a_score_is_undefined() -> None:
    synflow, naswot_ = (ZeroCost(CELLS, DIGITS, 0, proxies=[proxy]) for proxy in ("synflow", "naswot"))
    nothing = Candidate(0, NOTHING, 0)
    outcome = evaluate(synflow, nothing)
    assert isinstance(outcome, Evaluation)
    assert outcome.metrics["synflow"] == 0.0
    assert evaluate(naswot_, nothing) == Failure(
        nothing, "metrics that are not finite: {'naswot': -inf}", FailureKind.NOT_FINITE
    )


def test_what_cannot_be_meant_is_refused() -> None:
    for proxies, message in (
        (["synfow"], "names 'synfow', which does not ship; did you mean 'synflow'"),
        ([], "at least one function, each once"),
        (["snip", "evonas.workers.proxies.snip:snip"], "each once"),
    ):
        with pytest.raises(ConfigError, match=message):
            ZeroCost(CELLS, DIGITS, 0, proxies=proxies)
    with pytest.raises(ConfigError, match="'batch_size' must be 2 or more, and is 1"):
        ZeroCost(CELLS, DIGITS, 0, batch_size=1)
    with pytest.raises(ComponentError, match="has no 'first_weigth'; did you mean 'first_weight'"):
        ZeroCost(CELLS, DIGITS, 0, proxies=["test_zero_cost:first_weigth"]).prepare()


def test_the_driver_that_builds_one_loads_no_torch() -> None:
    program = (
        "import sys; from evonas.workers.datasets import digits; from evonas.workers.zero_cost import ZeroCost;"
        "from evonas.spaces.cell201 import Cell201; ZeroCost(Cell201(), digits(), 0); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "False"


# --- what scores are good for -----------------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "space": "tiny_space:TinySpace",
    "data": {"use": "evonas.workers.datasets:digits", "train_size": 100},
    "strategy": {"use": "evonas.strategies.random_search:RandomSearch"},
    "evaluations": 18,
    "pool": "evonas.workers.local_pool:LocalPool",
    "tracking": None,
}
SCORED = {"use": "evonas.workers.zero_cost:ZeroCost", "proxies": ["synflow"], "batch_size": 16}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    """A search of all 18 networks with a score for its only signal beside a cost."""
    path = tmp_path_factory.mktemp("scored") / "run"
    return search.run(parse({**TINY, "evaluator": SCORED, "objectives": ["synflow", "macs"]}), path)


def test_a_score_is_an_objective_whose_worst_value_is_known(scored: tuple[Path, History]) -> None:
    _, history = scored
    assert history.goals.objectives[0] == Objective("synflow", maximize=True, worst=0.0)
    assert {evaluation.source for evaluation in history.evaluations} == {Source.ZERO_COST}
    assert len(history.evaluations) == 18
    assert history.front.hypervolume > 0
    best = max(history.evaluations, key=lambda evaluation: evaluation.metrics["synflow"])
    assert best in history.front.members


def test_a_score_that_has_no_worst_value_asks_for_one() -> None:
    jacob_cov = {**SCORED, "proxies": ["jacob_cov"]}
    with pytest.raises(ConfigError, match=r"say it with \{metric: jacob_cov, worst: \.\.\.\}"):
        prepare(parse({**TINY, "evaluator": jacob_cov, "objectives": ["jacob_cov", "macs"]}))


class Kept(Evaluator):
    """Scores by a number that it reads on the driver, and that workers must be handed."""

    source = Source.ZERO_COST
    metrics = (Metric("kept", maximize=True, worst=0.0),)

    def __init__(self, space: SearchSpace, seed: int, *, file: Path) -> None:
        super().__init__(space, seed)
        self.file, self.value = Path(file), float("nan")

    def share(self) -> object:
        return float(self.file.read_text())

    def adopt(self, shared: object) -> None:
        assert isinstance(shared, float)
        self.value = shared

    def fingerprint(self) -> str:
        return self.file.read_text()

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {"kept": self.value}


def test_what_a_gate_reads_reaches_workers_and_decides_whether_a_run_is_resumed(tmp_path: Path) -> None:
    file = tmp_path / "kept.txt"
    file.write_text("3.0")
    gates = [{"metric": "kept", "at_least": 1, "evaluator": {"use": "test_zero_cost:Kept", "file": str(file)}}]
    experiment = parse({**TINY, "evaluator": {"epochs": 1, "batch_size": 50}, "gates": gates, "evaluations": 2})
    path, history = search.run(experiment, tmp_path / "gated")
    assert [e.metrics["kept"] for e in history.evaluations] == [3.0, 3.0]
    file.write_text("2.0")
    with pytest.raises(RunFolderError, match="evaluator"):
        search.resume(path, ["evaluations=3"])


def test_a_score_turns_networks_away_before_they_are_trained(scored: tuple[Path, History], tmp_path: Path) -> None:
    scores = {e.candidate.genome: e.metrics["synflow"] for e in scored[1].evaluations}
    bound = sorted(scores.values())[6]
    gates = [{"metric": "synflow", "at_least": bound, "evaluator": SCORED}]
    experiment = parse({**TINY, "evaluator": {"epochs": 1, "batch_size": 50}, "gates": gates})
    path, history = search.run(experiment, tmp_path / "gated")
    assert {e.candidate.genome for e in history.evaluations} == {g for g, score in scores.items() if score >= bound}
    assert {r.candidate.genome: r.value for r in history.rejections} == {g: s for g, s in scores.items() if s < bound}
    assert receipt(history)[f"synflow >= {bound:.10g}"]["turned_away"] == 6
    assert pickle.loads(pickle.dumps(prepare(experiment).recipe)).build().gates[0].gate.at_least == bound

    measured = measurements(path)  # what the gate has measured is kept with the evaluation, a feature for predictors
    problem = predict.problem(measured, "valid_loss", beside=["synflow"])
    assert problem.features.names[-1] == "synflow"
    np.testing.assert_array_equal(problem.features.numbers[:, -1], [scores[genome] for genome in measured.genomes])


def test_networks_of_the_best_scores_begin_a_search(scored: tuple[Path, History], tmp_path: Path) -> None:
    path, history = scored
    only = search.run(parse({**TINY, "evaluator": SCORED, "objectives": ["synflow"]}), tmp_path / "only")[0]
    by_score = sorted(history.evaluations, key=lambda evaluation: -evaluation.metrics["synflow"])
    assert warm_start.genomes(only, TinySpace()) == [evaluation.candidate.genome for evaluation in by_score]
    trained = prepare(parse({**TINY, "evaluator": {"epochs": 1}, "warm_start": str(path)}))
    front = [member.candidate.genome for member in history.front.members]
    assert set(trained.first[: len(front)]) == set(front)


def test_in_a_table_a_score_is_a_cost_that_surrogates_know_and_gates_bound(
    scored: tuple[Path, History], tmp_path: Path
) -> None:
    file = tmp_path / "scored.csv"
    rows = [[*e.candidate.genome, e.metrics["params"], e.metrics["synflow"]] for e in scored[1].evaluations]
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["width", "kernel", "depth", "params", "synflow"], *rows])
    space = Table(file=file, genes=["width", "kernel", "depth"], costs=["params", "synflow"])
    features = Encoding(space)([tuple(row[:3]) for row in rows])
    np.testing.assert_allclose(
        features.numbers[:, features.names.index("synflow")], np.log1p([row[-1] for row in rows])
    )
