"""A warm start: an initial population that begins with the networks of another run, the best first."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import FORMULA

from evonas import search, warm_start
from evonas.compose import prepare
from evonas.config import parse
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError, RunFolderError
from evonas.history import History
from evonas.pareto import ranks
from evonas.space import Genome

STRATEGIES = [
    {"use": "evonas.strategies.pymoo_nsga2:NSGA2", "population": 8},
    {"use": "evonas.strategies.aging_evolution:AgingEvolution", "population": 8},
    {"use": "evonas.strategies.random_search:RandomSearch"},
    {"use": "evonas.strategies.msunas:MSuNAS", "initial": 8, "design": "uniform"},
]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of random search with a seed of its own."""
    path = tmp_path_factory.mktemp("earlier") / "run"
    search.run(parse(_formula(strategy="evonas.strategies.random_search:RandomSearch", seed=5, evaluations=30)), path)
    return path


def _formula(**changes: Any) -> dict[str, Any]:
    return {**FORMULA, "gates": [], **changes}


def _begun(history: History, count: int) -> list[Genome]:
    return [history.candidates[number].genome for number in range(count)]


def test_the_networks_come_in_the_order_of_their_fronts(earlier: Path) -> None:
    history = History.read(earlier)
    found = warm_start.genomes(earlier, prepare(parse(_formula())).space)
    assert sorted(found) == sorted(evaluation.candidate.genome for evaluation in history.evaluations)
    losses = {e.candidate.genome: history.goals.losses(e.metrics) for e in history.evaluations}
    in_order = ranks([losses[genome] for genome in found])  # type: ignore[arg-type]
    assert list(in_order) == sorted(in_order)
    front = {member.candidate.genome for member in history.front.members}
    assert set(found[: len(front)]) == front


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy["use"].partition(":")[2])
def test_every_strategy_begins_with_them(strategy: dict[str, Any], earlier: Path) -> None:
    prepared = prepare(parse(_formula(strategy=strategy, warm_start=str(earlier))))
    asked = prepared.strategy(EarlyExit(prepared.space, [])).ask(8)
    assert [candidate.genome for candidate in asked] == list(prepared.first[:8])


def test_what_a_gate_turns_away_is_left_out_and_uniform_genomes_fill_up(earlier: Path, tmp_path: Path) -> None:
    gates = [{"metric": "params", "at_most": 4000}]
    strategy = {"population": 20}
    _, history = search.run(
        parse(_formula(strategy=strategy, gates=gates, warm_start=str(earlier), evaluations=20)), tmp_path / "run"
    )
    prepared = prepare(parse(_formula()))
    small = [g for g in warm_start.genomes(earlier, prepared.space) if prepared.space.costs(g)["params"] <= 4000]
    assert 0 < len(small) < 20
    assert _begun(history, len(small)) == small
    assert len(set(_begun(history, 20))) == 20


def test_a_resumed_search_needs_the_other_run_no_more(earlier: Path, tmp_path: Path) -> None:
    shutil.copytree(earlier, tmp_path / "earlier")
    experiment = parse(
        _formula(
            strategy={"use": "evonas.strategies.random_search:RandomSearch"},
            warm_start=str(tmp_path / "earlier"), evaluations=10,
        )
    )  # fmt: skip
    search.run(experiment, tmp_path / "run")
    shutil.rmtree(tmp_path / "earlier")
    history = search.resume(tmp_path / "run", ["evaluations=20"])
    expected = warm_start.genomes(earlier, prepare(parse(_formula())).space)[:20]
    assert _begun(history, 20) == expected


def test_a_run_of_other_genes_or_none_is_refused(earlier: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whose networks have other genes than this space"):
        prepare(parse(_formula(warm_start=str(earlier), space="evonas.spaces.cell201:Cell201")))
    with pytest.raises(RunFolderError, match=r"is no run folder"):
        prepare(parse(_formula(warm_start=str(tmp_path / "nowhere"))))


def test_an_experiment_without_one_says_nothing_of_it() -> None:
    assert "warm_start" not in parse(_formula()).plain()
    assert parse(_formula(warm_start="runs/a")).plain()["warm_start"] == "runs/a"
