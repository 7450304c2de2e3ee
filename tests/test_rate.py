"""The race of two searches: where the one that may stop early stops, and what is not searched again."""

from __future__ import annotations

from pathlib import Path

import pytest
from one_thread import one_thread  # noqa: F401
from rate import NSGA_NET, arrival, main

from evonas.history import JOURNAL, History

SMALL = [
    "data={use: evonas.workers.datasets:digits}",
    "space.channels=2",
    "space.layers=3",
    "evaluator.epochs=1",
    "pool={use: evonas.workers.local_pool:LocalPool}",
    "evaluations=10",
]


def test_a_strategy_stops_where_it_has_the_hypervolume_and_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seeds", "1", "--runs", str(tmp_path), "--strategy", NSGA_NET, "--scored", "6", *SMALL]
    main(options)
    paths = [tmp_path / "seed-0" / name for name in ("nsga2", "strategy", "scored", "warm")]
    histories = [History.read(path) for path in paths]
    baseline, strategy, scored, warm = histories
    target = baseline.front.hypervolume
    assert strategy.front.hypervolume == target, "the same search, but cut"
    assert arrival(paths[1], target) == strategy.elapsed
    assert len(strategy.evaluations) < len(baseline.evaluations) == 10
    assert arrival(paths[0], 1.01 * target) is None
    best = {member.candidate.genome for member in scored.front.members}
    assert set(map(tuple, warm.header.warm_start[: len(best)])) == best
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()[1:4]]
    assert [row[1] for row in rows] == ["NSGA-II", "strategy", "warm"]
    assert float(rows[1][-1]) == pytest.approx(baseline.elapsed / strategy.elapsed, abs=0.005)
    reached = arrival(paths[3], target)
    sooner = "never" if reached is None else f"{baseline.elapsed / (scored.elapsed + reached):.2f}"
    assert rows[2][-1] == sooner
    journals = [(path / JOURNAL).read_bytes() for path in paths]
    main(options)
    assert capsys.readouterr().out == said
    assert journals == [(path / JOURNAL).read_bytes() for path in paths]
