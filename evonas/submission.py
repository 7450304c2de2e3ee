"""What a person submits, checked on this machine before a cluster hears of it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path, PurePosixPath
from typing import Any

from evonas import config
from evonas.config import Experiment
from evonas.config_text import read_yaml
from evonas.errors import ConfigError, nearest
from evonas.jobs import Needs, Submission

EXCLUDED = (
    ".git", ".venv", "venv", "__pycache__", "*.egg-info", "/runs", "/mlruns", "/mlartifacts", "/mlflow.db",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache", ".ipynb_checkpoints", "node_modules",
)  # fmt: skip
"""What no job needs, in the patterns of .gitignore (whose own patterns hold as well)."""

ENVIRONMENT_KEYS = frozenset(
    {"env_vars", "pip", "uv", "conda", "py_modules", "py_executable", "image_uri", "excludes", "config"}
)
"""What a runtime environment may say here; the working directory is named by itself."""

OWN_PYTHON = frozenset({"pip", "uv", "conda"})
"""What gives a job a Python of its own, which the command `evonas`, installed elsewhere, would not use."""


def prepare(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    run: str | None = None,
    runs: str | None = None,
    working_dir: Path | None = None,
    environment: Path | None = None,
    variables: Sequence[str] = (),
    packages: Sequence[str] = (),
    needs: Needs = Needs(),  # noqa: B008 - frozen
) -> Submission:
    """Return the submission of an experiment; raise ConfigError for whatever is wrong with it.

    `run` names its run folder, or `runs` the folder that will hold it under the experiment's name. `environment` is a
    YAML or JSON file in Ray's words; `variables` ("KEY=VALUE", or "KEY" for the value here) and `packages` add to it.
    """
    folder = (working_dir or Path.cwd()).resolve()
    path = _inside(file, folder)
    with chdir(folder):  # as the job will find it
        experiment = config.load(Path(path), overrides)
    folder_of_run = _run_folder(experiment, run, runs)
    _check_tracking(experiment)
    given = _environment(environment, variables, packages)
    program = ["python", "-m", "evonas"] if given.keys() & OWN_PYTHON else ["evonas"]
    return Submission(
        run=folder_of_run,
        command=[*program, "run", str(path), *overrides, "--run", str(folder_of_run), "--resume"],
        working_dir=folder,
        environment=given,
        needs=needs,
    )


def _inside(file: Path, folder: Path) -> PurePosixPath:
    """Return the path of the experiment file from the working directory."""
    if not folder.is_dir():
        raise ConfigError(f"the working directory {folder} is no folder: name one with --working-dir")
    if not file.resolve().is_relative_to(folder):
        raise ConfigError(
            f"{file} is outside of the working directory {folder}, and the cluster gets nothing else: name a folder "
            f"that holds it, and your own modules, with --working-dir"
        )
    return PurePosixPath(file.resolve().relative_to(folder))


def _run_folder(experiment: Experiment, run: str | None, runs: str | None) -> PurePosixPath:
    if run and runs:
        raise ConfigError("--run names the run folder and --runs the folder around it: give one of them")
    path = PurePosixPath(posixpath.normpath(run or f"{runs or experiment.runs}/{experiment.name}"))
    if not path.is_absolute():
        raise ConfigError(
            f"the run folder of a submitted search must be absolute, on storage that the cluster's head sees, and is "
            f"'{path}': a job works in a copy that is thrown away; say --runs /shared/runs"
        )
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", path.name):
        raise ConfigError(
            f"'{path.name}' cannot name a run: it must start with a letter or digit and hold only letters, digits, "
            f"'.', '_' and '-'; name another folder with --run"
        )
    return path


def _check_tracking(experiment: Experiment) -> None:
    uri = str(experiment.tracking.options.get("uri") or "") if experiment.tracking else ""
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        raise ConfigError(
            f"tracking.uri '{uri}' is relative, and a job works in a copy that is thrown away: give "
            f"sqlite:////absolute/path/mlflow.db, a server, or nothing for a store beside the run folder"
        )


def _environment(file: Path | None, variables: Sequence[str], packages: Sequence[str]) -> dict[str, Any]:
    """Return the runtime environment: a file's, and what was given besides."""
    given = _read(file) if file else {}
    given["env_vars"] = {"COLUMNS": "120", **given.get("env_vars", {}), **dict(map(_variable, variables))}
    given["excludes"] = [*EXCLUDED, *given.get("excludes", [])]
    if packages:
        listed = given.get("pip", [])
        if not isinstance(listed, list):
            raise ConfigError(f"{file}: 'pip' must be a list to be added to with --pip, and is {listed!r}")
        given["pip"] = [*listed, *packages]
    return given


def _read(file: Path) -> dict[str, Any]:
    try:
        read = read_yaml(file.read_text(encoding="utf-8"), origin=str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the runtime environment {file} cannot be read: {error}") from error
    if not isinstance(read, Mapping):
        raise ConfigError(f"{file} must hold keys and values, not a {type(read).__name__}")
    if "working_dir" in read:
        raise ConfigError(f"{file}: 'working_dir' is named with --working-dir")
    for key in read:
        if key not in ENVIRONMENT_KEYS:
            raise ConfigError(f"{file}: a runtime environment has no '{key}'{nearest(str(key), ENVIRONMENT_KEYS)}")
    values = dict(read)
    if not isinstance(values.get("env_vars", {}), Mapping) or not isinstance(values.get("excludes", []), list):
        raise ConfigError(f"{file}: 'env_vars' must hold keys and values, and 'excludes' a list of patterns")
    values["env_vars"] = {str(name): str(value) for name, value in values.get("env_vars", {}).items()}
    return values


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError(f"--env '{text}' must read NAME=VALUE, or NAME for the value that it has here")
    if equals:
        return name, value
    if name not in os.environ:
        raise ConfigError(f"--env {name}: the variable is not set here: set it, or say {name}=VALUE")
    return name, os.environ[name]
