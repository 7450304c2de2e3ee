"""The benchmark of evolved proxies joins accuracies, statistics and kept rows of the same cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from evolved_proxies import networks
from kept_rows import kept_rows
from proxies import Task, images

from evonas.proxies.expression import STATISTICS
from evonas.spaces.cell201 import Cell201

CELL = (3, 1, 2, 4, 3, 2)


def test_a_cell_has_its_accuracy_and_its_kept_scores(tmp_path: Path) -> None:
    space, rows = Cell201(), tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"genome": CELL, "scores": {"snip": 2.0, "zen": None}}) + "\n")
    task = Task(space, images(20), [CELL], lambda cell: {"accuracy": 84.0, "test_accuracy": 85.0})
    found = networks(task, {space.canonical(CELL): np.ones((2, len(STATISTICS)))}, rows)
    assert found.accuracies.tolist() == [84.0]
    assert {name: column.tolist() for name, column in found.scores.items()} == {"snip": [2.0], "zen": [-np.inf]}


def test_a_torn_last_row_is_computed_again(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert kept_rows(file) == []
    file.write_text('{"a": 1}\n{"a": 2}\n{"a": ')
    assert kept_rows(file) == [{"a": 1}, {"a": 2}]
    with file.open("a") as out:
        out.write('{"a": 3}\n')
    assert kept_rows(file) == [{"a": 1}, {"a": 2}, {"a": 3}]
