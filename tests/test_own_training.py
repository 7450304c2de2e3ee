"""What audits by default: the training that the search names, where it names one."""

from __future__ import annotations

from evonas.component import Component
from evonas.config import AuditConfig
from evonas.own_training import TRAINED, alike, complete


def test_options_that_the_auditor_knows_are_those_of_the_search() -> None:
    cheap = {"use": "evonas.workers.inherited:Inherited", "supernet": "runs/supernet", "batch_size": 32}
    assert alike(cheap) == {"use": TRAINED, "batch_size": 32}


def test_a_ladders_training_is_that_of_its_top_without_rungs() -> None:
    top = {"use": "evonas.workers.inherited:Inherited", "batch_size": 32, "rungs": [1]}
    assert alike({"use": "evonas.workers.ladder:Ladder", "rungs": [{"use": "a:B"}, top]}) == {
        "use": TRAINED,
        "batch_size": 32,
    }


def test_auditor_that_is_named_is_taken_as_it_is() -> None:
    named = AuditConfig(every=5, evaluator=Component("synthetic:FormulaEvaluator"))
    assert complete(named, Component(TRAINED, {"epochs": 3})) is named
    followed = complete(AuditConfig(every=5), Component("a:B", {"epochs": 3, "other": 1})).evaluator
    assert followed is not None
    assert (followed.use, followed.options["epochs"]) == (TRAINED, 3)
    assert "other" not in followed.options
