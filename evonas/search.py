"""Run an experiment in a run folder, or resume one from its journal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import yaml

from evonas import config, run_folder
from evonas.compose import Search, prepare
from evonas.config import CHANGEABLE, Experiment
from evonas.controller import Controller, replay
from evonas.early_exit import EarlyExit, Gate
from evonas.errors import ConfigError, EvonasError, JournalError, RunFolderError
from evonas.history import JOURNAL, History
from evonas.journal import Event, Header, Journal
from evonas.pool import WorkerPool
from evonas.reports.result import write_result
from evonas.tracking.base import Tracker

Watch = Callable[[Search, Path], Sequence[Tracker]]
"""Gives the trackers of a search in a run folder, besides the experiment's own."""


def run(
    experiment: Experiment, path: Path | None = None, watch: Watch = lambda search, path: ()
) -> tuple[Path, History]:
    """Search, and return the run folder and what happened there.

    `path` is the folder to make; None makes a new one under the experiment's `runs`. A run that ends with an error
    before its first outcome leaves no folder behind.
    """
    search = prepare(experiment)
    path = path or run_folder.new_path(experiment.runs, experiment.name)
    trackers = _trackers(search, path, watch)
    run_folder.create(path, search.experiment.identity())
    try:
        with run_folder.locked(path):
            header = search.header()
            with closing(Journal.create(path / JOURNAL, header)) as journal:
                (path / "experiment.yaml").write_text(yaml.safe_dump(search.experiment.plain(), sort_keys=False))
                return path, _search(search, path, journal, [header], trackers)
    except EvonasError:
        if _evaluated_nothing(path):
            run_folder.discard(path)
        raise


def resume(
    path: Path, overrides: Sequence[str] = (), watch: Watch = lambda search, path: (), *, force: bool = False
) -> History:
    """Continue the search of a run folder; nothing finished is evaluated again.

    Overrides may change what does not decide the outcome (`pool`, `tracking`) and the length (`evaluations`). Raises
    RunFolderError if the experiment, the data or, unless `force`, a library is not the one that the run began with.
    """
    path = run_folder.find(path)
    with run_folder.locked(path):
        journal, events = Journal.reopen(path / JOURNAL)
        with closing(journal):
            search = _same_search(path, History.replay(events).header, overrides, force=force)
            return _search(search, path, journal, events, _trackers(search, path, watch))


def _same_search(path: Path, header: Header, overrides: Sequence[str], *, force: bool) -> Search:
    """Prepare the search of a header; raise RunFolderError if it is not the same any more."""
    experiment = config.parse(header.config, overrides, origin=str(path))
    if experiment.identity() != header.config_hash:
        raise RunFolderError(_other_experiment(path, experiment, config.parse(header.config)))
    search = prepare(experiment)
    now = search.header()
    if now.data_fingerprint != header.data_fingerprint:
        raise RunFolderError(
            f"{path} was run on other data: its fingerprint is {header.data_fingerprint}, and now it is "
            f"{now.data_fingerprint}: bring the data back, or start a new run"
        )
    changed = [
        f"{name} {was} -> {now.versions.get(name)}"
        for name, was in header.versions.items()
        if now.versions.get(name) != was
    ]
    if changed and not force:
        raise RunFolderError(
            f"{path} was run with other versions ({', '.join(changed)}): install those, or resume with --force and "
            f"accept that results may differ"
        )
    return replace(search, gates=[Gate(**gate) for gate in header.gates])


def _search(
    search: Search, path: Path, journal: Journal, events: Sequence[Event], trackers: Sequence[Tracker]
) -> History:
    history = History.replay(events)
    early_exit = EarlyExit(search.space, search.gates)
    strategy = search.strategy(early_exit)
    replay(strategy, events)
    try:
        if _finished(history, search.experiment.evaluations):
            for tracker in trackers:
                tracker.started(history)
                tracker.closed(history)
            return history
        with closing(_pool(search)) as pool, _terminable():
            controller = Controller(
                strategy=strategy,
                early_exit=early_exit,
                pool=pool,
                journal=journal,
                history=history,
                trackers=trackers,
                evaluations=search.experiment.evaluations,
                max_consecutive_failures=search.experiment.max_consecutive_failures,
            )
            return controller.run()
    finally:
        if history.outcomes:
            write_result(history, search.space, path)


def _finished(history: History, evaluations: int) -> bool:
    spent = len(history.candidates) >= evaluations or history.closed == "exhausted"
    return spent and not history.pending and history.closed is not None


def _pool(search: Search) -> WorkerPool:
    pool = search.experiment.pool.build({"recipe": search.recipe})
    if not isinstance(pool, WorkerPool):
        raise ConfigError(f"pool: {search.experiment.pool.use} is a {type(pool).__name__}, not a WorkerPool")
    return pool


def _trackers(search: Search, path: Path, watch: Watch) -> list[Tracker]:
    """Return the trackers, each after it has checked that it can do its work."""
    trackers = list(watch(search, path))
    if search.experiment.tracking is not None:
        trackers.append(search.experiment.tracking.build({"run_folder": path.absolute(), "space": search.space}))
    for tracker in trackers:
        if not isinstance(tracker, Tracker):
            raise ConfigError(f"tracking: a {type(tracker).__name__} is not a Tracker")
        tracker.check()
    return trackers


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the search as Ctrl-C does; entered after the pool has started, because Ray takes the signal."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _evaluated_nothing(path: Path) -> bool:
    try:
        return not History.read(path).outcomes
    except JournalError:
        return True


def _other_experiment(path: Path, now: Experiment, before: Experiment) -> str:
    was, is_ = before.decisive(), now.decisive()
    changed = [key for key in was if was[key] != is_.get(key)]
    return (
        f"{path} belongs to another experiment: {', '.join(changed) or 'its config'} would change, and only "
        f"{', '.join(sorted(CHANGEABLE))} may (of pool, all but the threads): start a new run with 'evonas run'"
    )
