"""Who survives is who survives in pymoo, tie by tie, whether many enter or one."""

from __future__ import annotations

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2  # noqa: N811
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem

from evonas.strategies.pymoo_survival import Population, SteadyPopulation

SIZE = 12

COMBINATIONS = [
    (objectives, levels, share) for objectives in (1, 2, 3, 4) for levels in (4, None) for share in (0, 0.2)
]
"""Objectives, the number of different losses (None: no ties), and the share of infeasible candidates."""


def newcomers(
    count: int, objectives: int, levels: int | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return losses and violations; violations tie as well."""
    rng = np.random.default_rng(seed)
    losses = rng.random((count, objectives)) if levels is None else rng.integers(levels, size=(count, objectives)) / 3
    return losses, (rng.random(count) < share) * rng.integers(1, 4, size=count) / 4


def of_pymoo(ids: np.ndarray, losses: np.ndarray, violations: np.ndarray, rng: np.random.Generator) -> PymooPopulation:
    """Return who survives in pymoo's NSGA-II with one offspring."""
    theirs = PymooPopulation.new("F", losses, "G", violations[:, None], "id", ids)
    problem = Problem(n_var=1, n_obj=losses.shape[1], n_ieq_constr=1)
    survival = PymooNSGA2(pop_size=SIZE, n_offsprings=1).survival
    return survival.do(problem, theirs, n_survive=SIZE, random_state=rng)


@pytest.mark.parametrize(("objectives", "levels", "share"), COMBINATIONS)
def test_of_many_newcomers_those_of_pymoo_survive(objectives: int, levels: int | None, share: float) -> None:
    for seed in range(25):
        losses, violations = newcomers(30, objectives, levels, share, seed)
        ids = np.arange(30)
        ours = Population(ids, np.zeros((30, 1), int), losses, violations, np.full(30, np.nan))
        kept = ours.survivors(SIZE, np.random.default_rng(seed))
        theirs = of_pymoo(ids, losses, violations, np.random.default_rng(seed))
        assert kept.ids.tolist() == theirs.get("id").tolist()
        feasible = kept.violations <= 0
        assert kept.crowding[feasible].tolist() == theirs.get("crowding")[feasible].tolist()
        assert (kept.losses == losses[kept.ids]).all()


@pytest.mark.parametrize(("objectives", "levels", "share"), COMBINATIONS)
def test_of_mu_and_one_those_of_pymoo_survive(objectives: int, levels: int | None, share: float) -> None:
    losses, violations = newcomers(200, objectives, levels, share, objectives)
    ours, left, chances = SteadyPopulation(SIZE, 1, objectives), [], 0

    def chance(number: int) -> np.random.Generator:
        nonlocal chances
        chances += 1
        return np.random.default_rng(number)

    for number in range(200):
        rows = np.array([*ours.ids, number])
        ours.add(number, (0,), losses[number], violations[number], lambda number=number: chance(number))
        theirs = of_pymoo(rows, losses[rows], violations[rows], np.random.default_rng(number))
        assert sorted(ours.ids) == sorted(theirs.get("id").tolist())
        left += set(rows.tolist()) - set(ours.ids)
        if number % 3 == 0:  # asked now and then, as a strategy does
            room = {id_: ours.crowding_of(row) for row, id_ in enumerate(ours.ids) if violations[id_] <= 0}
            assert room == {one.get("id"): one.get("crowding") for one in theirs if one.CV[0] <= 0}
        assert [ours.fitness(row) for row in range(len(ours))] == [
            (violations[i], losses[i].tolist()) for i in ours.ids
        ]
    assert len(ours) == SIZE
    assert len(set(left)) == 200 - SIZE
    assert chances or levels is None, "crowding tied"


def test_genomes_stay_with_their_ids() -> None:
    losses, violations = newcomers(80, 2, 4, 0.3, 0)
    population = SteadyPopulation(SIZE, 2, 2)
    for number in range(80):
        population.add(number, (number, -number), losses[number], violations[number], np.random.default_rng)
        assert [(id_, -id_) for id_ in population.ids] == [tuple(g) for g in population.genomes[: len(population)]]


def test_of_equally_violating_candidates_one_leaves() -> None:
    population = SteadyPopulation(3, 1, 2)
    for number in range(8):
        population.add(number, (0,), np.array([number, number]), 0.5, np.random.default_rng)
    assert len(set(population.ids)) == len(population) == 3
