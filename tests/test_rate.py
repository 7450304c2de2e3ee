"""The race of two searches: where the one that may stop early stops, and what is not searched again."""

from __future__ import annotations

from pathlib import Path

import pytest
from one_thread import one_thread  # noqa: F401
from rate import NSGA_NET, arrival, main

from evonas.history import JOURNAL, History

SMALL = [
    "data={use: evonas.workers.datasets:digits}",
    "space.stages=1",
    "evaluator.epochs=1",
    "pool={use: evonas.workers.local_pool:LocalPool}",
    "evaluations=10",
]


def test_a_strategy_stops_where_it_has_the_hypervolume_and_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seeds", "1", "--runs", str(tmp_path), "--strategy", NSGA_NET, *SMALL]
    main(options)
    baseline, strategy = tmp_path / "seed-0" / "nsga2", tmp_path / "seed-0" / "strategy"
    hypervolume = History.read(baseline).front.hypervolume
    first, reached = arrival(baseline, hypervolume), arrival(strategy, hypervolume)
    assert first is not None
    assert reached is not None
    assert reached.evaluations == first.evaluations == len(History.read(strategy).outcomes)  # the same search, but cut
    assert first.evaluations < 10
    assert arrival(baseline, 1.01 * hypervolume) is None
    said = capsys.readouterr().out
    journals = [(path / JOURNAL).read_bytes() for path in (baseline, strategy)]
    main(options)
    assert capsys.readouterr().out == said
    assert journals == [(path / JOURNAL).read_bytes() for path in (baseline, strategy)]
