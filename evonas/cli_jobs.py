"""The commands for searches on a cluster: `evonas submit | status | logs | stop`."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evonas.errors import ConfigError

if TYPE_CHECKING:
    from evonas.jobs import Job, JobServer, JobState

SERVER = "evonas.workers.ray_jobs:RayJobs"

Address = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The dashboard of the cluster's head; RAY_API_SERVER_ADDRESS when left out."),
]
Name = Annotated[str, typer.Argument(metavar="RUN", help="The name of a run, its folder, or the id of a job.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (submit, status, logs, stop):
        app.command()(command)


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment inside the working directory.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE ...", help="Values that replace the file's.")
    ] = None,
    address: Address = None,
    runs: Annotated[
        str | None,
        typer.Option(help="The folder on the cluster's storage that holds runs; this one is called as the experiment."),
    ] = None,
    run: Annotated[str | None, typer.Option(help="The run folder itself, in place of --runs.")] = None,
    working_dir: Annotated[
        Path | None, typer.Option(help="What the job needs of this machine: your modules; the current folder.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME[=VALUE]", help="A variable of driver and workers (repeat)."),
    ] = None,
    pip: Annotated[
        list[str] | None, typer.Option(metavar="PACKAGE", help="A package to install for the job (repeat).")
    ] = None,
    runtime_env: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Ray runtime environment as YAML or JSON.")
    ] = None,
    cpus: Annotated[float, typer.Option(min=0, help="CPUs set aside for the driver.")] = 0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs set aside for the driver (workers: pool.gpus).")] = 0,
    memory: Annotated[float, typer.Option(min=0, metavar="GIB", help="Memory set aside for the driver.")] = 0,
    resource: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=AMOUNT", help="A resource of yours that the driver needs (repeat)."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print the job's log until it ends.")] = False,
) -> None:
    """Search as a job of a Ray cluster, which goes on when this machine is gone.

    The experiment is checked here, the working directory is sent, and the head runs the search on the cluster's
    workers. Submitted again after it was stopped, lost or finished, the same run is resumed: nothing is evaluated
    twice, and the pool, the tracking and the number of evaluations may have changed. With --follow it exits with 0
    when the search is complete, 1 when it failed, 130 when it was stopped. docs/cluster.md tells how to get a cluster.
    """
    from evonas import jobs, submission

    needs = jobs.Needs(cpus, gpus, memory, dict(map(_resource, resource or [])))
    prepared = submission.prepare(
        file, overrides or [], run=run, runs=runs, working_dir=working_dir, environment=runtime_env,
        variables=env or [], packages=pip or [], needs=needs,
    )  # fmt: skip
    server = _server(address)
    jobs.check_free(server.jobs(), prepared.run)
    job = server.submit(prepared)
    typer.echo(f"submitted {job.id}, run folder {job.run} on the cluster\n")
    for command, purpose in _next_steps(job, address):
        typer.echo(f"  {command}\n      {purpose}")
    typer.echo()
    if follow:
        _follow(server, job, address)


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run, or a job; all of them when left out.")
    ] = None,
    address: Address = None,
) -> None:
    """Show how the searches of a cluster are (job, state, start in UTC, time, run folder), or one of them."""
    from evonas import jobs
    from evonas.jobs import JobState

    server = _server(address)
    known = server.jobs()
    if name is None:
        if not known:
            typer.echo("no search was submitted to this cluster since it was started: 'evonas submit --help'")
            return
        for job in known:
            started = f"{job.started:%Y-%m-%d %H:%M:%S}" if job.started else ""
            typer.echo(f"{job.id:30}  {job.state:9}  {started:19}  {_took(job):>12}  {job.run}")
        return
    job = jobs.find(known, name)
    typer.echo(f"{job.id}: {job.state}{f', {took}' if (took := _took(job)) else ''}, run folder {job.run}")
    if job.message:
        typer.echo(job.message)
    if job.state in (JobState.SUCCEEDED, JobState.STOPPED):
        return
    if lines := [line for line in server.log(job).splitlines() if line.strip()]:
        typer.echo(f"last line of its log: {lines[-1].strip()}")


def logs(
    name: Name,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print the log of a search on a cluster; with --follow until it ends (0 complete, 1 failed, 130 stopped)."""
    from evonas import jobs

    server = _server(address)
    job = jobs.find(server.jobs(), name)
    if follow:
        _follow(server, job, address)
    else:
        typer.echo(server.log(job), nl=False)


def stop(name: Name, address: Address = None) -> None:
    """End a search on a cluster cleanly; nothing finished is lost, and submitted again it goes on."""
    from evonas import jobs
    from evonas.errors import JobError

    server = _server(address)
    job = jobs.find(server.jobs(), name)
    if job.state.ended:
        raise JobError(f"the job {job.id} is not running: it has {_ending(job.state)}")
    job = server.stop(job)
    typer.echo(f"{job.id} has {_ending(job.state)}; submit it again to go on in {job.run}")


def _server(address: str | None) -> JobServer:
    from evonas.component import Component

    server: JobServer = Component(SERVER).load()(address)
    return server


def _follow(server: JobServer, job: Job, address: str | None) -> None:
    """Print the log until the job ends, and exit with what became of it; Ctrl-C ends the printing only."""
    from evonas.jobs import JobState

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        job = server.follow(job, write)
    except KeyboardInterrupt:
        typer.echo(f"\nThe job {job.id} goes on without being watched:\n")
        for command, purpose in _next_steps(job, address):
            typer.echo(f"  {command}\n      {purpose}")
        raise typer.Exit(130) from None
    if job.state is JobState.SUCCEEDED:
        return
    typer.echo(f"\n{job.id} has {_ending(job.state)}: {job.message}\nsubmitted again it goes on in {job.run}", err=True)
    raise typer.Exit(130 if job.state is JobState.STOPPED else 1)


def _next_steps(job: Job, address: str | None) -> list[tuple[str, str]]:
    where = f" --address {shlex.quote(address)}" if address else ""
    return [
        (f"evonas status {job.run.name}{where}", "tells how it is"),
        (f"evonas logs {job.run.name} --follow{where}", "shows what it prints"),
        (f"evonas stop {job.run.name}{where}", "ends it cleanly; submitted again it goes on"),
    ]


def _ending(state: JobState) -> str:
    return "been stopped" if state == "stopped" else str(state)


def _took(job: Job) -> str:
    if job.started is None:
        return ""
    seconds = int(((job.ended or datetime.now(UTC)) - job.started).total_seconds())
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _resource(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        wanted = name, float(amount)
    except ValueError:
        raise ConfigError(f"--resource '{text}' must read NAME=AMOUNT, e.g. bigmem=1") from None
    if not name or not wanted[1] > 0:
        raise ConfigError(f"--resource '{text}' must read NAME=AMOUNT with an amount above 0")
    return wanted
