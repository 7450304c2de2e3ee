"""A job is found by the name of its run, its folder or its id, and a folder has one job at a time."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from evonas.errors import JobError, RunFolderError
from evonas.jobs import Job, JobState, check_free, find

DIGITS, OTHER = PurePosixPath("/shared/runs/digits"), PurePosixPath("/shared/runs/other")
JOBS = [
    Job("evonas-digits-2", DIGITS, JobState.RUNNING),
    Job("evonas-other-1", OTHER, JobState.STOPPED),
    Job("evonas-digits-1", DIGITS, JobState.FAILED),
]


@pytest.mark.parametrize("name", ["digits", "/shared/runs/digits", "evonas-digits-2"])
def test_a_run_means_its_newest_job(name: str) -> None:
    assert find(JOBS, name) is JOBS[0]


def test_an_older_job_is_found_by_its_id() -> None:
    assert find(JOBS, "evonas-digits-1") is JOBS[2]


def test_an_unknown_run_is_answered_with_the_nearest() -> None:
    with pytest.raises(JobError, match="no run 'digit'; did you mean 'digits'"):
        find(JOBS, "digit")
    with pytest.raises(JobError, match="no run 'digit': nothing was submitted since it was started"):
        find([], "digit")


def test_a_name_that_two_folders_have_must_be_told_apart() -> None:
    elsewhere = Job("evonas-digits-3", PurePosixPath("/scratch/digits"), JobState.PENDING)
    with pytest.raises(JobError, match="say which, /scratch/digits or /shared/runs/digits"):
        find([elsewhere, *JOBS], "digits")


def test_a_folder_is_free_when_its_jobs_have_ended() -> None:
    check_free(JOBS, OTHER)
    with pytest.raises(RunFolderError, match=r"evonas-digits-2 searches in /shared/runs/digits already, it is running"):
        check_free(JOBS, DIGITS)
