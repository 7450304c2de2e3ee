"""What is submitted is checked here: the experiment, its place, the run folder, the runtime environment."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from commands import write_experiment

from evonas.errors import ConfigError
from evonas.submission import EXCLUDED, prepare


def test_the_job_runs_the_experiment_in_its_folder_and_may_resume(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    file = write_experiment(tmp_path / "mine")
    submission = prepare(file, ["evaluations=24", "gates=[]"], runs="/shared/runs", working_dir=tmp_path)
    assert submission.run == PurePosixPath("/shared/runs/formula")
    assert submission.command == [
        "evonas", "run", "mine/experiment.yaml", "evaluations=24", "gates=[]",
        "--run", "/shared/runs/formula", "--resume",
    ]  # fmt: skip
    assert submission.working_dir == tmp_path
    assert prepare(file, ["name=other"], runs="/shared/runs/", working_dir=tmp_path).run.name == "other"
    assert prepare(file, ["runs=/shared"], working_dir=tmp_path).run == PurePosixPath("/shared/formula")
    assert prepare(file, run="/shared/./mine", working_dir=tmp_path).run == PurePosixPath("/shared/mine")


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({}, r"must be absolute, on storage that the cluster's head sees, and is 'runs/formula'.*--runs /shared/runs"),
        ({"run": "here/it"}, "must be absolute.*'here/it'"),
        ({"run": "/a", "runs": "/b"}, "give one of them"),
        ({"run": "/shared/my run"}, "'my run' cannot name a run"),
    ],
)
def test_a_run_folder_that_would_vanish_or_has_no_name_is_refused(
    places: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        prepare(write_experiment(tmp_path), working_dir=tmp_path, **places)  # type: ignore[arg-type]


def test_an_experiment_is_checked_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_experiment(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'evaluations'"):
        prepare(file, ["evalutions=3"], runs="/shared", working_dir=tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ConfigError, match="outside of the working directory"):
        prepare(file, runs="/shared", working_dir=tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is no folder: name one with --working-dir"):
        prepare(file, runs="/shared", working_dir=tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there is no experiment file"):
        prepare(Path("missing.yaml"), runs="/shared")


def test_a_store_for_tracking_must_not_vanish_with_the_job(tmp_path: Path) -> None:
    tracking = {"use": "evonas.tracking.mlflow:MLflow", "uri": "sqlite:///mlflow.db"}
    with pytest.raises(ConfigError, match=r"tracking\.uri 'sqlite:///mlflow\.db' is relative"):
        prepare(write_experiment(tmp_path, tracking=tracking), runs="/shared", working_dir=tmp_path)


class TestRuntimeEnvironment:
    """From a file and from options."""

    def test_options_add_to_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "kept out of the shell's history")
        file = tmp_path / "environment.yaml"
        file.write_text("env_vars: {A: 1, B: b}\npip: [requests]\nexcludes: [data]\n")
        submission = prepare(
            write_experiment(tmp_path), runs="/shared", working_dir=tmp_path, environment=file,
            variables=["A=2=3", "SECRET"], packages=["timm==1.0"],
        )  # fmt: skip
        assert submission.command[:4] == ["python", "-m", "evonas", "run"], "the Python that has the packages"
        assert submission.environment == {
            "env_vars": {"COLUMNS": "120", "A": "2=3", "B": "b", "SECRET": "kept out of the shell's history"},
            "pip": ["requests", "timm==1.0"],
            "excludes": [*EXCLUDED, "data"],
        }

    @pytest.mark.parametrize(
        ("text", "options", "said"),
        [
            ("env_var: {}", {}, "has no 'env_var'; did you mean 'env_vars'"),
            ("working_dir: .", {}, "named with --working-dir"),
            ("- pip", {}, "must hold keys and values, not a list"),
            ("env_vars: [A]", {}, "'env_vars' must hold keys and values"),
            ("pip: requirements.txt", {"packages": ["timm"]}, "'pip' must be a list"),
            ("{}", {"variables": ["1=2"]}, "--env '1=2' must read NAME=VALUE"),
            ("{}", {"variables": ["NOT_SET_ANYWHERE"]}, "--env NOT_SET_ANYWHERE: the variable is not set here"),
        ],
    )
    def test_a_mistake_is_named(self, text: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
        file = tmp_path / "environment.yaml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            prepare(write_experiment(tmp_path), runs="/shared", working_dir=tmp_path, environment=file, **options)
