"""The pool in the driver's own process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from pool_contract import PoolContract, run
from pool_evaluators import ActionRecipe, candidates

from evonas.errors import ConfigError
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers import devices, worker_actor
from evonas.workers.local_pool import LocalPool


class TestLocalPool(PoolContract):
    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        return LocalPool(recipe)


def test_threads_and_device_hold_inside_evaluations_only(tmp_path: Path) -> None:
    threads, variables = torch.get_num_threads(), dict(os.environ)
    torch.set_num_threads(2)
    pool = LocalPool(ActionRecipe(tmp_path), threads=3, device="cuda:0")
    outcomes = run(pool, [*candidates("tell_threads"), *candidates("tell_device")])
    assert [outcome.metrics["value"] for outcome in outcomes] == [3, 1]  # type: ignore[union-attr]
    assert torch.get_num_threads() == 2
    assert dict(os.environ) == variables
    torch.set_num_threads(threads)


def test_workers_are_told_their_device_where_evaluators_look_for_it() -> None:
    assert worker_actor.DEVICE_VARIABLE == devices.DEVICE_VARIABLE


def test_no_threads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'threads' must be 1 or more, and is 0"):
        LocalPool(ActionRecipe(tmp_path), threads=0)
