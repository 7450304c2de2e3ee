"""The files that start clusters: Ray's launcher, KubeRay and Slurm would take them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from click import BadParameter, Command, NoSuchOption
from commands import TESTS, environment, write_experiment

from evonas.history import History

ROOT = Path(__file__).parents[1]
LAUNCHER = (ROOT / "ray_cluster.yaml").read_text()
RAYJOB = yaml.safe_load((ROOT / "docs" / "kuberay-rayjob.yaml").read_text())


class TestLauncher:
    """ray_cluster.yaml, against the schema of the Ray that is installed."""

    @staticmethod
    def check(config: dict[str, Any]) -> None:
        """What 'ray up' does before it touches a machine; there is no public way to it."""
        util = pytest.importorskip("ray.autoscaler._private.util")
        util.validate_config(util.prepare_config(deepcopy(config)))

    def test_own_machines_and_the_cloud_variant_are_valid(self) -> None:
        config = yaml.safe_load(LAUNCHER)
        self.check(config)
        assert set(config["provider"]) == {"type", "head_ip", "worker_ips"}, "the schema leaves these to the provider"
        commented = "\n".join(line.removeprefix("#~ ") for line in LAUNCHER.splitlines() if line.startswith("#~ "))
        cloud = yaml.safe_load(commented)
        assert {"provider", "auth", "available_node_types"} <= set(cloud)
        self.check({**config, **cloud})

    @pytest.mark.parametrize(
        ("part", "typo"),
        [("auth", "ssh_usr"), (None, "setup_command"), (None, "max_wrkers")],
    )
    def test_a_typo_would_be_caught(self, part: str | None, typo: str) -> None:
        from jsonschema import ValidationError

        config = yaml.safe_load(LAUNCHER)
        (config[part] if part else config)[typo] = []
        with pytest.raises(ValidationError, match=typo):
            self.check(config)

    def test_every_node_asks_for_the_token_and_gets_it(self) -> None:
        config = yaml.safe_load(LAUNCHER)
        assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
        for role in ("head", "worker"):
            starts = [line for line in config[f"{role}_start_ray_commands"] if "ray start" in line]
            assert len(starts) == 1
            assert re.search(r"RAY_AUTH_MODE=token .*ray start", starts[0])

    def test_the_start_commands_are_those_of_this_ray(self) -> None:
        from ray.scripts.scripts import start

        config = yaml.safe_load(LAUNCHER)
        for role in ("head", "worker"):
            (line,) = (line for line in config[f"{role}_start_ray_commands"] if "ray start" in line)
            parse(start, shlex.split(line.partition("ray start")[2]))
        with pytest.raises(NoSuchOption):
            parse(start, ["--dashbord-host=127.0.0.1"])


def parse(command: Command, words: list[str]) -> None:
    """Let a command read its options without running; raises for those that it does not know."""
    command.make_context("ray", list(words))


class TestRayJob:
    """docs/kuberay-rayjob.yaml, against the field names of KubeRay's API reference (v1.6) and of Kubernetes' pods."""

    FIELDS: ClassVar[dict[str, str]] = {
        "RayJob": "apiVersion kind metadata spec",
        "spec": "activeDeadlineSeconds backoffLimit rayClusterSpec submitterPodTemplate metadata clusterSelector "
        "submitterConfig managedBy deletionStrategy entrypoint runtimeEnvYAML jobId submissionMode entrypointResources "
        "entrypointNumCpus entrypointNumGpus ttlSecondsAfterFinished shutdownAfterJobFinishes suspend",
        "rayClusterSpec": "headGroupSpec workerGroupSpecs rayVersion enableInTreeAutoscaling autoscalerOptions "
        "headServiceAnnotations suspend managedBy gcsFaultToleranceOptions authOptions",
        "authOptions": "mode",
        "headGroupSpec": "serviceType headService enableIngress rayStartParams template labels resources",
        "workerGroupSpecs": "groupName replicas minReplicas maxReplicas numOfHosts rayStartParams template "
        "scaleStrategy idleTimeoutSeconds suspend labels resources",
        "template": "metadata spec",
        "containers": "name image imagePullPolicy command args env envFrom ports resources volumeMounts",
        "volumes": "name persistentVolumeClaim nfs hostPath emptyDir",
    }  # fmt: skip

    @classmethod
    def unknown(cls, value: Any, kind: str) -> list[str]:
        """Return the fields that such an object does not have, with their kind."""
        if isinstance(value, list):
            return [name for item in value for name in cls.unknown(item, kind)]
        if not isinstance(value, dict) or kind not in cls.FIELDS:
            return []
        wrong = [f"{kind}.{name}" for name in value if name not in cls.FIELDS[kind].split()]
        if kind == "template":
            return [
                *wrong,
                *(name for part in ("containers", "volumes") for name in cls.unknown(value["spec"][part], part)),
            ]
        return [*wrong, *(name for key, child in value.items() for name in cls.unknown(child, key))]

    def test_it_has_only_fields_that_there_are(self) -> None:
        assert self.unknown(RAYJOB, "RayJob") == []
        wrong = deepcopy(RAYJOB)
        wrong["spec"]["ttlSecondsAfterFinish"] = 1
        wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["volumeMount"] = []
        assert self.unknown(wrong, "RayJob") == ["spec.ttlSecondsAfterFinish", "containers.volumeMount"]

    def test_its_entry_point_resumes_in_a_folder_of_the_volume_that_the_head_mounts(self) -> None:
        words = shlex.split(RAYJOB["spec"]["entrypoint"])
        assert words[:2] == ["evonas", "run"]
        assert "--resume" in words
        run = words[words.index("--run") + 1]
        head = RAYJOB["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
        assert any(run.startswith(mount["mountPath"] + "/") for mount in head["containers"][0]["volumeMounts"])
        assert (ROOT / words[2].removeprefix("/opt/evonas/")).exists()

    def test_it_asks_for_a_token_and_names_the_pinned_ray(self) -> None:
        cluster = RAYJOB["spec"]["rayClusterSpec"]
        assert cluster["authOptions"] == {"mode": "token"}
        assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text().replace("[default]", "")

    def test_volumes_that_are_mounted_are_there_and_start_parameters_are_text(self) -> None:
        cluster = RAYJOB["spec"]["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            pod = group["template"]["spec"]
            named = {volume["name"] for volume in pod["volumes"]}
            assert {mount["name"] for box in pod["containers"] for mount in box["volumeMounts"]} <= named
            assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert set(yaml.safe_load(RAYJOB["spec"]["runtimeEnvYAML"])) == {"env_vars"}


class TestGuide:
    """docs/cluster.md."""

    GUIDE = (ROOT / "docs" / "cluster.md").read_text()

    def test_its_commands_are_those_of_evonas_and_ray(self) -> None:
        from ray.scripts.scripts import cli as ray
        from typer.main import get_command

        from evonas.cli import app

        evonas = get_command(app)
        said = [line.strip().partition("  ")[0] for line in self.GUIDE.splitlines() if line.startswith("    ")]
        commands = [shlex.split(line) for line in said if line.startswith(("evonas ", "ray "))]
        assert {words[1] for words in commands} >= {"submit", "status", "logs", "stop", "up", "dashboard"}
        for program, name, *words in commands:
            command = {"evonas": evonas, "ray": ray}[program].commands[name]  # type: ignore[attr-defined]
            command.make_context(name, [word for word in words if word not in (">", "/dev/null")])

    def test_its_links_lead_somewhere(self) -> None:
        titles = {
            re.sub("[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
            for title in re.findall("^#+ (.*)$", self.GUIDE, re.MULTILINE)
        }
        links = re.findall(r"\]\(([^)]+)\)", self.GUIDE)
        assert len(links) > 4
        lost = [link for link in links if link[0] != "#" and not (ROOT / "docs" / link).exists()]
        assert not lost + [link for link in links if link[0] == "#" and link[1:] not in titles]


class TestSlurm:
    """docs/slurm.sh with stand-ins for srun, scontrol and 'ray symmetric-run', which would end every Ray that runs."""

    def test_it_starts_ray_on_the_allocation_and_searches_there_once_and_again(self, tmp_path: Path) -> None:
        shutil.copy(TESTS / "synthetic.py", tmp_path)
        write_experiment(tmp_path, name="formula", evaluations=24)
        stand_ins = tmp_path / "bin"
        stand_ins.mkdir()
        for name, script in {
            "srun": 'while [ "${1#-}" != "$1" ]; do echo "srun: $1"; shift; done\nexec "$@"',
            "scontrol": "printf 'node7\\nnode8\\n'",
            "ray": 'echo "ray: $*"\nenv | grep RAY_AUTH\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"',
        }.items():
            (stand_ins / name).write_text(f"#!/bin/sh\n{script}\n")
            (stand_ins / name).chmod(0o755)
        variables = {
            **environment(), "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "123456", "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_ON_NODE": "4", "SLURM_GPUS_ON_NODE": "1",
            "PATH": os.pathsep.join([str(stand_ins), str(Path(sys.executable).parent), os.environ["PATH"]]),
        }  # fmt: skip
        for evaluations in ("24", "36"):
            done = subprocess.run(
                ["bash", ROOT / "docs" / "slurm.sh", "experiment.yaml", f"evaluations={evaluations}"],
                cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        assert "resumed at 24 of 36" in done.stdout
        assert len(History.read(tmp_path / "runs" / "experiment").evaluations) == 36
        assert "srun: --ntasks=2" in done.stdout
        assert "RAY_AUTH_MODE=token" in done.stdout
        assert re.search("RAY_AUTH_TOKEN=[0-9a-f]{64}$", done.stdout, re.MULTILINE)
        (told,) = (line for line in done.stdout.splitlines() if line.startswith("ray: "))
        self.check_words(shlex.split(told)[1:])

    @staticmethod
    def check_words(words: list[str]) -> None:
        from ray.scripts.scripts import start
        from ray.scripts.symmetric_run import symmetric_run

        separator = words.index("--")
        assert words[0] == "symmetric-run"
        context = symmetric_run.make_context("ray", words[1:separator], resilient_parsing=True)
        assert (context.params["address"], context.params["min_nodes"]) == ("node7:23456", 2)
        parse(start, list(context.params["ray_args_and_entrypoint"]))
        assert words[separator + 1 : separator + 5] == ["env", "RAY_ADDRESS=node7:23456", "evonas", "run"]

    def test_its_port_and_options_are_such_as_ray_takes(self) -> None:
        from ray.scripts.scripts import start

        with pytest.raises((NoSuchOption, BadParameter)):
            parse(start, ["--num-cpu", "many"])
        assert "#SBATCH --exclusive" in (ROOT / "docs" / "slurm.sh").read_text(), "'ray symmetric-run' ends other Rays"
