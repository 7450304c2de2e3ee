"""A search submitted to a cluster of three nodes, one of which is killed in the middle: nothing is lost.

    python experiments/benchmarks/lost_node.py [KEY=VALUE ...]

Starts three raylets on 127.0.0.1 that ask for a token, submits the quickstart, prints its log as it comes, and kills a
raylet with SIGKILL after the second generation. Then runs the same search here, without the cluster. Ends with 1 unless
the evaluations and the front of both agree.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
EXPERIMENTS = Path(__file__).parents[1]
QUICK = ["evaluations=60", "strategy.population=12", "evaluator.epochs=4"]
KILL_AFTER = "generation 1:"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def start_node(folder: Path, variables: dict[str, str], *options: str) -> subprocess.Popen[bytes]:
    """Start a node with one CPU and, as on a machine of its own, its own files."""
    command = [
        str(BIN / "ray"), "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1",
        "--object-store-memory=100000000", f"--temp-dir={tempfile.mkdtemp(dir=folder)}",
        f"--dashboard-agent-listen-port={free_port()}", *options,
    ]  # fmt: skip
    with (folder / "nodes.log").open("a") as log:
        return subprocess.Popen(command, env=variables, stdout=log, stderr=log)


def wait_for_nodes(dashboard: str, token: str, count: int) -> None:
    """Return when so many nodes are there."""
    asked = urllib.request.Request(f"{dashboard}/nodes?view=summary", headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                nodes = json.load(answer)["data"]["summary"]
                if sum(node["raylet"].get("state") == "ALIVE" for node in nodes) >= count:
                    return
        except (OSError, KeyError, TypeError):
            pass
        time.sleep(0.5)
    raise SystemExit(f"{count} nodes did not start within two minutes")


def kill_raylet(node: subprocess.Popen[bytes]) -> str:
    """Kill the raylet of a node, and tell what it was doing."""
    raylet = next(p for p in psutil.Process(node.pid).children(recursive=True) if p.name() == "raylet")
    doing = [p.cmdline()[0] for p in raylet.children() if p.cmdline() and "EvonasWorker" in p.cmdline()[0]]
    raylet.kill()
    return f"raylet {raylet.pid} is killed, with {', '.join(doing) or 'no worker'}"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lost-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        agree = compare(Path(folder))
    print("they agree" if agree else "THEY DIFFER")
    sys.exit(not agree)


def compare(folder: Path) -> bool:
    """Search on the cluster and here; return whether both found the same."""
    experiment = ["quickstart.yaml", "tracking=null", *(sys.argv[1:] or QUICK)]
    token, gcs, port = secrets.token_hex(32), free_port(), free_port()
    dashboard = f"http://127.0.0.1:{port}"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    head = ["--head", f"--port={gcs}", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={port}", f"--ray-client-server-port={free_port()}"]  # fmt: skip
    nodes = [start_node(folder, variables, *head)]
    try:
        wait_for_nodes(dashboard, token, 1)
        nodes += [start_node(folder, variables, f"--address=127.0.0.1:{gcs}") for _ in range(2)]
        wait_for_nodes(dashboard, token, 3)
        submit = [BIN / "evonas", "submit", *experiment, "--address", dashboard, "--runs", folder / "runs", "--follow"]
        job = subprocess.Popen(
            [*map(str, submit)], cwd=EXPERIMENTS, env=variables, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        started, killed = time.monotonic(), False
        assert job.stdout is not None
        for line in job.stdout:
            print(f"{time.monotonic() - started:5.1f} s  {line}", end="", flush=True)
            if line.startswith(KILL_AFTER) and not killed:
                killed = True
                print(f"{time.monotonic() - started:5.1f} s  ==== {kill_raylet(nodes[-1])} ====", flush=True)
        if job.wait() != 0 or not killed:
            raise SystemExit(f"the job ended with {job.returncode}")
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.wait()
    here = [str(BIN / "evonas"), "run", *experiment, "--run", str(folder / "here")]
    subprocess.run(here, cwd=EXPERIMENTS, env=variables, stdout=subprocess.DEVNULL, check=True)
    hashes = []
    for name, run in (("three nodes, one killed", folder / "runs" / "quickstart"), ("this machine", folder / "here")):
        result = json.loads((run / "front.json").read_text())
        hashes.append((result["counts"]["evaluated"], result["evaluations_hash"], result["front_hash"]))
        print("{:24} {:4} evaluations {} front {}".format(name, *hashes[-1]))
    return hashes[0] == hashes[1]


if __name__ == "__main__":
    main()
