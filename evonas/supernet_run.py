"""Train a supernet in a folder of its own, or go on with one."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evonas import config_supernet
from evonas.component import Component, checked
from evonas.compose import changed_versions, space_and_data, versions
from evonas.config_supernet import CHANGEABLE, SupernetExperiment
from evonas.dataset import Dataset
from evonas.errors import ConfigError, EvonasError, ResourceError, RunFolderError
from evonas.run_folder import LOCK, locked
from evonas.signals import terminable
from evonas.space import SearchSpace
from evonas.supernet_folder import (
    CHECKPOINT,
    HEADER,
    HEADER_DRAFT,
    EpochRecord,
    SupernetHeader,
    read_header,
    read_progress,
    write_header,
)
from evonas.supernet_trainer import SupernetTrainer
from evonas.tracking.training import TrainingTracker

_log = logging.getLogger(__name__)

LOCAL = "evonas.workers.supernets.local_trainer:LocalTrainer"
RAY = "evonas.workers.ray_train:RayTrainer"


@dataclass(frozen=True)
class Prepared:
    """A training whose parts are built and fit each other; the space of its experiment follows the data."""

    experiment: SupernetExperiment
    space: SearchSpace
    data: Dataset
    trainer: SupernetTrainer

    def header(self) -> SupernetHeader:
        """Return what its folder says of it."""
        return SupernetHeader(
            name=self.experiment.name,
            config=self.experiment.plain(),
            config_hash=self.experiment.identity(),
            data_fingerprint=self.data.fingerprint(),
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            space_fingerprint=self.space.fingerprint(),
        )


Watch = Callable[[Prepared, Path], Sequence[TrainingTracker]]
"""Gives the trackers of a training in a folder, besides the experiment's own."""


def prepare(experiment: SupernetExperiment) -> Prepared:
    """Build data, space and trainer, and try a few examples; raise an EvonasError for whatever is wrong with them."""
    fitted, space, data = space_and_data(experiment.space, experiment.data)
    experiment = experiment.model_copy(update={"space": fitted})
    component = Component(LOCAL if experiment.workers == 1 else RAY)
    trainer: SupernetTrainer = component.load()(experiment, data)
    with _enough_memory():
        trainer.check()
    return Prepared(experiment, space, data, trainer)


def run(experiment: SupernetExperiment, path: Path, watch: Watch) -> Sequence[TrainingTracker]:
    """Train in the new folder `path`; return what has watched.

    A training that fails before its first epoch is kept leaves no folder behind.
    """
    prepared = prepare(experiment)
    header = prepared.header()
    trackers = _trackers(prepared, path, watch)
    with _created(path, header.config_hash):
        write_header(path, header)
        _train(prepared, path, header, trackers)
    return trackers


def run_or_resume(experiment: SupernetExperiment, path: Path, watch: Watch) -> Sequence[TrainingTracker]:
    """Train in the folder `path`, or go on there if it holds this very training.

    Raises RunFolderError if the folder holds another one, or if data or libraries have changed since.
    """
    if not (path / HEADER).is_file():
        return run(experiment, path, watch)
    header = read_header(path)
    prepared = prepare(experiment)
    _check_same(path, header, prepared)
    trackers = _trackers(prepared, path, watch)
    with locked(path):
        _train(prepared, path, header, trackers)
    return trackers


def _train(prepared: Prepared, path: Path, header: SupernetHeader, trackers: Sequence[TrainingTracker]) -> None:
    records, listening = list(read_progress(path)), list(trackers)

    def tell(hook: Callable[[TrainingTracker], None]) -> None:
        """Call a hook of every tracker; one that raises hears nothing more, because a tracker stops no training."""
        for tracker in list(listening):
            try:
                hook(tracker)
            except Exception:
                _log.exception("%s is broken and is told nothing more of this training", type(tracker).__name__)
                listening.remove(tracker)

    def each_epoch(record: EpochRecord) -> None:
        if record.epoch <= len(records):
            return  # told already, before a worker was lost
        records.append(record)
        tell(lambda tracker: tracker.epoch(record))

    def each_step(share: float) -> None:
        tell(lambda tracker: tracker.step(share))

    finished = False
    tell(lambda tracker: tracker.started(header, list(records)))
    try:
        with terminable(), _enough_memory():
            prepared.trainer.train(path, header, each_epoch, each_step)
        finished = True
    finally:
        tell(lambda tracker: tracker.closed(finished=finished))


@contextmanager
def _enough_memory() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ResourceError(
            f"the device has too little memory for this training ({error}): lower recipe.batch_size, or raise workers"
        ) from error


def _trackers(prepared: Prepared, path: Path, watch: Watch) -> list[TrainingTracker]:
    """Return the trackers, each after it has checked that it can do its work."""
    trackers = list(watch(prepared, path))
    if prepared.experiment.tracking is not None:
        trackers.append(_tracker(prepared.experiment.tracking, path))
    for tracker in trackers:
        tracker.check()
    return trackers


def _tracker(component: Component, path: Path) -> TrainingTracker:
    tracker: TrainingTracker = checked(component, TrainingTracker).build({"run_folder": path.absolute()})
    return tracker


@contextmanager
def _created(path: Path, identity: str) -> Iterator[None]:
    """Make the folder and hold it; a training that is refused before its first checkpoint leaves it as it was."""
    made = not path.exists()
    _make(path, identity)
    with locked(path):
        _make(path, identity)  # another process may have begun here in the meantime
        try:
            yield
        except EvonasError:
            if made and not (path / CHECKPOINT).exists():
                shutil.rmtree(path, ignore_errors=True)
            raise


def _make(path: Path, identity: str) -> None:
    """Make the folder; if something is there, say what it is and what to do."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise RunFolderError(f"the folder {path} cannot be made: {error.strerror}") from error
    if HEADER in found:
        other = read_header(path)
        same = "holds this very training: continue it with --resume, or name another folder"
        differs = (
            f"belongs to another training ('{other.name}', {other.config_hash}; this one is {identity}): name another"
        )
        raise RunFolderError(f"{path} {same if other.config_hash == identity else differs} with --run")
    if not found <= {LOCK, HEADER_DRAFT}:
        raise RunFolderError(f"{path} exists and holds no supernet of evonas: name another folder with --run")


def _check_same(path: Path, header: SupernetHeader, prepared: Prepared) -> None:
    """Raise RunFolderError unless the folder was begun with this training."""
    if not _begun_with(header, prepared.experiment):
        was, now = _decisive(header.config), _decisive(prepared.experiment.plain())
        changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        raise RunFolderError(
            f"{path} belongs to another training: {', '.join(changed) or 'its config'} would change, and only "
            f"{', '.join(sorted(CHANGEABLE))} may: name another folder with --run"
        )
    for what, then, now_ in (
        ("the data", header.data_fingerprint, prepared.data.fingerprint()),
        ("what the space reads", header.space_fingerprint, prepared.space.fingerprint()),
    ):
        if then != now_:
            raise RunFolderError(
                f"{path}: {what} has changed: the fingerprint was {then}, and now it is {now_}: bring it back, or "
                f"train anew in another folder"
            )
    changed = changed_versions(header.versions)
    if changed:
        raise RunFolderError(
            f"{path} was trained with other versions ({', '.join(changed)}): install those, or train anew in another "
            f"folder"
        )


def _begun_with(header: SupernetHeader, experiment: SupernetExperiment) -> bool:
    """Say whether a training began with this experiment; options that are new since had their defaults there."""
    identity = experiment.identity()
    try:
        return identity == header.config_hash or identity == config_supernet.parse(header.config).identity()
    except ConfigError:  # what it names is not there any more
        return False


def _decisive(config: Mapping[str, Any]) -> dict[str, object]:
    """Return what decides the weights, options of parts one by one (`recipe.epochs`), to tell what differs."""
    decisive: dict[str, object] = {}
    for key, value in config.items():
        if key not in CHANGEABLE:
            parts = value if isinstance(value, Mapping) else {"": value}
            decisive |= {f"{key}.{part}".rstrip("."): plain for part, plain in parts.items()}
    return decisive
