"""A disk that fills under a search: it ends, says so, and goes on when there is room."""

from __future__ import annotations

from pathlib import Path

from commands import EVONAS, evonas, write_experiment
from private_mount import in_a_namespace
from test_search import facts

from evonas.history import History


def test_a_search_whose_disk_is_full_ends_plainly_and_resumes_when_there_is_room(tmp_path: Path) -> None:
    experiment = write_experiment(tmp_path)
    (tmp_path / "run").mkdir()
    filled = in_a_namespace(
        f"""
        mount -t tmpfs -o size=12k tmpfs run
        {EVONAS} run {experiment} --run run; echo "ended with $?"
        mkdir before; cp run/journal.jsonl before
        mount -o remount,size=8m run
        {EVONAS} resume run && cp -r run after
        """,
        cwd=tmp_path,
    )
    assert filled.returncode == 0, filled.stderr
    assert "ended with 2" in filled.stdout
    assert "journal.jsonl cannot be written: No space left on device: mend that and resume" in filled.stderr
    assert "Traceback" not in filled.stderr
    before, after = History.read(tmp_path / "before"), History.read(tmp_path / "after")
    assert 0 < len(before.outcomes) < 60
    assert before.outcomes.items() <= after.outcomes.items()
    assert evonas("run", experiment, "--run", "whole", cwd=tmp_path).returncode == 0
    assert facts(tmp_path / "after") == facts(tmp_path / "whole")


def test_results_that_do_not_fit_on_the_disk_are_written_later(tmp_path: Path) -> None:
    experiment = write_experiment(tmp_path, evaluations=36)
    (tmp_path / "run").mkdir()
    done = in_a_namespace(
        f"""
        mount -t tmpfs -o size=24k tmpfs run
        {EVONAS} run {experiment} --run run && ls run/front.json
        mount -o remount,size=8m run
        {EVONAS} front run && cp -r run after
        """,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "the results cannot be written into run (No space left on device)" in done.stderr
    assert "cannot access 'run/front.json'" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "after" / "front.json").exists()
