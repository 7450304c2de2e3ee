"""Children inherit from the parents that the search had: on any workers, interrupted or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from one_thread import one_thread  # noqa: F401
from pool_contract import PoolContract
from ray_fixture import ray_cluster as ray_cluster  # a fixture

from evonas import config, search
from evonas.config import Experiment
from evonas.errors import ConfigError, DataError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Outcome, Source
from evonas.history import History
from evonas.parent_pool import ParentPool
from evonas.pareto import digest
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers.local_pool import LocalPool


class TestParentPool(PoolContract):
    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        return ParentPool(LocalPool(recipe), {})


class Noting(WorkerPool):
    """Gives every candidate the same outcome, and notes what it was given."""

    capacity = 9

    def __init__(self) -> None:
        self.given: list[Candidate] = []

    def submit(self, candidates: Sequence[Candidate]) -> None:
        self.given += candidates

    def next_outcomes(self, timeout: float | None = None) -> list[Outcome]:
        return [evaluated(candidate) for candidate in self.given]

    def close(self) -> None:
        return


def evaluated(candidate: Candidate) -> Evaluation:
    return Evaluation(candidate, {}, Source.TRAINED, 1.0, 0)


def test_parents_are_those_that_were_measured_at_the_top_and_only_the_worker_hears_of_them() -> None:
    measured, other = Candidate(0, (1, 2), 0), Candidate(1, (3, 4), 0)
    failed, cheap = Candidate(2, (5, 6), 0), Candidate(3, (7, 8), 0, budget=1)
    outcomes = {c.id: evaluated(c) for c in (measured, other, cheap)}
    outcomes[2] = Failure(failed, "a reason", FailureKind.CRASH)  # type: ignore[assignment]
    children = [
        Candidate(4, (1, 4), 1, parents=(1, 0)),
        Candidate(5, (5, 8), 1, parents=(2, 3, 0)),
        Candidate(6, (9, 9), 1),
        Candidate(7, (1, 4), 1, parents=(1, 0), budget=1),
    ]
    inner = Noting()
    pool = ParentPool(inner, outcomes)
    pool.submit(children)
    assert [candidate.parent_genomes for candidate in inner.given] == [((3, 4), (1, 2)), ((1, 2),), (), ()]
    assert [replace(candidate, parent_genomes=()) for candidate in inner.given] == children
    assert [outcome.candidate for outcome in pool.next_outcomes()] == children


def experiment(**changes: object) -> Experiment:
    return config.parse(
        {
            "name": "heirs",
            "space": {"use": "evonas.spaces.cell201:Cell201", "stem_channels": 2, "cells_per_stage": 1, "stages": 1},
            "data": {"use": "evonas.workers.datasets:digits", "train_size": 64},
            "evaluator": {"epochs": 2, "inherit": "parents", "inherited_epochs": 1},
            "strategy": {"population": 4},
            "pool": {"use": "evonas.workers.local_pool:LocalPool"},
            "gates": [],
            "evaluations": 12,
            "tracking": None,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search.run(experiment(), tmp_path_factory.mktemp("whole") / "run")[0]


def test_children_inherit_what_their_ancestors_were_trained_for(whole: Path) -> None:
    history = History.read(whole)
    total = {evaluation.candidate.id: evaluation.metrics["total_epochs"] for evaluation in history.evaluations}
    heirs = [evaluation for evaluation in history.evaluations if evaluation.candidate.parents]
    assert len(heirs) >= 6
    for evaluation in history.evaluations:
        parents = evaluation.candidate.parents
        assert evaluation.metrics["epochs"] == (1.0 if parents else 2.0)
        inherited = {total[parent] for parent in parents} or {0.0}
        assert total[evaluation.candidate.id] - evaluation.metrics["epochs"] in inherited
    assert len(list((whole / "weights").iterdir())) == 12


def test_a_search_that_is_resumed_inherits_the_same(whole: Path, tmp_path: Path) -> None:
    """Its driver was lost in the middle of the second generation; what had been trained by then is trained again."""
    part = search.run(experiment(evaluations=8), tmp_path / "run")[0]
    lines = (part / "journal.jsonl").read_bytes().splitlines(keepends=True)
    ended = [number for number, line in enumerate(lines) if b'"event":"finished"' in line]
    (part / "journal.jsonl").write_bytes(b"".join(lines[: ended[5]]))
    assert len(History.read(part).outcomes) == 5
    search.resume(part, ["evaluations=12"])
    assert digest(History.read(part).evaluations) == digest(History.read(whole).evaluations)


@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_inherit_the_same(whole: Path, tmp_path: Path) -> None:
    ray = {"use": "evonas.workers.ray_pool:RayPool", "workers": 2}
    _, history = search.run(experiment(pool=ray), tmp_path / "run")
    assert digest(history.evaluations) == digest(History.read(whole).evaluations)


def test_a_search_stops_where_parents_weights_are_lost_and_goes_on_when_they_are_back(
    whole: Path, tmp_path: Path
) -> None:
    run, _ = search.run(experiment(evaluations=4), tmp_path / "run")
    (run / "weights").rename(run / "elsewhere")
    with pytest.raises(DataError, match=r"are not whole in .*weights: bring them back and resume"):
        search.resume(run, ["evaluations=12"])
    (run / "elsewhere").rename(run / "weights")
    search.resume(run)
    assert digest(History.read(run).evaluations) == digest(History.read(whole).evaluations)


def test_a_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="depend on what the search bred before: say cache=null"):
        search.run(experiment(cache=str(tmp_path / "cache")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
