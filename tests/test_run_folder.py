"""A run folder is made once, found by what a person says, and used by one driver at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from toy import header

from evonas import journal, run_folder
from evonas.errors import ConfigError, RunFolderError
from evonas.history import JOURNAL
from evonas.journal import Journal


def run_at(path: Path, identity: str = "abc") -> Path:
    path.mkdir(parents=True)
    Journal.create(path / JOURNAL, replace(header(), config_hash=identity)).close()
    return path


def test_what_workers_left_goes_with_a_run_that_came_to_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / "file").touch()
        raise ConfigError("before an outcome")

    with pytest.raises(ConfigError), run_folder.created(tmp_path, "abc"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_new_paths_differ_and_sort_by_time(tmp_path: Path) -> None:
    paths = [run_folder.new_path(tmp_path, "toy") for _ in range(3)]
    assert len(set(paths)) == 3, "also for runs that start in the same second"
    assert all(path.parent == tmp_path and path.name.startswith("toy-20") for path in paths)
    assert not list(tmp_path.iterdir()), "nothing is made yet"


def use(path: Path, identity: str = "abc") -> None:
    """Make or take the folder as a driver does."""
    with run_folder.created(path, identity):
        pass


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    use(tmp_path / "runs" / "one")
    assert (tmp_path / "runs" / "one").is_dir()


def test_what_is_there_already_is_refused_and_said(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run")
    with pytest.raises(RunFolderError, match="holds this very search: continue it with 'evonas resume"):
        use(run, "abc")
    with pytest.raises(RunFolderError, match=r"another experiment \('toy', abc; this one is xyz\): name another"):
        use(run, "xyz")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "beach.png").touch()
    with pytest.raises(RunFolderError, match="photos exists and is no run of evonas"):
        use(tmp_path / "photos")
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot be made: Not a directory"):
        use(tmp_path / "file" / "run")


def test_a_driver_killed_before_its_search_began_leaves_a_folder_to_use(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "driver.lock").touch()
    (tmp_path / "run" / "journal.jsonl.new").write_text('{"event":"hea')
    with pytest.raises(RunFolderError, match="ended before its search began: start it with 'evonas run' again"):
        run_folder.find(tmp_path / "run")
    with run_folder.created(tmp_path / "run", "abc"):
        Journal.create(tmp_path / "run" / JOURNAL, header()).close()
    assert len(list(journal.read(tmp_path / "run" / JOURNAL))) == 1


def refused(path: Path) -> None:
    """Begin a search that turns out to be impossible."""
    with run_folder.created(path, "abc"):
        Journal.create(path / JOURNAL, header()).close()
        raise ConfigError("no such device")


def test_a_search_refused_before_its_first_outcome_leaves_things_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, left in ((tmp_path / "new", False), (tmp_path / "empty", True)):
        with pytest.raises(ConfigError):
            refused(path)
        assert path.exists() == left
        assert not left or not list(path.iterdir())


def test_a_second_driver_neither_takes_nor_removes_a_folder_that_is_held(tmp_path: Path) -> None:
    with run_folder.created(tmp_path / "run", "abc"):
        with pytest.raises(RunFolderError, match="in use by another"):
            use(tmp_path / "run")
        Journal.create(tmp_path / "run" / JOURNAL, header()).close()
    assert (tmp_path / "run" / JOURNAL).exists()


def test_the_newest_run_is_meant_when_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="there is no run under"):
        run_folder.find(None, tmp_path)
    older, newer = run_at(tmp_path / "b"), run_at(tmp_path / "a")
    os.utime(older / JOURNAL, (1, 1))
    assert run_folder.find(None, tmp_path) == newer
    assert run_folder.find(older) == older


def test_a_misspelt_run_is_told_the_nearest(tmp_path: Path) -> None:
    run = run_at(tmp_path / "toy-1")
    with pytest.raises(RunFolderError, match=f"it has no journal.jsonl; did you mean '{run}'"):
        run_folder.find(tmp_path / "toy-l")


def test_a_folder_serves_one_driver_and_is_free_when_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from evonas.run_folder import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('locked', flush=True); time.sleep(300)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    with other, other.stdout:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunFolderError, match="in use by another evonas"), run_folder.locked(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    began = time.monotonic()
    with run_folder.locked(tmp_path):
        assert time.monotonic() - began < 60
    with run_folder.locked(tmp_path):
        pass
