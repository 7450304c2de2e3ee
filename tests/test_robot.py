"""RoBoT satisfies the contract, and finds the combination of proxies that no proxy is alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import write_experiment
from strategy_contract import StrategyContract, play, proposed
from toy import ToySpace, toy_goals

from evonas import config, search
from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError, RunFolderError
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.goals import Constraint, Goals, Objective
from evonas.pareto import ParetoFront
from evonas.seeds import generator
from evonas.space import Genome
from evonas.strategies.base import Strategy
from evonas.strategies.robot import RoBoT

PLAIN = ToySpace(length=6, redundant=False)
GENOMES = list(product(range(3), repeat=6))
ERROR = Goals((Objective("valid_error", False, 1.0),))


def written(path: Path, space: ToySpace, scores: Callable[[Genome], Mapping[str, float]]) -> Path:
    """Write a table of the scores of all networks of a space."""
    genomes = sorted({space.canonical(genome) for genome in product(range(3), repeat=len(space.genes))})
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(gene.name for gene in space.genes), *scores(genomes[0])])
        writer.writerows([*genome, *scores(genome).values()] for genome in genomes)
    return path


def noisy(genome: Genome) -> dict[str, float]:
    """Return two proxies that see half of a network each, and one that sees nothing."""
    rng = generator(0, "noisy", list(genome))
    half = len(genome) // 2
    return {"early": sum(genome[:half]), "late": sum(genome[half:]) + rng.normal(0, 0.1), "noise": rng.normal()}


class TestRoBoT(StrategyContract):
    component = Component("evonas.strategies.robot:RoBoT")

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path

    def strategy(self, early_exit: EarlyExit | None = None, *, goals: Goals | None = None, seed: int = 0) -> Strategy:
        space: Any = ToySpace() if early_exit is None else early_exit.space
        file = self.path / f"{len(space.genes)}.csv"
        scores = file if file.exists() else written(file, space, noisy)
        early_exit = early_exit or EarlyExit(space, ())
        return RoBoT(
            space, goals or toy_goals(), early_exit.admit, seed,
            scores=scores, proxies=["early", "late", "noise"], population=9, explore=18, weightings=40,
        )  # fmt: skip


PROXIES = {genome: generator(1, "proxies", list(genome)).normal(size=4) for genome in GENOMES}
ERRORS = {genome: -float(proxies @ (0.5, 0.7, -0.6, 0.0)) for genome, proxies in PROXIES.items()}


def combined(tmp_path: Path, goals: Goals = ERROR, seed: int = 0, **options: Any) -> RoBoT:
    """Return the strategy on networks whose error is a weighted sum of three of four proxies."""
    file = tmp_path / "scores.csv"
    if not file.exists():
        written(file, PLAIN, lambda genome: dict(zip("abcd", PROXIES[genome].tolist(), strict=True)))
    given = {"proxies": list("abcd"), "population": 4, **options}
    return RoBoT(PLAIN, goals, EarlyExit(PLAIN, ()).admit, seed, scores=file, **given)


def outcome_of(candidate: Candidate) -> Evaluation:
    metrics = {"valid_error": ERRORS[candidate.genome], **PLAIN.costs(candidate.genome)}
    return Evaluation(candidate, metrics, Source.TABULAR, seconds=0.1, seed=0)


def asked_of(strategy: RoBoT, evaluations: int) -> list[Genome]:
    return [candidate.genome for candidate in proposed(play(strategy, evaluations, outcome_of=outcome_of))]


def test_it_finds_the_combination_that_no_proxy_is_alone(tmp_path: Path) -> None:
    best = sorted(GENOMES, key=ERRORS.__getitem__)[:5]
    alone = [sorted(GENOMES, key=lambda g, p=p: -PROXIES[g][p])[:40] for p in range(4)]  # type: ignore[misc]
    assert max(len(set(best) & set(names)) for names in alone) <= 2, "a proxy alone does not"
    for seed in range(3):
        found = asked_of(combined(tmp_path, seed=seed), 40)
        assert set(best) <= set(found), "of 729 networks with 40 evaluations"


def test_what_follows_the_exploration_is_better_than_it(tmp_path: Path) -> None:
    errors = [ERRORS[genome] for genome in asked_of(combined(tmp_path, explore=20), 60)]
    assert np.mean(errors[20:]) < np.mean(errors[:20]) < np.mean(list(ERRORS.values()))


def test_it_begins_with_the_first_network_of_each_proxy(tmp_path: Path) -> None:
    firsts = {max(GENOMES, key=lambda g, p=p: PROXIES[g][p]) for p in range(4)}  # type: ignore[misc]
    assert {candidate.genome for candidate in combined(tmp_path).ask(4)} == firsts


def test_with_an_exact_cost_beside_it_the_whole_front_is_approached(tmp_path: Path) -> None:
    goals = Goals((Objective("valid_error", False, 3.0), Objective("params", False, 50.0)))

    def front(genomes: list[Genome]) -> float:
        evaluations = [outcome_of(Candidate(number, genome, 0)) for number, genome in enumerate(genomes)]
        return ParetoFront.of(evaluations, goals).hypervolume

    uniform = [
        front([GENOMES[row] for row in np.random.default_rng(s).choice(729, 60, replace=False)]) for s in range(9)
    ]
    for seed in range(2):
        assert front(asked_of(combined(tmp_path, goals, seed, weightings=400), 60)) > max(uniform), (
            "in 9 random searches as long"
        )


def test_networks_beyond_a_bound_on_static_costs_are_left_out(tmp_path: Path) -> None:
    goals = Goals(ERROR.objectives, (Constraint("params", at_most=15.0),))
    found = asked_of(combined(tmp_path, goals), 40)
    assert len(found) >= 40
    assert all(PLAIN.costs(genome)["params"] <= 15.0 for genome in found)


def test_it_asks_for_something_to_estimate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="proxies estimate none"):
        combined(tmp_path, Goals((Objective("params", False, 50.0),)))


def test_a_search_does_not_go_on_with_other_scores(tmp_path: Path) -> None:
    scores, _ = search.run(config.load(write_experiment(tmp_path, evaluations=40)), tmp_path / "scores")
    strategy = {"use": "evonas.strategies.robot:RoBoT", "scores": str(scores), "proxies": ["throughput", "macs"]}
    run, history = search.run(
        config.load(write_experiment(tmp_path, evaluations=10, strategy=strategy, gates=[])), tmp_path / "run"
    )
    assert len(history.candidates) == 10
    search.resume(run, ["evaluations=15"])
    journal = scores / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-5]))
    with pytest.raises(RunFolderError, match="what its strategy reads has changed"):
        search.resume(run, ["evaluations=20"])
