"""Run an experiment in a run folder, or resume one from its journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import yaml

from evonas import config, run_folder
from evonas.cache import Cache
from evonas.cached_pool import CachedPool
from evonas.component import Component, checked
from evonas.compose import Search, changed_versions, prepare
from evonas.config import CHANGEABLE, Experiment
from evonas.controller import Controller, replay
from evonas.early_exit import EarlyExit, static_gates
from evonas.errors import ConfigError, RunFolderError
from evonas.forecast import take_along
from evonas.history import JOURNAL, History
from evonas.journal import Continued, Event, Header, Journal
from evonas.parent_pool import ParentPool
from evonas.plateau import Plateau
from evonas.pool import WorkerPool
from evonas.reports.result import write_result
from evonas.signals import terminable
from evonas.space import Genome
from evonas.strategies.base import Strategy
from evonas.tracking.base import Tracker

_log = logging.getLogger(__name__)

LISTED = "evonas.strategies.listed:Listed"
FORCE = "resume with --force and accept that results may differ"

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
    header = search.header()
    path = path or run_folder.new_path(experiment.runs, experiment.name)
    trackers = _trackers(search, path, watch)
    with run_folder.created(path, header.config_hash), closing(Journal.create(path / JOURNAL, header)) as journal:
        try:
            (path / "experiment.yaml").write_text(yaml.safe_dump(search.experiment.plain(), sort_keys=False))
        except OSError as error:
            raise RunFolderError(f"{path} cannot be written: {error.strerror}") from error
        take_along(search.experiment, path)
        return path, _search(search, path, journal, History(header), [], trackers)


def resume(
    path: Path, overrides: Sequence[str] = (), watch: Watch = lambda search, path: (), *, force: bool = False
) -> History:
    """Continue the search of a run folder; nothing finished is evaluated again.

    Overrides may change what does not decide the outcome (`pool`, `tracking`) and the length (`evaluations`); they are
    journaled, and hold until others replace them. A prolonged search equals one that was as long from the start if it
    was prolonged between generations. Raises RunFolderError if the experiment, the data or, unless `force`, a library
    is not the one that the run began with.
    """
    path = run_folder.find(path)
    return _resume(path, lambda history: config.parse(history.config, overrides, origin=str(path)), watch, force=force)


def run_or_resume(experiment: Experiment, path: Path, watch: Watch = lambda search, path: ()) -> History:
    """Search in the folder `path`, or continue there if it holds this very search, as for jobs that are started again.

    What may change on resuming is then as the experiment says. Raises RunFolderError if the folder holds another one.
    """
    if (path / JOURNAL).is_file():
        header = History.read(path).header
        first = [tuple(genome) for genome in header.warm_start]
        complete = prepare(experiment, first).experiment  # its space follows the data
        if _begun_with(header, complete):
            return _resume(path, lambda history: complete, watch, force=False)
    return run(experiment, path, watch)[1]


def evaluate_listed(
    experiment: Experiment, genomes: Sequence[Genome], path: Path, watch: Watch = lambda search, path: ()
) -> History:
    """Evaluate canonical genomes as `experiment` says, in a run folder of their own, and return what it holds then.

    The folder is begun, or continued: what has an outcome there is not evaluated again, and more may be listed each
    time. The experiment's strategy and length are those of the list. Raises RunFolderError if the folder holds another
    experiment, or was begun with other data or versions.
    """
    begun = _listing(experiment, [])
    if not (path / JOURNAL).is_file():
        header = prepare(begun).header()
        with run_folder.created(path, header.config_hash):
            Journal.create(path / JOURNAL, header).close()
    with run_folder.locked(path):
        journal, events = Journal.reopen(path / JOURNAL)
        with closing(journal):
            history = History.replay(events)
            as_long = begun.model_copy(update={"evaluations": max(1, len(history.candidates))})
            search = _same_search(path, history, as_long, f"remove {path} and evaluate its networks anew")
            all_listed = dict.fromkeys([*(c.genome for c in history.candidates.values()), *genomes])
            search = replace(search, experiment=_listing(search.experiment, list(all_listed)))
            return _continue(search, path, journal, history, events, watch)


def _listing(experiment: Experiment, genomes: Sequence[Genome]) -> Experiment:
    strategy = Component(LISTED, {"genomes": [list(genome) for genome in genomes]})
    return experiment.model_copy(update={"strategy": strategy, "evaluations": max(1, len(genomes))})


def _resume(path: Path, continued: Callable[[History], Experiment], watch: Watch, *, force: bool) -> History:
    with run_folder.locked(path):
        journal, events = Journal.reopen(path / JOURNAL)
        with closing(journal):
            history = History.replay(events)
            search = _same_search(path, history, continued(history), None if force else FORCE)
            return _continue(search, path, journal, history, events, watch)


def _continue(
    search: Search, path: Path, journal: Journal, history: History, events: Sequence[Event], watch: Watch
) -> History:
    """Note in the journal what has changed in the experiment, and search on."""
    trackers = _trackers(search, path, watch)
    if search.experiment.plain() != history.config:
        changed = Continued(search.experiment.plain())
        journal.append([changed])
        history.apply(changed)
    return _search(search, path, journal, history, events, trackers)


def _same_search(path: Path, history: History, experiment: Experiment, way_out: str | None) -> Search:
    """Prepare the search of a journal again; raise RunFolderError if it is not the same any more.

    `way_out` is what to do about other versions, besides installing the old ones; they are no reason if it is None.
    """
    header = history.header
    if experiment.evaluations != history.config["evaluations"] and experiment.evaluations < history.asked:
        raise RunFolderError(f"{path} has {history.asked} candidates: 'evaluations' cannot be less")
    if not _begun_with(header, experiment):
        raise RunFolderError(_other_experiment(path, experiment, config.parse(history.config)))
    search = prepare(experiment, [tuple(genome) for genome in header.warm_start])
    data_fingerprint = search.data.fingerprint() if search.data else None
    if data_fingerprint != header.data_fingerprint:
        raise RunFolderError(
            f"{path} was run on other data: its fingerprint is {header.data_fingerprint}, and now it is "
            f"{data_fingerprint}: bring the data back, or start a new run"
        )
    for part, read_then, reads_now in (
        ("space", header.space_fingerprint, search.space.fingerprint()),
        ("evaluator", header.evaluator_fingerprint, search.evaluator_fingerprint()),
        ("strategy", header.strategy_fingerprint, search.strategy(EarlyExit(search.space, ())).fingerprint()),
    ):
        if read_then is not None and reads_now != read_then:
            raise RunFolderError(
                f"{path}: what its {part} reads has changed: the fingerprint was {read_then}, and now it is "
                f"{reads_now}: bring the file back, or start a new run"
            )
    changed = changed_versions(header.versions)
    if changed and way_out:
        raise RunFolderError(f"{path} was run with other versions ({', '.join(changed)}): install those, or {way_out}")
    return replace(search, gates=static_gates(header))


def _begun_with(header: Header, experiment: Experiment) -> bool:
    """Say whether a run began with this experiment; options that have been added since had their defaults there."""
    identity = experiment.identity()
    try:
        return identity == header.config_hash or identity == config.parse(header.config).identity()
    except ConfigError:  # what it names is not there any more
        return False


def _search(
    search: Search,
    path: Path,
    journal: Journal,
    history: History,
    events: Sequence[Event],
    trackers: Sequence[Tracker],
) -> History:
    """Search on from `history`, which `events` have led to."""
    early_exit = EarlyExit(search.space, search.gates)
    strategy = search.strategy(early_exit)
    replay(strategy, events)
    try:
        if _finished(history, search.experiment.evaluations):
            for tracker in trackers:
                tracker.started(history)
                tracker.closed(history)
            return history
        with (
            terminable(),
            closing(_pool(search, path, history)) as pool,
            terminable(),
        ):  # Ray takes the signal when it starts
            _warn_of_idle_workers(strategy, pool)
            controller = Controller(
                strategy=strategy,
                early_exit=early_exit,
                pool=pool,
                journal=journal,
                history=history,
                trackers=trackers,
                evaluations=search.experiment.evaluations,
                max_consecutive_failures=search.experiment.max_consecutive_failures,
                plateau=_plateau(search),
            )
            return controller.run()
    finally:
        if history.outcomes:
            _write_result(history, search, path)


def _plateau(search: Search) -> Plateau | None:
    wanted = search.experiment.plateau
    if wanted is None:
        return None
    return Plateau(search.goals, search.experiment.seed, **wanted.model_dump())


def _write_result(history: History, search: Search, path: Path) -> None:
    """Write what the journal says in other words; that it cannot be written is no reason to fail, nor to hide one."""
    try:
        write_result(history, search.space, path)
    except OSError as error:
        _log.warning(
            "the results cannot be written into %s (%s), which holds all that they are made of: mend that, and "
            "'evonas front %s' writes them", path, error.strerror, path,
        )  # fmt: skip


def _warn_of_idle_workers(strategy: Strategy, pool: WorkerPool) -> None:
    if strategy.most_open is not None and strategy.most_open < pool.capacity:
        _log.warning(
            "%d of %d workers can be used: the strategy commits outcomes in order, and has no more than %d candidates "
            "open; raise strategy.lag, or say strategy.deterministic=false where it is an option",
            strategy.most_open, pool.capacity, strategy.most_open,
        )  # fmt: skip


def _finished(history: History, evaluations: int) -> bool:
    spent = history.asked >= evaluations or history.closed == "exhausted"
    return spent and not history.pending and history.closed is not None


def _pool(search: Search, path: Path, history: History) -> WorkerPool:
    """Return the pool of the experiment, behind the cache that it names, or what children need to inherit."""
    cache = None if search.experiment.cache is None else Cache(search.experiment.cache)
    supplies = {"recipe": replace(search.recipe, run_folder=path.absolute()), "shared": search.shared}
    pool: WorkerPool = checked(search.experiment.pool, WorkerPool).build(supplies)
    if cache is None:
        return ParentPool(pool, history.outcomes) if search.evaluator.inherits else pool
    if search.evaluator.inherits:
        raise ConfigError(
            f"'cache' keeps evaluations that follow from network, seed and options, and those of "
            f"{search.experiment.evaluator.use} depend on what the search bred before: say cache=null, or let it "
            f"inherit nothing"
        )
    if type(pool).clock is not WorkerPool.clock:
        raise ConfigError(
            f"'cache' keeps evaluations with the time that they took, and {search.experiment.pool.use} only pretends "
            f"to take time: say cache=null"
        )
    needed = {*search.goals.metrics, *(constraint.metric for constraint in search.goals.constraints)}
    return CachedPool(pool, cache, search.audited, search.evaluation_facts(), needed, path.name)


def _trackers(search: Search, path: Path, watch: Watch) -> list[Tracker]:
    """Return the trackers, each after it has checked that it can do its work."""
    trackers = list(watch(search, path))
    if search.experiment.tracking is not None:
        component = checked(search.experiment.tracking, Tracker)
        trackers.append(component.build({"run_folder": path.absolute(), "space": search.space}))
    for tracker in trackers:
        tracker.check()
    return trackers


def _other_experiment(path: Path, now: Experiment, before: Experiment) -> str:
    was, is_ = before.decisive(), now.decisive()
    changed = [key for key in {**was, **is_} if was.get(key) != is_.get(key)]
    return (
        f"{path} belongs to another experiment: {', '.join(changed) or 'its config'} would change, and only "
        f"{', '.join(sorted(CHANGEABLE))} may (of pool, all but the threads and the kind of device): start a new run "
        f"with 'evonas run'"
    )
