"""Every code block of the README runs, in order, in a folder of a newcomer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from loopback import loopback_cluster

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
HEAD = "head-node:6379"


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiments beside the newcomer's own files; its quickstart trains for two epochs."""
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    quickstart = folder / "experiments" / "quickstart.yaml"
    quickstart.write_text(quickstart.read_text().replace("epochs: 12", "epochs: 2"))
    return folder


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would, with the environment's commands on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env={**environment(), "PATH": path, **variables},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_of_the_readme(number: int, newcomer: Path) -> None:
    language, text = BLOCKS[number]
    title = re.match(r"# (\S+\.(?:py|yaml))\n", text)
    if title:  # a file that a later block uses
        (newcomer / title[1]).write_text(text)
        return
    if language == "python":
        (newcomer / "block.py").write_text(text)
        done = shell("python block.py", newcomer)
    elif HEAD in text:
        with loopback_cluster() as address:
            done = shell(text.replace(HEAD, address), newcomer)
    elif "make test" in text:  # these tests inside themselves: collected only
        done = shell(text, ROOT, PYTEST_ADDOPTS="--collect-only --quiet")
    elif "make" in text:
        done = shell(text, ROOT, MAKEFLAGS="ARGS=--run=" + str(newcomer / "quickstart"))
    else:
        done = shell(text, newcomer)
    assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
