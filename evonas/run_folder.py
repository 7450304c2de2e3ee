"""The folder of a run: made once, used by one driver at a time."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from evonas.errors import EvonasError, JournalError, RunFolderError, nearest
from evonas.history import JOURNAL, History
from evonas.journal import TEMPORARY

LOCK = "driver.lock"
UNBORN = frozenset({LOCK, JOURNAL + TEMPORARY})


def new_path(runs: Path, name: str) -> Path:
    """Return a path for a new run of the experiment `name`: it sorts by time, and runs started together differ."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return runs / f"{name}-{stamp}-{secrets.token_hex(2)}"


@contextmanager
def created(path: Path, identity: str) -> Iterator[None]:
    """Make the folder and hold it; a search that is refused before its first outcome leaves it as it was."""
    made = not path.exists()
    _make(path, identity)
    with locked(path):
        _make(path, identity)  # another driver may have begun here in the meantime
        try:
            yield
        except EvonasError:
            if _evaluated_nothing(path):
                _discard(path, whole=made)
            raise


def _make(path: Path, identity: str) -> None:
    """Make the folder; if something is there, say what it is and what to do."""
    if not path.exists():
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise RunFolderError(f"the run folder {path} cannot be made: {error.strerror}") from error
        return
    if not (path / JOURNAL).exists():
        if path.is_dir() and {entry.name for entry in path.iterdir()} <= UNBORN:
            return  # empty, or what a driver leaves that is killed before its search begins
        raise RunFolderError(f"{path} exists and is no run of evonas: name another folder with --run")
    other = History.read(path).header
    if other.config_hash == identity:
        raise RunFolderError(f"{path} holds this very search: continue it with 'evonas resume {path}', or name another")
    raise RunFolderError(
        f"{path} belongs to another experiment ('{other.name}', {other.config_hash}; this one is {identity}): "
        f"name another folder with --run, or none to get a new one"
    )


def find(path: Path | None, runs: Path = Path("runs")) -> Path:
    """Return the run folder that a person means: `path`, or else the newest under `runs`."""
    if path is None:
        found = sorted(runs.glob(f"*/{JOURNAL}"), key=lambda journal: journal.stat().st_mtime)
        if not found:
            raise RunFolderError(
                f"there is no run under {runs}/: start one with 'evonas run EXPERIMENT', or name its folder"
            )
        return found[-1].parent
    if not (path / JOURNAL).is_file():
        if path.is_dir() and LOCK in {entry.name for entry in path.iterdir()} <= UNBORN:
            raise RunFolderError(f"{path}: this run ended before its search began: start it with 'evonas run' again")
        known = [str(journal.parent) for journal in path.parent.glob(f"*/{JOURNAL}")]
        raise RunFolderError(f"{path} is no run folder: it has no {JOURNAL}{nearest(str(path), known)}")
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder for one driver; the lock ends with the process, however that ends."""
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunFolderError(f"{path} is in use by another evonas on this machine: wait for it, or stop it") from None
    except OSError as error:
        raise RunFolderError(f"{path} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _evaluated_nothing(path: Path) -> bool:
    try:
        return not History.read(path).outcomes
    except JournalError:
        return True


def _discard(path: Path, whole: bool) -> None:
    if whole:
        shutil.rmtree(path, ignore_errors=True)
        return
    for entry in path.iterdir():  # the folder was empty: all in it is ours
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
