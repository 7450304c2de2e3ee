"""Every code block of docs/your_own_supernet.md runs, in order, and its search finds a front."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import environment

PAGE = (Path(__file__).parents[1] / "docs" / "your_own_supernet.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page."""
    made = tmp_path_factory.mktemp("own")
    for language, text in BLOCKS:
        if language != "sh":
            (made / text.splitlines()[0].removeprefix("# ")).write_text(text)
    return made


@pytest.fixture
def space(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(folder))
    from layers import Layers  # type: ignore[import-not-found]

    yield Layers()
    for name in ("layers", "layers_supernet"):
        sys.modules.pop(name, None)


def test_the_commands_train_a_supernet_and_search_on_it(folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in (text for language, text in BLOCKS if language == "sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder, env={**environment(), "PATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    journal = map(json.loads, (folder / "runs/search/journal.jsonl").read_text().splitlines())
    outcomes = [line for line in journal if line["event"] == "finished"]
    assert [outcome["source"] for outcome in outcomes] == ["inherited"] * 20
    assert min(outcome["metrics"]["valid_error"] for outcome in outcomes) < 0.5, "chance is 0.9"


def test_the_costs_of_the_space_are_those_of_its_networks(space: Any) -> None:
    for genome in ((0, 0, 0), (1, 2, 3), (0, 3, 3)):
        assert space.canonical(genome) == genome
        assert space.costs(genome)["params"] == sum(weight.numel() for weight in space.build(genome).parameters())


def test_its_subnets_train_the_supernet(space: Any) -> None:
    from layers_supernet import LayersSupernet  # type: ignore[import-not-found]

    supernet = LayersSupernet(space)
    supernet.subnet((0, 1, 3))(torch.ones(2, 1, 8, 8)).sum().backward()
    reached = {name for name, weight in supernet.named_parameters() if weight.grad is not None}
    assert {name.split(".1.weight")[0] for name in reached if name.startswith("layers") and ".1.weight" in name} == {
        "layers.1.1",
        "layers.2.3",
    }
