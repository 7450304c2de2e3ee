"""The evaluator that scores untrained networks: what every evaluator must do, and which scores it gives of what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluator_contract import EvaluatorContract
from proxy_contract import ALL_KINDS, CELLS, NOTHING
from tiny_space import TinySpace
from torch import Tensor, nn

from evonas.errors import ComponentError, ConfigError
from evonas.evaluation import Candidate, Evaluation, Evaluator, Failure, FailureKind, Metric, Source, evaluate
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
        path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "passes")
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
