"""Searches as jobs of a Ray cluster, through its job API."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from evonas.errors import ConfigError, JobError
from evonas.jobs import Job, JobServer, JobState, Submission
from evonas.workers.environment import environment
from evonas.workers.ray_cluster import answers, token_source

PORT = 8265
RUN = "evonas_run"
"""The key of a job's metadata that holds its run folder."""
TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging",
)  # fmt: skip
"""Loggers of Ray that would tell the terminal of each upload."""
POLL_SECONDS = 0.5
STOP_SECONDS = 60
"""How long a stopped driver may take to end its search: Ray's 3 s are few for what is under way."""
UPLOAD_BYTES = 100 * 2**20
"""What Ray takes as a working directory."""
ENOUGH = 10
"""By how many times a working directory may be too large before it is measured no further."""


class RayJobs(JobServer):
    """The jobs of the Ray cluster whose dashboard answers at `address` (http://head:8265).

    Without `address`, RAY_API_SERVER_ADDRESS names it. Where there is a token and RAY_AUTH_MODE is unset, the token is
    sent. Raises ConfigError for an address that is none, and JobError where no cluster answers or lets us in.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = job_address(address)
        self._check_answers()
        settings = {"RAY_API_SERVER_ADDRESS": self.address}  # Ray prefers it to the argument
        if token_source() and not os.environ.get("RAY_AUTH_MODE"):
            settings["RAY_AUTH_MODE"] = "token"
        with environment(settings), self._asking():
            from ray.job_submission import JobSubmissionClient

            for name in TALKATIVE:
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = JobSubmissionClient(self.address)

    def submit(self, submission: Submission) -> Job:
        """Upload the working directory and start the job; its id is the run's name with a number."""
        name, needs = submission.run.name, submission.needs
        numbers = [_number(job.id, name) for job in self.jobs()]
        given = dict(submission.environment)
        given["env_vars"] = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **given.get("env_vars", {})}
        given["working_dir"] = str(submission.working_dir)
        _check_upload(submission.working_dir, given.get("excludes", []))
        with self._asking():
            job = self._client.submit_job(
                entrypoint=f"exec {shlex.join(submission.command)}",
                submission_id=f"evonas-{name}-{max(numbers, default=0) + 1}",
                runtime_env=given,
                metadata={RUN: str(submission.run)},
                entrypoint_num_cpus=needs.cpus or None,
                entrypoint_num_gpus=needs.gpus or None,
                entrypoint_memory=int(needs.memory_gib * 2**30) or None,
                entrypoint_resources=dict(needs.others) or None,
            )
        return self._job(job)

    def jobs(self) -> list[Job]:
        """Return the searches that the cluster remembers, the newest first."""
        with self._asking():
            known = self._client.list_jobs()
        searches = [_job(details) for details in known if details.submission_id and RUN in (details.metadata or {})]
        return sorted(searches, key=lambda job: (job.started is None, job.started, job.id), reverse=True)

    def log(self, job: Job) -> str:
        """Return what the job has printed so far."""
        with self._asking():
            return str(self._client.get_job_logs(job.id))

    def follow(self, job: Job, write: Callable[[str], None]) -> Job:
        """Write what the job prints until it ends; a connection that breaks is made again."""
        import aiohttp

        shown = 0

        def show(text: str, offset: int) -> None:
            nonlocal shown
            write(text[max(0, shown - offset) :])
            shown = max(shown, offset + len(text))

        async def tail() -> None:
            offset = 0
            async for text in self._client.tail_job_logs(job.id):
                show(text, offset)
                offset += len(text)

        while True:
            with suppress(RuntimeError, aiohttp.ClientError):
                asyncio.run(tail())
            job = self._job(job.id)
            show(self.log(job), 0)
            if job.state.ended:
                return job
            time.sleep(POLL_SECONDS)

    def stop(self, job: Job) -> Job:
        """Send SIGTERM to the driver, and wait until it has ended."""
        with self._asking():
            self._client.stop_job(job.id)
        while not (job := self._job(job.id)).state.ended:
            time.sleep(POLL_SECONDS)
        return job

    def _job(self, job_id: str) -> Job:
        with self._asking():
            return _job(self._client.get_job_info(job_id))

    def _check_answers(self) -> None:
        url = urlsplit(self.address)
        port = url.port or (443 if url.scheme == "https" else 80)
        if not answers(f"{url.hostname}:{port}"):
            raise JobError(
                f"nothing answers at {self.address}: is it the head's dashboard (port {PORT}), is the head up "
                f"('ray status' there), and is the way to it open? From outside: ssh -L {PORT}:127.0.0.1:{PORT} HEAD, "
                f"then --address http://127.0.0.1:{PORT}"
            )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what Ray's client raises into a JobError that says what to do."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            raise JobError(_locked_out(self.address)) from error
        except (requests.RequestException, ConnectionError) as error:
            raise JobError(
                f"{self.address} does not answer as the dashboard of a Ray cluster does ({_first_line(error)}): give "
                f"the address that 'ray start --head' prints for its dashboard; port 6379 is for pool.address"
            ) from error
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise JobError(f"the Ray cluster at {self.address} refuses: {_first_line(error)}") from error


def job_address(option: str | None) -> str:
    """Return the URL of a cluster's dashboard, from the option or else from the environment."""
    by_ray = os.environ.get("RAY_ADDRESS", "")
    named = option or os.environ.get("RAY_API_SERVER_ADDRESS") or (by_ray if by_ray.startswith("http") else "")
    if not named:
        raise ConfigError(
            f"no cluster is named: say --address http://HEAD:{PORT}, the dashboard of its head, or set "
            f"RAY_API_SERVER_ADDRESS"
        )
    address = (named if "://" in named else f"http://{named}").rstrip("/")
    url = urlsplit(address)
    try:
        valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or PORT) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"'{named}' is no address of a Ray dashboard: it reads http://HEAD:{PORT}")
    return address


def _check_upload(folder: Path, excludes: list[str]) -> None:
    """Raise ConfigError if Ray would not take what it would send of the working directory."""
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    if Path(tempfile.gettempdir()).resolve().is_relative_to(folder):
        raise ConfigError(
            f"the working directory {folder} holds the folder for temporary files: choose a smaller one with "
            f"--working-dir"
        )
    sizes: Counter[str] = Counter()

    def add(path: Path) -> None:
        if path.is_file():
            sizes[path.relative_to(folder).parts[0]] += path.stat().st_size
        if sizes.total() > ENOUGH * UPLOAD_BYTES:
            raise _EnoughError

    quiet = logging.getLogger(f"{__name__}.upload")
    quiet.setLevel(logging.CRITICAL)
    with suppress(_EnoughError):
        _dir_travel(folder, [_get_excludes(folder, excludes)], add, include_gitignore=True, logger=quiet)
    if sizes.total() < UPLOAD_BYTES:
        return
    largest = ", ".join(f"{name} ({_mib(many)})" for name, many in sizes.most_common(3) if many > 2**20)
    size = f"{'more than ' if sizes.total() > ENOUGH * UPLOAD_BYTES else ''}{_mib(sizes.total())}"
    raise ConfigError(
        f"the working directory {folder} has {size}, and Ray takes {_mib(UPLOAD_BYTES)}: the largest in it are "
        f"{largest}; name them in .gitignore or under 'excludes:' of a --runtime-env, put data on the shared storage, "
        f"or choose a smaller --working-dir"
    )


class _EnoughError(Exception):
    """The working directory is so large that the rest of it does not matter."""


def _job(details: Any) -> Job:
    metadata: Mapping[str, str] = details.metadata or {}
    return Job(
        id=details.submission_id,
        run=PurePosixPath(metadata.get(RUN, "")),
        state=JobState(str(details.status).lower()),
        started=_moment(details.start_time),
        ended=_moment(details.end_time),
        message=_message(details),
    )


def _message(details: Any) -> str:
    if details.driver_exit_code == 127:
        return (
            "there is no evonas where the driver runs: install it on the head, and activate its environment before "
            "'ray start'"
        )
    told = re.split(", last available logs", str(details.message or ""))[0]
    return " ".join(told.split())[:300]


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _number(job_id: str, name: str) -> int:
    found = re.fullmatch(rf"evonas-{re.escape(name)}-(\d+)", job_id)
    return int(found[1]) if found else 0


def _locked_out(address: str) -> str:
    source = token_source()
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        sent = f"RAY_AUTH_MODE is {os.environ['RAY_AUTH_MODE']}, so none was sent"
    else:
        sent = f"the one in {source} is not its token" if source else "there is none here"
    return (
        f"the Ray cluster at {address} asks for its token, and {sent}: copy ~/.ray/auth_token of the head to "
        f"~/.ray/auth_token here, or set RAY_AUTH_TOKEN to what it holds, and set RAY_AUTH_MODE=token"
    )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).strip().partition("\n")[0].split())[:300]


def _mib(bytes_: int) -> str:
    return f"{bytes_ / 2**20:.0f} MiB"
