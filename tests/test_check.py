"""`evonas check` calls an experiment sound only if it is, and says what it has not tried."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import FORMULA
from synthetic import FormulaEvaluator

from evonas import check, compose
from evonas.config import parse
from evonas.errors import ConfigError, EvonasError, TrackingError
from evonas.evaluation import NotFinite, Rejected
from evonas.space import Genome, Metrics
from evonas.tracking.base import Tracker

RAY = "evonas.workers.ray_pool:RayPool"


class NotANumber(FormulaEvaluator):
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {**super().measure(genome, budget), "valid_error": float("nan")}


class Forgetful(FormulaEvaluator):
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        return {"valid_eror": 0.5}


class Raising(FormulaEvaluator):
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        raise RuntimeError("no such layer")


class Diverging(FormulaEvaluator):
    def rehearse(self, genome: Genome) -> float:
        raise NotFinite("the loss is infinite")


class Hungry(FormulaEvaluator):
    def rehearse(self, genome: Genome) -> float:
        raise MemoryError("8 TiB")


class Picky(FormulaEvaluator):
    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        raise Rejected("synflow >= 3", 1.0, 3.0)


class Telling(FormulaEvaluator):
    """Says in an error where it computes."""

    def rehearse(self, genome: Genome) -> float:
        raise ConfigError(f"{os.environ['EVONAS_DEVICE']!r}, {os.environ['OMP_NUM_THREADS']}")


class NoServer(Tracker):
    """Tells what it was given, and refuses."""

    def __init__(self, run_folder: Path, space: object) -> None:
        self.given = run_folder, type(space).__name__

    def check(self) -> None:
        raise TrackingError(f"{self.given[0]}, {self.given[1]}: no server")


def report(**changes: Any) -> str:
    """Return all lines of the report on the formula experiment with changed keys."""
    return "\n".join(check.report(parse({**FORMULA, **changes})))


def refusal(error: type[EvonasError] = ConfigError, **changes: Any) -> str:
    with pytest.raises(error) as refused:
        report(**changes)
    return str(refused.value)


def test_the_identity_is_that_of_the_run() -> None:
    data = {
        "data": "evonas.workers.datasets:digits",
        "space": {"use": "evonas.spaces.cell201:Cell201", "stem_channels": 4, "cells_per_stage": 1},
    }
    experiment = parse({**FORMULA, **data})
    resolved = compose.prepare(experiment).experiment
    assert resolved.identity() != experiment.identity(), "the space follows the data"
    assert f"({resolved.identity()})" in report(**data)


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [
        ("NotANumber", ["metrics that are not finite", "valid_error"]),
        ("Forgetful", ["declares valid_error, throughput and did not return it"]),
        ("Raising", ["RuntimeError: no such layer", f'File "{__file__}", line ', "in measure"]),
        ("Diverging", ["NotFinite: the loss is infinite", "in rehearse"]),
        ("Hungry", ["MemoryError: 8 TiB", "in rehearse"]),
    ],
)
def test_a_rehearsal_that_fails_is_told_with_the_network_and_the_place(evaluator: str, said: list[str]) -> None:
    message = refusal(evaluator=f"{__name__}:{evaluator}")
    assert message.startswith("the rehearsal failed on a small network of ")
    assert not [words for words in said if words not in message], message
    assert message.count("\n") <= 2
    assert "Traceback" not in message


def test_a_network_that_the_evaluators_gate_turns_away_is_no_mistake() -> None:
    text = report(evaluator=f"{__name__}:Picky")
    assert text.count("is turned away by the evaluator's gate synflow >= 3") == 3
    assert "estimate: 60 evaluations" in text


def test_the_tracker_is_checked_as_in_a_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    message = refusal(TrackingError, tracking=f"{__name__}:NoServer", runs=str(runs))
    assert message == f"{runs / 'check'}, IntegerSpace: no server"
    assert "'use: synthetic:IntegerSpace' must name a class that" in refusal(tracking="synthetic:IntegerSpace")
    assert "tracking: evonas.tracking.base:Tracker is ready" in report(tracking="evonas.tracking.base:Tracker")
    assert not runs.exists()


def test_the_pool_is_said_to_be_untried() -> None:
    assert f"pool: {RAY} is started by 'run' only" in report(pool=RAY)
    assert "must name a class that inherits from WorkerPool" in refusal(pool="synthetic:IntegerSpace")


@pytest.mark.parametrize(
    ("pool", "place"),
    [
        ({"threads": 3}, "'cpu', 3"),
        ({"device": "cuda:0"}, "'cuda:0', 1"),
        ({"use": RAY, "cpus": 2.5}, "'cpu', 2"),
        ({"use": RAY, "gpus": 1}, "'cuda:0', 1"),
        ({"use": RAY, "gpus": 1, "address": "10.0.0.1:6379"}, "'', 1"),
    ],
)
def test_the_rehearsal_computes_as_a_worker_would(
    pool: dict[str, Any], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("EVONAS_DEVICE", "mine")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pool = {"use": FORMULA["pool"], **pool}
    assert refusal(pool=pool, evaluator=f"{__name__}:Telling") == place
    assert (os.environ["OMP_NUM_THREADS"], os.environ["EVONAS_DEVICE"]) == ("7", "mine"), "and puts it back"


def test_the_rehearsal_computes_with_the_threads_of_a_worker_though_torch_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Torch:
        threads = 7
        told: list[int] = []  # noqa: RUF012

        def get_num_threads(self) -> int:
            return self.threads

        def set_num_threads(self, threads: int) -> None:
            self.told.append(threads)

    monkeypatch.setitem(sys.modules, "torch", Torch())  # type: ignore[arg-type]
    report(pool={"use": FORMULA["pool"], "threads": 2})
    assert Torch.told == [2, 7] * 3


@pytest.mark.parametrize(
    ("pool", "workers"),
    [
        ({"use": FORMULA["pool"]}, 1),
        ({"use": RAY, "workers": 5}, 5),
        ({"use": RAY, "cpus": 3}, 4),
        ({"use": RAY, "cpus": 64}, 1),
    ],
)
def test_the_estimate_counts_the_workers_of_the_pool(
    pool: dict[str, Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert f" s / {workers} workers = " in report(pool=pool)


def test_a_gate_on_workers_is_named_and_asked_in_rehearsals() -> None:
    digits = {
        "data": "evonas.workers.datasets:digits", "space": {"use": "tiny_space:TinySpace"},
        "evaluator": {"use": "evonas.workers.trained:Trained", "epochs": 1},
        "gates": [{"metric": "synflow", "at_least": 1e9}], "objectives": ["valid_error", "params"],
    }  # fmt: skip
    said = report(**digits)
    assert "gate on workers: synflow >= 1000000000, by evonas.workers.zero_cost:ZeroCost" in said
    assert said.count("is turned away by the evaluator's gate synflow >= 1000000000: ") == 3
