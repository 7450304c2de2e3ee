"""The benchmark of sample efficiency: what it measures, how runs are kept, and what the rivals are given."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import moocore
import numpy as np
import pytest
from efficiency_problems import TABLES, Problem, problem
from efficiency_rivals import RIVALS
from efficiency_runs import Contestant, Run, find, keep, kept, ours, run
from efficiency_summary import summary
from sample_efficiency import main

EVALUATIONS = 45
RANDOM = ours("random", "evonas.strategies.random_search:RandomSearch")

pytestmark = pytest.mark.skipif(not TABLES.exists(), reason=f"the reference tables are not in {TABLES}")


@pytest.mark.parametrize(
    ("name", "rows"), [("latency", 15_625), ("params", 15_625), ("macs", 6_561), ("folded", 5_234)]
)
def test_the_share_is_that_of_the_exact_hypervolume(name: str, rows: int) -> None:
    table = problem(name, TABLES)
    assert len(table.losses) == rows
    drawn = np.random.default_rng(0).permutation(rows)[:60].tolist()
    reference = table.losses.max(axis=0)
    exact = [moocore.hypervolume(table.losses[drawn[: 1 + n]], ref=reference) for n in range(60)]
    np.testing.assert_allclose(table.shares(drawn), np.array(exact) / moocore.hypervolume(table.losses, ref=reference))
    assert table.shares(list(range(rows)))[-1] == pytest.approx(1.0)


def test_a_genome_costs_what_the_table_says() -> None:
    for name in ("params", "macs"):
        table = problem(name, TABLES)
        for genome in list(table.rows)[::500]:
            assert table.metrics(genome)[table.objectives[1]] == table.space.costs(genome)[table.objectives[1]]


def test_random_search_has_the_published_shares() -> None:
    """Ten seeds had 0.946, 0.955, 0.976 after 25, 50, 100 evaluations; the error of such a mean is 0.009 to 0.003."""
    table = problem("latency", TABLES)
    runs = [run("latency", TABLES, RANDOM, seed, 100) for seed in range(12)]
    means = [share.mean for share in summary(table, runs).shares]
    assert means == [pytest.approx(0.946, abs=0.02), pytest.approx(0.955, abs=0.012), pytest.approx(0.976, abs=0.008)]


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_spend_their_evaluations_and_repeat_themselves(name: str) -> None:
    if name.startswith("Optuna") and importlib.util.find_spec("optuna") is None:
        pytest.skip("optuna is not installed: it comes with evonas[benchmark]")
    first, again, other = (
        run("macs", TABLES, Contestant(name, {"rival": name}), seed, EVALUATIONS) for seed in (1, 1, 2)
    )
    assert len(first.rows) == EVALUATIONS
    assert first.rows == again.rows != other.rows


def test_evaluations_needed_count_from_one_and_seeds_that_miss_are_told() -> None:
    table = problem("macs", TABLES)
    order = np.argsort(table.losses[:, 0])  # the front's rows come early, one after the other
    best = _front(table)
    runs = [Run("macs", "x", {}, seed, 60, rows, 0.0) for seed, rows in enumerate((best[:60], order[-60:].tolist()))]
    needed = summary(table, runs).needed[0]
    assert needed.median is None
    assert needed.not_reached == 1
    reached = summary(table, runs[:1])
    first = int(reached.needed[0].median or 0)
    assert reached.curve[first - 2] < 0.95 <= reached.curve[first - 1]


def test_runs_are_kept_line_by_line_and_a_torn_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    done = run("macs", TABLES, RANDOM, 0, 10)
    keep(path, done)
    with path.open("a") as file:
        file.write('{"problem": "macs", "cont')
    assert kept(path) == [done]
    assert find([done], "macs", RANDOM, 0, 10) == done
    assert not find([done], "macs", RANDOM, 0, 11)
    assert not find([done], "macs", Contestant("random", {**RANDOM.recipe, "block": 5}), 0, 10)


def test_a_rerun_runs_only_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for missing in (2, 0):
        options = ["--problem", "macs", "--only", "random search", "--seeds", "2", "--evaluations", "30"]
        main([*options, "--processes", "1", "--out", str(tmp_path)])
        assert capsys.readouterr().err.count("random search  seed") == missing
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["problem"], row["contestant"], row["seeds"]) for row in rows] == [("macs", "random search", "2")]
    assert (tmp_path / "sample_efficiency.png").stat().st_size > 10_000
    assert "NAS-Bench-Macro" in (tmp_path / "tables.md").read_text()


def _front(table: Problem) -> list[int]:
    rows: list[int] = np.flatnonzero(moocore.is_nondominated(table.losses)).tolist()
    return rows + [row for row in range(60) if row not in rows]
