"""Local search satisfies the contract, explores whole neighbourhoods, and climbs to fronts that it can prove."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from strategy_contract import StrategyContract, play
from test_table_space import sparse
from toy import ToySpace, toy_error, toy_evaluation, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.evaluation import Candidate, Evaluation, Source, evaluate
from evonas.goals import Constraint, Goals, Objective
from evonas.journal import Asked
from evonas.pareto import ParetoFront
from evonas.space import Gene, Genome, Metrics, SearchSpace
from evonas.strategies.local_search import LocalSearch
from evonas.workers.tabular import Tabular

PLAIN = EarlyExit(ToySpace(length=6, redundant=False), ())


def local_search(early_exit: EarlyExit = PLAIN, goals: Goals | None = None, **options: Any) -> LocalSearch:
    return LocalSearch(early_exit.space, goals or toy_goals(), early_exit.admit, 0, **options)


def generations(strategy: LocalSearch, evaluations: int, **options: Any) -> list[Sequence[Candidate]]:
    return [event.candidates for event in play(strategy, evaluations, **options) if isinstance(event, Asked)]


def neighbours(genome: Genome, options: int = 3) -> set[Genome]:
    return {g for g in product(range(options), repeat=len(genome)) if sum(map(int.__ne__, g, genome)) == 1}


class TestLocalSearch(StrategyContract):
    component = Component("evonas.strategies.local_search:LocalSearch", {"population": 10})


def test_a_generation_is_all_that_is_new_one_gene_from_a_member_of_the_front() -> None:
    candidates: dict[int, Candidate] = {}
    climbs = 0
    for generation in generations(local_search(population=6), 400):
        if not generation[0].parents:
            climbs += 1
            climb: list[Evaluation] = []
        else:
            ((centre,),) = {candidate.parents for candidate in generation}
            new = neighbours(candidates[centre].genome) - {candidate.genome for candidate in candidates.values()}
            assert {candidate.genome for candidate in generation} == new
            assert centre in {member.candidate.id for member in ParetoFront.of(climb, toy_goals()).members}
        climb += [toy_evaluation(candidate) for candidate in generation]
        candidates |= {candidate.id: candidate for candidate in generation}
    assert climbs > 1, "and where a climb ends another begins"


def test_a_climb_ends_where_no_neighbour_of_the_front_is_new() -> None:
    evaluated: list[Evaluation] = []
    climb: list[Evaluation] = []
    ends = 0
    for generation in generations(local_search(population=6), 500):
        if not generation[0].parents and climb:
            known = {evaluation.candidate.genome for evaluation in evaluated}
            members = ParetoFront.of(climb, toy_goals()).members
            assert all(neighbours(member.candidate.genome) <= known for member in members)
            climb, ends = [], ends + 1
        evaluations = [toy_evaluation(candidate) for candidate in generation]
        evaluated, climb = evaluated + evaluations, climb + evaluations
    assert ends > 0


class LeadingAndTrailing(SearchSpace):
    """Bits: how many ones lead and how many zeros trail, the field's LOTZ (Laumanns et al. 2002)."""

    genes = tuple(Gene(f"bit_{number}", (0, 1)) for number in range(10))

    def build(self, genome: Genome) -> Any:
        raise NotImplementedError("bits have no weights")

    def costs(self, genome: Genome) -> Metrics:
        text = "".join(map(str, genome))
        return {"ones": float(len(text) - len(text.lstrip("1"))), "zeros": float(len(text) - len(text.rstrip("0")))}


def test_the_first_climb_finds_the_whole_front_of_leading_ones_and_trailing_zeros() -> None:
    space = LeadingAndTrailing()
    goals = Goals((Objective("ones", True, 0.0), Objective("zeros", True, 0.0)))

    def outcome_of(candidate: Candidate) -> Evaluation:
        return Evaluation(candidate, space.costs(candidate.genome), Source.TABULAR, 0.0, 0)

    for seed in range(5):
        strategy = LocalSearch(space, goals, EarlyExit(space, ()).admit, seed, population=2)
        climb: list[Evaluation] = []
        for generation in generations(strategy, 1024, outcome_of=outcome_of):
            if climb and not generation[0].parents:
                break
            climb += [outcome_of(candidate) for candidate in generation]
        assert {tuple(m.metrics.values()) for m in ParetoFront.of(climb, goals).members} == {
            (float(ones), float(10 - ones)) for ones in range(11)
        }
        assert len(climb) < 250, "of 1,024"


def test_with_one_objective_it_is_steepest_descent() -> None:
    goals = Goals(toy_goals().objectives[:1])
    first, *climb = generations(local_search(goals=goals, population=5), 120)
    best = min(first, key=lambda candidate: toy_error(candidate.genome))
    for generation in climb:
        around = min(generation, key=lambda candidate: toy_error(candidate.genome))
        if not around.parents:
            break
        assert around.parents == (best.id,)
        best = min(best, around, key=lambda candidate: toy_error(candidate.genome))
    assert all(toy_error(best.genome) <= toy_error(genome) for genome in neighbours(best.genome))


def test_what_violates_least_is_climbed_from_until_something_is_feasible() -> None:
    goals = toy_goals(Constraint("params", at_most=2.0))
    asked = generations(local_search(goals=goals, population=5), 200)
    sizes = [min(PLAIN.space.costs(c.genome)["params"] for c in generation) for generation in asked]
    assert sizes[0] > 4.0, "there are only two such networks of 729"
    feasible = next(number for number, size in enumerate(sizes) if size <= 2.0)
    assert all(generation[0].parents for generation in asked[1 : feasible + 1]), "in one climb"


def test_on_a_table_that_lacks_most_networks_neighbours_are_its_rows_one_gene_away(tmp_path: Path) -> None:
    space = sparse(tmp_path)
    rows = space.table.row_of
    goals = Goals((Objective("error", False, 1.2), Objective("size", False, 20.0)))
    evaluator = Tabular(space, 0, metrics=["error", "size"])
    strategy = LocalSearch(space, goals, EarlyExit(space, ()).admit, 0, population=4)
    asked: list[Candidate] = []
    for generation in generations(strategy, 1000, outcome_of=lambda candidate: evaluate(evaluator, candidate)):
        for candidate in generation:
            for parent in candidate.parents:
                assert candidate.genome in neighbours(asked[parent].genome, options=4)
        asked += generation
    assert sorted(candidate.genome for candidate in asked) == sorted(rows)
    assert sum(bool(candidate.parents) for candidate in asked) > len(rows) / 4
