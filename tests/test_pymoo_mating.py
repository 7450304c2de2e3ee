"""Mating chooses and crosses as pymoo does, draw for draw, and mutates at the rate asked for."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import binary_tournament
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.pntx import PointCrossover
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.selection.tournament import TournamentSelection
from toy import ToySpace

from evonas.strategies.pymoo_mating import Crossover, Mating, redraw, tournament
from evonas.strategies.pymoo_survival import Population

OPERATORS = {"uniform": UniformCrossover, "one_point": PointCrossover, "two_point": PointCrossover}
POINTS = {"uniform": {}, "one_point": {"n_points": 1}, "two_point": {"n_points": 2}}


def populations(seed: int, *, size: int = 15, objectives: int = 2) -> tuple[Population, PymooPopulation]:
    """Return a population with many ties and some infeasible rows, and the same as objects of pymoo."""
    rng = np.random.default_rng(seed)
    ours = Population(
        ids=np.arange(size),
        genomes=rng.integers(3, size=(size, 8)),
        losses=rng.integers(4, size=(size, objectives)).astype(float),
        violations=rng.integers(3, size=size) * rng.integers(2, size=size) / 4,
        crowding=rng.choice([0.0, 0.5, 1.0, np.inf], size),
    )
    theirs = PymooPopulation.new("X", ours.genomes, "F", ours.losses, "G", ours.violations[:, None])
    theirs.set("rank", np.zeros(size))
    theirs.set("crowding", ours.crowding)
    return ours, theirs


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_winners_are_those_of_pymoo(objectives: int) -> None:
    ties = 0
    for seed in range(60):
        ours, theirs = populations(seed, objectives=objectives)
        pairs = np.random.default_rng(seed).integers(len(ours), size=(30, 2))
        rng, their_rng = np.random.default_rng(seed), np.random.default_rng(seed)
        algorithm = SimpleNamespace(tournament_type="comp_by_dom_and_crowding", random_state=their_rng)
        assert (tournament(ours, pairs, random_state=rng) == binary_tournament(theirs, pairs, algorithm)).all()
        assert rng.bit_generator.state == their_rng.bit_generator.state, "chance decides the same ties"
        ties += rng.bit_generator.state != np.random.default_rng(seed).bit_generator.state
    assert ties > 40


@pytest.mark.parametrize("crossover", ["uniform", "one_point", "two_point"])
@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_children_are_those_of_pymoo(crossover: Crossover, probability: float) -> None:
    mating = Mating(ToySpace(8, redundant=False), crossover=crossover, crossover_probability=probability, mutation=0.0)
    selection = TournamentSelection(func_comp=binary_tournament)
    operator = OPERATORS[crossover](prob=probability, **POINTS[crossover])
    problem = Problem(n_var=8, n_obj=2, n_ieq_constr=1)
    for seed in range(40):
        ours, theirs = populations(seed)
        children, couples = mating.children(ours, 9, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        algorithm = SimpleNamespace(tournament_type="comp_by_dom_and_crowding", random_state=rng)
        matings = selection.do(
            problem, theirs, n_select=9, n_parents=2, to_pop=False, algorithm=algorithm, random_state=rng
        )
        assert couples == matings.tolist()
        assert children == operator.do(problem, theirs, matings, random_state=rng).get("X").tolist()
        first, second = ([ours.genomes[rows[parent]].tolist() for rows in couples] for parent in (0, 1))
        assert (children == first + second) == (probability == 0.0)


@pytest.mark.parametrize("probability", [0.0, 0.02, 1 / 8, 0.5, 1.0])
def test_measured_mutation_rate_is_the_probability_asked_for(probability: float) -> None:
    options = np.array([2, 3, 3, 4, 5, 7, 2, 6])
    genomes = np.random.default_rng(0).integers(options, size=(20_000, 8))
    mutated = redraw(genomes, options, probability, np.random.default_rng(1)) != genomes
    deviation = np.sqrt(probability * (1 - probability) / len(genomes))
    assert np.abs(mutated.mean(axis=0) - probability).max() <= 4 * deviation


def test_mutation_is_uniform_over_the_other_options() -> None:
    options = np.array([4, 1])
    redrawn = redraw(np.full((30_000, 2), [2, 0]), options, 1.0, np.random.default_rng(0))
    counts = Counter(redrawn[:, 0].tolist())
    assert counts.keys() == {0, 1, 3}
    assert max(abs(count - 10_000) for count in counts.values()) < 4 * 82
    assert not redrawn[:, 1].any(), "a gene of one option stays"
