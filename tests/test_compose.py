"""An experiment becomes its parts, with every bound, direction and reference resolved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from commands import FORMULA

from evonas.compose import prepare
from evonas.config import parse
from evonas.errors import ConfigError
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


def test_what_decides_an_evaluation_names_the_code_of_every_rung() -> None:
    rungs = [{"use": "test_ladder:Guess"}, {"use": "evonas.workers.trained:Trained"}]
    search = prepare(parse({**DIGITS, "evaluator": {"use": "evonas.workers.ladder:Ladder", "rungs": rungs}}))
    assert search.evaluation_facts()["code"].keys() == {"space", "evaluator", "zero_cost", "trained"}
    assert prepare(parse(DIGITS)).evaluation_facts()["code"].keys() == {"space", "evaluator"}


def test_what_only_a_lower_rung_measures_is_no_objective() -> None:
    rungs = [{"use": "test_ladder:Guess"}, {"use": "evonas.workers.trained:Trained"}]
    ladder = {"use": "evonas.workers.ladder:Ladder", "rungs": rungs}
    with pytest.raises(ConfigError, match="'goodness' is neither measured by"):
        prepare(parse({**DIGITS, "evaluator": ladder, "objectives": ["goodness", "params"]}))


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
