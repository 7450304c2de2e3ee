"""Searches as jobs of a cluster: what is submitted, what is known of it, and who is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from evonas.errors import JobError, RunFolderError, nearest


class JobState(StrEnum):
    """How far a job is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether it stays like this."""
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the cluster sets aside for the driver; its workers ask for their own."""

    cpus: float = 0.0
    gpus: float = 0.0
    memory_gib: float = 0.0
    others: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a cluster is given: a command that runs in a copy of `working_dir` and searches in the folder `run`.

    `environment` is the runtime environment of the job (env_vars, pip, excludes, ...). `run` is absolute, and lies on
    storage that the machine of the driver sees.
    """

    run: PurePosixPath
    command: Sequence[str]
    working_dir: Path
    environment: Mapping[str, Any] = field(default_factory=dict)
    needs: Needs = Needs()


@dataclass(frozen=True, slots=True)
class Job:
    """A submitted search; `message` tells in a line why it is as it is."""

    id: str
    run: PurePosixPath
    state: JobState
    started: datetime | None = None
    ended: datetime | None = None
    message: str = ""


class JobServer(ABC):
    """Takes searches and runs them on a cluster; every method raises JobError where the cluster does not answer."""

    @abstractmethod
    def submit(self, submission: Submission) -> Job:
        """Hand a search over; raises JobError for what the cluster cannot take."""

    @abstractmethod
    def jobs(self) -> list[Job]:
        """Return the searches that were submitted, the newest first."""

    @abstractmethod
    def log(self, job: Job) -> str:
        """Return what the job has printed so far."""

    @abstractmethod
    def follow(self, job: Job, write: Callable[[str], None]) -> Job:
        """Write what the job prints until it ends, and return how it ended."""

    @abstractmethod
    def stop(self, job: Job) -> Job:
        """End the job as Ctrl-C would, and return it when it has ended."""


def find(jobs: Sequence[Job], name: str) -> Job:
    """Return the newest job that `name` means: the name of a run, its folder, or the id of a job."""
    meant = [job for job in jobs if name in (job.id, job.run.name, str(job.run))]
    folders = sorted({str(job.run) for job in meant})
    if len(folders) > 1:
        raise JobError(f"'{name}' is the name of several runs: say which, {' or '.join(folders)}")
    if not meant:
        known = {job.run.name for job in jobs} | {job.id for job in jobs}
        raise JobError(
            f"the cluster knows no run '{name}'{nearest(name, known) or ': nothing was submitted since it was started'}"
        )
    return meant[0]


def check_free(jobs: Sequence[Job], run: PurePosixPath) -> None:
    """Raise RunFolderError if a job searches in the folder now."""
    for job in jobs:
        if job.run == run and not job.state.ended:
            raise RunFolderError(
                f"the job {job.id} searches in {run} already, it is {job.state}: see it with 'evonas logs {run.name}', "
                f"or end it with 'evonas stop {run.name}' and submit again: the search then goes on where it was"
            )
