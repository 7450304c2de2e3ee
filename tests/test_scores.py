"""Scores come from run folders and tables, canonical networks once each, and never from a test split."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import write_experiment
from scipy.stats import norm
from synthetic import IntegerSpace
from toy import ToySpace, header

from evonas import config, search
from evonas.errors import EvonasError
from evonas.evaluation import Candidate, Evaluation, Source
from evonas.history import JOURNAL
from evonas.journal import Asked, Finished, Journal
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


def test_of_a_network_that_climbed_the_scores_of_its_highest_fidelity_are_taken(tmp_path: Path) -> None:
    low = Candidate(0, (0, 0, 0, 0), 0, budget=1)
    high = Candidate(1, low.genome, 0, parents=(0,))
    measured = [
        Evaluation(low, {"valid_error": 0.9, "early": 0.1, "params": 9.0}, Source.TRAINED, 1.0, 0),
        Evaluation(high, {"valid_error": 0.2, "params": 9.0}, Source.TRAINED, 5.0, 0),
    ]
    genes = {gene.name: [str(option) for option in gene.options] for gene in SPACE.genes}
    with closing(Journal.create(tmp_path / JOURNAL, replace(header(), genes=genes))) as journal:
        journal.append([Asked([low, high], {}), *(Finished(each, 1.0) for each in reversed(measured))])
    scores = read_scores(tmp_path, SPACE, ["valid_error", "early"])
    assert list(scores.genomes) == [low.genome]
    assert {name: column.tolist() for name, column in scores.columns.items()} == {"valid_error": [0.2], "early": [0.1]}


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
