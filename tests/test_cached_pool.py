"""A pool behind a cache is a pool; what it has evaluated once, another run gets at once."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path

import pytest
from pool_contract import PoolContract, run, timeless
from pool_evaluators import ActionEvaluator, ActionRecipe, candidates, processes

from evonas.cache import Cache
from evonas.cached_pool import CachedPool
from evonas.early_exit import Gate, WorkerGate
from evonas.evaluation import Evaluation, Evaluator, Failure, Source
from evonas.pool import EvaluatorRecipe, WorkerPool
from evonas.workers.local_pool import LocalPool
from evonas.workers.simulated_pool import SimulatedPool


def cached(
    folder: Path,
    name: str = "first",
    inner: WorkerPool | None = None,
    facts: Mapping[str, object] | None = None,
    needed: Set[str] = frozenset(),
) -> CachedPool:
    """Return a pool that notes its processes in `folder` and keeps its cache there."""
    recipe = ActionRecipe(folder)
    inner = inner or LocalPool(recipe)
    return CachedPool(inner, Cache(folder / "cache"), recipe.build(), facts or {}, needed, name)


class TestCachedPool(PoolContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        return cached(self.folder, inner=LocalPool(recipe))


class TestCachedSimulatedPool(TestCachedPool):
    def make_pool(self, recipe: EvaluatorRecipe) -> WorkerPool:
        return cached(self.folder, inner=SimulatedPool(recipe, workers=3, median_seconds=1.0))


def test_what_is_known_comes_at_once_and_the_rest_is_evaluated(tmp_path: Path) -> None:
    first = run(cached(tmp_path), candidates("compute", range(4)))
    pool = cached(tmp_path, "second", SimulatedPool(ActionRecipe(tmp_path), workers=6))
    pool.submit(candidates("compute", range(6)))
    known = pool.next_outcomes(timeout=0)
    assert pool.clock() == 0.0, "nothing was waited for"
    assert [timeless(replace(o, reused_from=None)) for o in known if isinstance(o, Evaluation)] == list(
        map(timeless, first)
    )
    assert [o.reused_from for o in known if isinstance(o, Evaluation)] == [f"first/{o.candidate.id}" for o in first]
    new = [outcome for _ in range(2) for outcome in pool.next_outcomes()]
    assert [o.reused_from for o in new if isinstance(o, Evaluation)] == [None, None]
    assert [len(processes(tmp_path, "compute", number)) for number in range(6)] == [1] * 6


def test_what_no_gate_was_asked_about_is_not_reused_where_one_is(tmp_path: Path) -> None:
    evaluator = ActionRecipe(tmp_path).build()
    evaluator.gates = [WorkerGate(Gate("value", at_most=9.0, applies_to="initial"), evaluator)]
    [initial] = candidates("compute")
    for generation, reused in ((3, False), (3, True), (0, False), (0, True), (1, True)):
        candidate = replace(initial, generation=generation)
        name, cache = f"run-{generation}-{reused}", Cache(tmp_path / "cache")
        pool = CachedPool(LocalPool(ActionRecipe(tmp_path)), cache, evaluator, {}, set(), name)
        [outcome] = run(pool, [candidate])
        assert isinstance(outcome, Evaluation)
        assert (outcome.reused_from is not None) == reused, generation


@pytest.mark.parametrize("budget", [None, 1, 2])
def test_a_budget_is_reused_by_itself_only(budget: int | None, tmp_path: Path) -> None:
    [asked] = candidates("compute")
    for other in {None, 1, 2} - {budget}:
        run(cached(tmp_path), [replace(asked, budget=other)])
    for name, reused in (("second", None), ("third", f"second/{asked.id}")):
        [outcome] = run(cached(tmp_path, name), [replace(asked, budget=budget)])
        assert isinstance(outcome, Evaluation)
        assert outcome.reused_from == reused


def test_failures_and_rejections_are_tried_again(tmp_path: Path) -> None:
    for _ in range(2):
        outcomes = run(cached(tmp_path), [*candidates("fail"), *candidates("not_a_number"), *candidates("reject")])
        assert not any(isinstance(outcome, Evaluation) for outcome in outcomes)
    assert len(processes(tmp_path, "fail")) == 2
    assert isinstance(outcomes[0], Failure)
    assert not (tmp_path / "cache").exists()


def test_other_facts_are_another_evaluation(tmp_path: Path) -> None:
    for data in ("one", "two"):
        [outcome] = run(cached(tmp_path, facts={"data": data}), candidates("compute"))
        assert isinstance(outcome, Evaluation)
        assert outcome.reused_from is None


def test_an_entry_without_a_metric_that_the_goals_need_is_replaced(tmp_path: Path) -> None:
    [asked] = candidates("compute")
    pool = cached(tmp_path)
    [outcome] = run(pool, [asked])
    assert isinstance(outcome, Evaluation)
    poorer = replace(outcome, metrics={"params": outcome.metrics["params"]})
    Cache(tmp_path / "cache").keep(pool._decides(asked), poorer, "old/1")
    for name, reused in (("second", None), ("third", f"second/{asked.id}")):
        [outcome] = run(cached(tmp_path, name, needed={"value", "params"}), [asked])
        assert isinstance(outcome, Evaluation)
        assert outcome.reused_from == reused


def test_what_a_run_kept_before_it_was_killed_is_its_own_and_not_reused(tmp_path: Path) -> None:
    [before] = run(cached(tmp_path), candidates("compute"))
    [after] = run(cached(tmp_path), candidates("compute"))
    assert isinstance(after, Evaluation)
    assert after == before
    assert after.reused_from is None
    assert len(processes(tmp_path, "compute")) == 1


def test_each_source_is_kept_by_itself_and_only_the_top_must_have_the_goals(tmp_path: Path) -> None:
    asked = candidates("compute", range(1))[0]
    lower = replace(asked, source=Source.ZERO_COST, id=7)

    class Joined(ActionEvaluator):
        def at(self, source: Source | None) -> Evaluator:
            rung = ActionEvaluator(self.folder)
            rung.source = source or self.source
            return rung

    def pool(name: str, needed: Set[str]) -> CachedPool:
        inner = LocalPool(ActionRecipe(tmp_path))
        return CachedPool(inner, Cache(tmp_path / "cache"), Joined(tmp_path), {}, needed, name)

    run(pool("first", set()), [asked])
    [low] = run(pool("second", {"of the top alone"}), [lower])
    [again] = run(pool("third", {"of the top alone"}), [lower])
    [high] = run(pool("fourth", {"of the top alone"}), [asked])
    reused = [outcome.reused_from for outcome in (low, again, high) if isinstance(outcome, Evaluation)]
    assert reused == [None, "second/7", None]
