"""The space of a table: it has the networks of its rows, and every strategy stays among them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from space_contract import GenomeContract

from evonas import plan
from evonas.check import report
from evonas.config import parse
from evonas.early_exit import EarlyExit
from evonas.errors import ConfigError, DataError, GenomeError
from evonas.evaluation import evaluate
from evonas.goals import Goals, Objective
from evonas.predictor import Encoding
from evonas.space import Genome
from evonas.spaces.table import NEIGHBOURS, Table
from evonas.strategies.aging_evolution import AgingEvolution
from evonas.strategies.base import Strategy
from evonas.strategies.pymoo_nsga2 import NSGA2
from evonas.strategies.pymoo_steady_state import SteadyStateNSGA2
from evonas.strategies.random_search import RandomSearch
from evonas.workers.tabular import Tabular

STRATEGIES = [RandomSearch, NSGA2, SteadyStateNSGA2, AgingEvolution]


def write(path: Path, share: float = 0.2, genes: int = 4, options: int = 4, seed: int = 0) -> Path:
    """Write the table of a share of all networks: an error that falls and a size that rises with each gene."""
    rng = np.random.default_rng(seed)
    rows = [genome for genome in product(range(options), repeat=genes) if rng.random() < share]
    lines = [",".join([*(f"g{gene}" for gene in range(genes)), "error", "size", "params"])]
    lines += [
        f"{','.join(map(str, g))},{1 / (1 + sum(g)) + 0.1 * rng.random()},{1 + sum(g)},{10 * sum(g)}" for g in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def sparse(folder: Path, **options: Any) -> Table:
    return Table(file=write(folder / "sparse.csv"), genes=[f"g{gene}" for gene in range(4)], **options)


class TestTable(GenomeContract):
    @pytest.fixture(autouse=True)
    def _table(self, tmp_path: Path) -> None:
        self.space = sparse(tmp_path, costs=["params"])


def test_its_networks_are_the_rows_whatever_is_missing(tmp_path: Path) -> None:
    space = sparse(tmp_path)
    assert space.networks(space.size()) == sorted(space.table.row_of)
    assert space.networks(1) == space.networks(space.size()), "however many: they are listed already"


def test_samples_are_the_rows_each_as_likely_as_another(tmp_path: Path) -> None:
    space = sparse(tmp_path)
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(space.table.row_of, 0)
    for _ in range(100 * space.size()):
        counts[space.sample(rng)] += 1
    assert 40 < space.size() < 64
    assert min(counts.values()) > 60
    assert max(counts.values()) < 140


def test_what_is_not_in_the_table_is_no_genome_and_its_nearest_rows_differ_least(tmp_path: Path) -> None:
    space = sparse(tmp_path)
    outside = [genome for genome in product(range(4), repeat=4) if genome not in space.table.row_of]
    for genome in outside:
        near = space.nearest(genome)
        differing = [sum(a != b for a, b in zip(genome, other, strict=True)) for other in near]
        assert differing == sorted(differing)
        assert sorted(near) == sorted(space.table.row_of), "fewer than NEIGHBOURS: all of them"
    first = [space.nearest(genome)[0] for genome in outside]
    assert len(set(first)) > space.size() / 2, "chance decides between equals, not the order of rows"
    with pytest.raises(GenomeError, match=r"sparse.csv has no row for g0=\d, g1=\d, g2=\d, g3=\d"):
        space.validate(outside[0])
    with pytest.raises(GenomeError, match="has no row for"):
        space.costs(outside[0])


def test_of_a_large_table_only_some_neighbours_are_offered(tmp_path: Path) -> None:
    space = Table(file=write(tmp_path / "large.csv", genes=6), genes=[f"g{gene}" for gene in range(6)])
    outside = next(genome for genome in product(range(4), repeat=6) if genome not in space.table.row_of)
    near = space.nearest(outside)
    assert len(near) == len(set(near)) == NEIGHBOURS
    farthest = max(sum(a != b for a, b in zip(outside, other, strict=True)) for other in near)
    others = (genome for genome in space.table.row_of if genome not in near)
    assert min(sum(a != b for a, b in zip(outside, other, strict=True)) for other in others) >= farthest


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_propose_rows_only_until_none_is_left(strategy: type[Strategy], tmp_path: Path) -> None:
    space = sparse(tmp_path)
    evaluator = Tabular(space, 0, metrics=["error", "size"])
    options = {} if strategy is RandomSearch else {"population": 8}
    search = strategy(
        space, Goals((Objective("error", False, 1.2), Objective("size", False, 20.0))), EarlyExit(space, []).admit, 0,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip
    asked: list[Genome] = []
    bred = 0
    while candidates := search.ask(4):
        asked += [candidate.genome for candidate in candidates]
        bred += sum(bool(candidate.parents) for candidate in candidates)
        for candidate in candidates:
            search.tell(evaluate(evaluator, candidate))
    assert sorted(asked) == sorted(space.table.row_of), "every row once, and nothing else"
    if strategy is not RandomSearch:
        assert bred >= space.size() - 8 - 2, "rare as they are, rows are bred, not drawn"


def test_costs_are_the_columns_that_are_named(tmp_path: Path) -> None:
    space = sparse(tmp_path, costs={"size": "size", "macs": {"column": "params", "scale": 1e6, "offset": 1}})
    for genome in space.table.row_of:
        assert space.costs(genome) == {"size": 1.0 + sum(genome), "macs": 1 + 1e7 * sum(genome)}
    sums = [sum(genome) for genome in space.table.row_of]
    assert (sum(space.smallest()), sum(space.largest())) == (min(sums), max(sums)), "by the first cost"
    assert Encoding(space)([space.largest()]).names[-2:] == ("macs", "size")
    bare = sparse(tmp_path)
    assert bare.costs(bare.smallest()) == {}
    assert bare.validate(bare.largest()) == bare.largest()


def test_a_table_builds_no_network_and_says_so(tmp_path: Path) -> None:
    space = sparse(tmp_path)
    with pytest.raises(ConfigError, match="has no networks to build: take an evaluator that needs none, such as"):
        space.build(space.smallest())


def test_a_cost_must_be_known_of_every_network(tmp_path: Path) -> None:
    (tmp_path / "holes.csv").write_text("op,params\na,1\nb,\n")
    with pytest.raises(DataError, match="'params' must be known of every network, and is not of op=b"):
        Table(file=tmp_path / "holes.csv", genes=["op"], costs=["params"])


def test_what_it_read_decides_its_fingerprint(tmp_path: Path) -> None:
    first = sparse(tmp_path).fingerprint()
    assert sparse(tmp_path).fingerprint() == first
    write(tmp_path / "sparse.csv", seed=1)
    other = Table(file=tmp_path / "sparse.csv", genes=[f"g{gene}" for gene in range(4)])
    assert other.fingerprint() != first


@pytest.mark.parametrize("costs", [["params", "size"], []])
def test_a_table_is_checked_and_planned_whatever_costs_it_knows(costs: list[str], tmp_path: Path) -> None:
    experiment = parse(
        {
            "space": {
                "use": "evonas.spaces.table:Table", "file": str(write(tmp_path / "sparse.csv")),
                "genes": ["g0", "g1", "g2", "g3"], "costs": costs,
            },
            "data": None,
            "evaluator": {
                "use": "evonas.workers.tabular:Tabular",
                "metrics": ["error", *{"params", "size"}.difference(costs)],
            },
            "objectives": ["error", "size"],
            "gates": [{"metric": cost, "at_most": {"quantile": 0.8}} for cost in costs],
            "pool": "evonas.workers.local_pool:LocalPool",
            "tracking": None,
            "runs": str(tmp_path),
        }
    )  # fmt: skip
    lines = list(report(experiment))
    assert any("4 genes" in line and "256" not in line for line in lines), "as many genomes as rows"
    assert [cost for cost in ("params", "size") if any(line.startswith(f"  {cost}: ") for line in lines)] == costs
    assert any(line.startswith("rehearsed: a small network") for line in lines)
    planned = plan.make(experiment, [2]).forecasts[0]
    assert planned.evaluated <= 64, "no more than there are rows"
