"""Scores come from run folders and tables, canonical networks once each, and never from a test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import write_experiment
from scipy.stats import norm
from synthetic import IntegerSpace
from toy import ToySpace

from evonas import config, search
from evonas.errors import EvonasError
from evonas.proxies.scores import Scores, read_scores

SPACE = ToySpace(length=4)
TABLE = "g0,g1,g2,g3,synflow,test_synflow\n0,1,2,0,3.0,1\n0,0,0,2,5.0,1\n1,1,2,2,,1\n2,1,0,0,1.0,1\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "scores.csv").write_text(TABLE)
    return tmp_path / "scores.csv"


def test_a_tables_rows_are_canonical_networks_once_each(table: Path) -> None:
    scores = read_scores(table, SPACE, ["synflow"])
    assert list(scores.genomes) == [(0, 0, 0, 2), (1, 1, 2, 2), (2, 1, 0, 0)]
    assert scores.columns["synflow"][0] == 3.0, "of equal networks the first row counts"
    assert np.isnan(scores.columns["synflow"][1])


def test_a_run_gives_metrics_and_static_costs_of_what_it_evaluated(tmp_path: Path) -> None:
    run, history = search.run(config.load(write_experiment(tmp_path, evaluations=12)), tmp_path / "run")
    scores = read_scores(run, IntegerSpace(), ["valid_error", "params"])
    found = {e.candidate.genome: (e.metrics["valid_error"], e.metrics["params"]) for e in history.evaluations}
    assert dict(zip(scores.genomes, zip(*scores.columns.values(), strict=True), strict=True)) == found
    with pytest.raises(EvonasError, match="no score 'valid_eror'; did you mean 'valid_error'"):
        read_scores(run, IntegerSpace(), ["valid_eror"])
    with pytest.raises(EvonasError, match="other genes"):
        read_scores(run, SPACE, ["params"])


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "no column is named"), (["test_synflow"], "test split"), (["sinflow"], "did you mean 'synflow'")],
)
def test_bad_names_are_refused(table: Path, names: list[str], message: str) -> None:
    with pytest.raises(EvonasError, match=message):
        read_scores(table, SPACE, names)


def test_what_is_no_run_and_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvonasError, match="no run folder"):
        read_scores(tmp_path / "nothing", SPACE, ["synflow"])


def test_normal_scores_are_quantiles_of_ranks_and_what_is_missing_is_lowest() -> None:
    column = np.array([3.0, 1e9, np.nan, 3.0])
    scores = Scores([(0,), (1,), (2,), (3,)], {"a": column}).normal()[:, 0]
    assert np.allclose(norm.cdf(scores) * 4 - 0.5, [1.5, 3.0, 0.0, 1.5])
