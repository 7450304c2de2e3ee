"""The race of two searches: where the one that may stop early stops, and what is not searched again."""

from __future__ import annotations

from pathlib import Path

import pytest
from one_thread import one_thread  # noqa: F401
from rate import NSGA_NET, arrival, main

from evonas.errors import EvonasError
from evonas.history import JOURNAL, History

SMALL = [
    "data={use: evonas.workers.datasets:digits, train_size: 400}",
    "space.channels=2",
    "space.layers=3",
    "evaluator.epochs=1",
    "pool={use: evonas.workers.local_pool:LocalPool}",
    "objectives=[valid_error, final_params]",
    "evaluations=10",
]


def test_a_strategy_stops_where_it_has_the_hypervolume_and_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--seeds", "1", "--runs", str(tmp_path), "--strategy", NSGA_NET, "--scored", "6", *SMALL]
    main(options)
    paths = [tmp_path / "seed-0" / name for name in ("nsga2", "strategy", "scored-6", "warm-6")]
    histories = [History.read(path) for path in paths]
    baseline, strategy, scored, warm = histories
    target = baseline.front.hypervolume
    assert strategy.front.hypervolume == target
    same = zip(strategy.evaluations, baseline.evaluations, strict=False)
    assert all(cut.candidate == whole.candidate for cut, whole in same), "the same search, but cut"
    assert arrival(paths[1], target) == strategy.elapsed
    assert (baseline.closed, strategy.closed) == ("budget", None), "it ended like one that is interrupted"
    assert len(strategy.evaluations) < len(baseline.evaluations) == 10
    assert arrival(paths[0], 1.01 * target) is None
    best = {member.candidate.genome for member in scored.front.members}
    assert set(map(tuple, warm.header.warm_start[: len(best)])) == best
    said = capsys.readouterr().out
    rows = {line[4:18].strip(): line.split()[-1] for line in said.splitlines()[1:5]}
    first, reached = arrival(paths[0], target), arrival(paths[3], target)
    assert first is not None
    sooner = "never" if reached is None else f"{first / (scored.elapsed + reached):.2f}"
    assert rows["strategy"] == f"{first / strategy.elapsed:.2f}"
    assert (rows["NSGA-II"], rows["warm"], rows["warm NSGA-II"] == "never") == ("1", sooner, sooner == "never")
    journals = [(path / JOURNAL).read_bytes() for path in paths]
    main(options)
    assert capsys.readouterr().out == said
    assert journals == [(path / JOURNAL).read_bytes() for path in paths]


def test_what_cannot_be_raced_is_told(tmp_path: Path) -> None:
    options = ["--seeds", "1", "--runs", str(tmp_path), "--strategy", NSGA_NET, *SMALL, "evaluations=2"]
    with pytest.raises(EvonasError, match="nothing that is better than the objectives' worst values"):
        main([*options, "objectives=[{metric: valid_error, worst: 0.0}, final_params]"])
    with pytest.raises(EvonasError, match="no objective is counted"):
        main([*options, "objectives=[{metric: valid_error}]", "--runs", str(tmp_path / "error")])
