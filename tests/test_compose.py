"""An experiment becomes its parts, with every bound, direction and reference resolved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from commands import FORMULA

from evonas.compose import prepare
from evonas.config import parse
from evonas.errors import ConfigError, GateError
from evonas.evaluation import Candidate, Rejected
from evonas.spaces.cell201 import Cell201

DIGITS = {
    "tracking": None,
    "pool": "evonas.workers.local_pool:LocalPool",
    "space": {"stem_channels": 4, "cells_per_stage": 1},
}


def test_shape_and_classes_follow_the_data() -> None:
    search = prepare(parse(DIGITS))
    assert isinstance(search.space, Cell201)
    assert (search.space.input_shape, search.space.classes) == ((1, 8, 8), 10)
    assert search.experiment.space.options["input_shape"] == [1, 8, 8], "and the resolved experiment says so"
    assert prepare(search.experiment).experiment.identity() == search.experiment.identity()


def test_a_shape_that_contradicts_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"classes is 7.*'digits' has 10"):
        prepare(parse({**DIGITS, "space": {"classes": 7}}))


def test_a_space_may_leave_shape_and_classes_to_the_data_altogether() -> None:
    search = prepare(parse({**DIGITS, "space": "needing:Needing"}))
    assert search.experiment.space.options == {"input_shape": [1, 8, 8], "classes": 10}


def test_direction_and_worst_value_come_from_what_is_declared() -> None:
    search = prepare(parse({**FORMULA, "objectives": ["valid_error", "macs"], "gates": []}))
    error, macs = search.goals.objectives
    assert (error.maximize, error.worst) == (False, 1.0)
    largest = search.space.costs(search.space.largest())["macs"]
    assert (macs.maximize, macs.worst) == (False, largest)


def test_a_gate_on_all_candidates_bounds_the_reference() -> None:
    gated: dict[str, Any] = {**FORMULA, "gates": [{"metric": "params", "at_most": 9000}]}
    assert prepare(parse(gated)).goals.objectives[1].worst == 9000
    gated["gates"] = [{"metric": "params", "at_most": 9000, "applies_to": "initial"}]
    assert prepare(parse(gated)).goals.objectives[1].worst > 9000


def test_a_quantile_becomes_the_bound_below_which_that_share_lies() -> None:
    search = prepare(parse({**FORMULA, "gates": [{"metric": "params", "at_most": {"quantile": 0.3}}]}))
    bound = search.gates[0].at_most
    assert bound is not None
    assert np.mean([cost["params"] <= bound for cost in search.sampled]) == pytest.approx(0.3, abs=0.05)


def test_an_objective_without_a_known_worst_value_asks_for_it() -> None:
    with pytest.raises(ConfigError, match=r"throughput.*worst: \.\.\."):
        prepare(parse({**FORMULA, "objectives": ["throughput", "params"]}))
    given = {**FORMULA, "objectives": [{"metric": "throughput", "worst": 0.0}, "params"]}
    assert prepare(parse(given)).goals.objectives[0].maximize, "the evaluator says that more is better"


def test_the_worst_value_of_one_direction_is_not_taken_for_that_of_the_other() -> None:
    turned: dict[str, Any] = {"metric": "valid_error", "maximize": True}
    with pytest.raises(ConfigError, match=r"in this direction.*\{metric: valid_error, maximize: true, worst: \.\.\.\}"):
        prepare(parse({**FORMULA, "objectives": [turned, "params"]}))
    said = prepare(parse({**FORMULA, "objectives": [{**turned, "worst": 0.0}, "params"]}))
    assert (said.goals.objectives[0].maximize, said.goals.objectives[0].worst) == (True, 0.0)
    cost = prepare(
        parse({**FORMULA, "objectives": ["valid_error", {"metric": "params", "maximize": True}], "gates": []})
    )
    assert cost.goals.objectives[1].worst == cost.space.costs(cost.space.smallest())["params"], "its extreme is known"


def test_a_gate_on_no_static_cost_is_asked_on_workers() -> None:
    gates = [{"metric": "params", "at_most": 30_000}, {"metric": "synflow", "at_least": 5}]
    search = prepare(parse({**DIGITS, "gates": gates}))
    assert [gate.name for gate in search.gates] == ["params <= 30000"]
    for evaluator in (search.evaluator, search.recipe.build()):
        (gate,) = evaluator.gates
        assert gate(Candidate(0, search.space.largest(), 0))["synflow"] >= 5
        with pytest.raises(Rejected, match=r"synflow >= 5"):
            gate(Candidate(0, (0,) * 6, 0))
    assert [gate["metric"] for gate in search.header().gates] == ["params", "synflow"]
    assert search.evaluation_facts() != prepare(parse({**DIGITS, "gates": gates[:1]})).evaluation_facts()


def test_a_gate_may_name_the_evaluator_that_it_asks() -> None:
    evaluator = {"use": "evonas.workers.zero_cost:ZeroCost", "proxies": ["snip"], "batch_size": 8}
    gates: list[dict[str, Any]] = [{"metric": "snip", "at_least": 0, "evaluator": evaluator}]
    search = prepare(parse({**DIGITS, "gates": gates}))
    assert search.evaluator.gates[0].evaluator.batch_size == 8  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"batchsize: there is no such key; did you mean 'batch_size'"):
        parse({**DIGITS, "gates": [{**gates[0], "evaluator": {**evaluator, "batchsize": 3}}]})
    with pytest.raises(GateError, match=r"'snib' is not measured by .*:ZeroCost; did you mean"):
        prepare(parse({**DIGITS, "gates": [{**gates[0], "metric": "snib"}]}))


@pytest.mark.parametrize(
    ("gate", "changes", "message"),
    [
        ({"metric": "synfow", "at_least": 1}, {}, "'synfow' is no static cost.*did you mean 'synflow'"),
        ({"metric": "synflow", "at_least": 1}, {"data": None}, "'synflow' is no static cost.*set 'data:'"),
        ({"metric": "synflow", "at_least": {"quantile": 0.5}}, {}, "gates.0: a quantile is of a static cost"),
        ({"metric": "param", "at_most": {"quantile": 0.5}}, {}, "'param' is not; did you mean 'params'"),
    ],
)
def test_a_gate_on_what_nothing_measures_is_refused(gate: Any, changes: Any, message: str) -> None:
    needs_no_data = {"evaluator": "synthetic:FormulaEvaluator", "space": {"input_shape": [1, 8, 8]}}
    with pytest.raises(GateError, match=message):
        prepare(parse({**DIGITS, **(needs_no_data if changes else {}), **changes, "gates": [gate]}))
