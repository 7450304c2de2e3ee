"""What `equal_time.py` runs: searches that end when their time is over, and networks trained again, tested once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ended_search import searched

from evonas import config, journal
from evonas.compose import prepare
from evonas.config import Experiment
from evonas.dataset import Dataset
from evonas.evaluation import Evaluation
from evonas.goals import Goals
from evonas.history import JOURNAL, History
from evonas.journal import Finished
from evonas.space import Genome, Metrics

EXPERIMENTS = Path(__file__).resolve().parents[1]
FOREVER = 1_000_000
RETRAINING_SEED = 10_000
"""Of the networks that are trained again: no search has it, and equal networks get equal numbers."""


@dataclass(frozen=True)
class Problem:
    """The files of a search and of its supernet, and what to change in both."""

    experiment: Path
    supernet: Path
    settings: tuple[str, ...] = ()


PROBLEMS = {
    "cells": Problem(EXPERIMENTS / "fashion_mnist.yaml", EXPERIMENTS / "supernet_fashion.yaml"),
    "mobile": Problem(
        EXPERIMENTS / "mobile_fashion.yaml",
        EXPERIMENTS / "supernet_mobile_fashion.yaml",
        ("data.train_size=10000", "data.valid_fraction=0.1"),  # as `fashion_mnist.yaml` and `on_the_test_split`
    ),
}


def on_the_test_split(folder: str | None = None, train_size: int = 10_000) -> Dataset:
    """Return Fashion-MNIST with its test split in the place of the one that networks are measured on."""
    from evonas.workers.datasets import fashion_mnist

    data = fashion_mnist(folder=folder, train_size=train_size, valid_fraction=0.1)
    return dataclasses.replace(data, valid=data.test)


def trained(epochs: int) -> str:
    """Return the setting of an evaluator that trains a network from scratch for so many epochs."""
    return f"evaluator={{use: evonas.workers.trained:Trained, epochs: {epochs}, batch_size: 64}}"


def experiment(problem: Problem, overrides: Sequence[str]) -> Experiment:
    """Return the experiment, complete: with what its space takes from the data."""
    settings = [*problem.settings, f"evaluations={FOREVER}", "tracking=null", "pool.workers=2", *overrides]
    return prepare(config.load(problem.experiment, settings)).experiment


def after(seconds: float) -> Callable[[History], bool]:
    """Return what ends a search after so many of its seconds."""
    return lambda history: history.elapsed >= seconds


def history_at(path: Path, seconds: float) -> History:
    """Return what was known in a search after so many of its seconds."""
    return History.replay(_until(journal.read(path / JOURNAL), seconds))


def _until(events: Iterable[journal.Event], seconds: float) -> Iterator[journal.Event]:
    for event in events:
        if isinstance(event, Finished) and event.elapsed > seconds:
            return
        yield event


def supernet(problem: Problem, path: Path, overrides: Sequence[str]) -> tuple[Path, float]:
    """Train a supernet as a person would, unless that was done before; return its file, and the seconds it took."""
    weights, note = path / "supernet.safetensors", path / "seconds.json"
    if not note.is_file():
        print(f"{path}: training", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(path, ignore_errors=True)  # one that was cut is not timed
        command = [sys.executable, "-m", "evonas", "supernet", str(problem.supernet), "--run", str(path)]
        began = time.perf_counter()
        subprocess.run(
            [*command, "tracking=null", *problem.settings, *overrides], check=True, stdout=subprocess.DEVNULL
        )
        note.write_text(json.dumps(time.perf_counter() - began))
    return weights, json.loads(note.read_text())


def goals(problem: Problem, epochs: int) -> Goals:
    """Return the goals of a search that trains, whatever others search by."""
    return prepare(config.load(problem.experiment, [*problem.settings, trained(epochs)])).goals


def retrained(problem: Problem, folder: Path, genomes: Iterable[Genome], epochs: int) -> Mapping[Genome, Metrics]:
    """Train networks from scratch, all in the same way, and measure them on the test split; each is trained once."""
    folder = folder / f"retrained-{epochs}-epochs"
    kept = {genome: metrics for path in sorted(folder.glob("*")) for genome, metrics in _measured(path)}
    missing = sorted(set(genomes) - kept.keys())
    if missing:
        name = hashlib.sha256(json.dumps(missing).encode()).hexdigest()[:12]
        use = "{" + f"use: evonas.strategies.listed:Listed, genomes: {json.dumps(missing)}" + "}"
        print(f"{folder / name}: training {len(missing)} networks again", file=sys.stderr)
        settings = [
            "data={use: equal_time_runs:on_the_test_split}",
            f"strategy={use}",
            f"seed={RETRAINING_SEED}",
            trained(epochs),
        ]
        searched(experiment(problem, settings), folder / name)
        kept |= dict(_measured(folder / name))
    return kept


def _measured(path: Path) -> list[tuple[Genome, Metrics]]:
    return [(e.candidate.genome, e.metrics) for e in History.read(path).evaluations if isinstance(e, Evaluation)]
