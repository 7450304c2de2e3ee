"""What NATS-Bench and NAS-Bench-201 files say of an architecture: its trials, several seeds on several data sets."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from evonas.component import Component
from evonas.convert.base import Converted
from evonas.errors import DataError

Results = Mapping[str, Any]
"""The results of one architecture after one length of training, as the official `ArchResults.state_dict()` has them.

`arch_str` is the architecture, `dataset_seed` names the seeds of every data set, and `all_results` has a dictionary for
each (data set, seed): `epochs`; `params` and `flop` in millions; `latency`, a list of seconds, or None; `train_times`,
seconds by epoch, or None; `eval_acc1es` and `eval_times`, percentages and seconds by `split@epoch`.
"""

SPACE = "evonas.spaces.cell201:Cell201"


@dataclass(frozen=True)
class _DataSet:
    """Where the numbers of a data set are found: data set and split in the files."""

    valid: tuple[str, str]
    test: tuple[str, str]


_DATA_SETS = {
    "cifar10": _DataSet(("cifar10-valid", "x-valid"), ("cifar10", "ori-test")),
    "cifar100": _DataSet(("cifar100", "x-valid"), ("cifar100", "x-test")),
    "imagenet16_120": _DataSet(("ImageNet16-120", "x-valid"), ("ImageNet16-120", "x-test")),
}
_LEGACY_SEED = 888  # where `params` and `flop` of the seeds differ, those of this one are right

_ARCHITECTURE = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")
_NAMES = {"nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3"}


def architectures(whole: object, origin: object) -> Mapping[int, object]:
    """Return what a file holds of each architecture, by its number; raise DataError if it is no such file."""
    found = whole.get("arch2infos") if isinstance(whole, Mapping) else None
    if not isinstance(found, Mapping):
        held = ", ".join(map(str, whole)) if isinstance(whole, Mapping) else type(whole).__name__
        raise DataError(f"{origin} is no file of this benchmark: it has no dictionary 'arch2infos', but {held}")
    return found


def of_length(lengths: object, wanted: str, origin: object) -> Results:
    """Return an architecture's results after the wanted length of training; raise DataError if they are not there."""
    if not isinstance(lengths, Mapping) or wanted not in lengths:
        held = ", ".join(map(str, lengths)) if isinstance(lengths, Mapping) else type(lengths).__name__
        raise DataError(f"{origin} has no results '{wanted}', but {held}: choose another length with --epochs")
    results: Results = lengths[wanted]
    return results


def converted(results: Iterable[Results], origin: Path, epochs: int) -> Converted:
    """Return the table of architectures: genes are those of Cell201, numbers are means over seeds.

    For each data set: accuracies from 0 to 1 after the last epoch (CIFAR-10's validation accuracy is that of networks
    trained on half of the training set, its test accuracy that of networks trained on all of it, as the official API
    reports them), `seconds` of training and of one validation, `latency_ms`, `params` and `flops`. Raises DataError for
    what is not of the format.
    """
    genes = Component(SPACE).build().genes
    rows: dict[tuple[str, ...], dict[str, object]] = {}
    for number, result in enumerate(results):
        try:
            architecture = _genes_of(result["arch_str"], genes[0].options)
            row = _row(result)
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise DataError(
                f"{origin}: architecture {number} lacks what the format has, or has it otherwise "
                f"({type(error).__name__}: {error}): is it a file of this benchmark, and of this version?"
            ) from error
        if architecture in rows:
            raise DataError(f"{origin}: architecture {number}, {result['arch_str']}, occurs twice")
        rows[architecture] = row
    if not rows:
        raise DataError(f"{origin} holds no architecture")
    columns = {gene.name: list(options) for gene, options in zip(genes, zip(*rows, strict=True), strict=True)}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    measured = {name: [row.get(name) for row in rows.values()] for name in names}
    experiment = _EXPERIMENT.replace("EPOCHS", str(epochs))
    if None in measured.get("cifar10_seconds", [None]):
        experiment = experiment.replace("  seconds: cifar10_seconds\n", "")
    return Converted({**columns, **measured}, experiment)


def _genes_of(architecture: str, known: Container[object]) -> tuple[str, ...]:
    match = _ARCHITECTURE.fullmatch(architecture)
    operations = tuple(_NAMES.get(operation, operation) for operation in match.groups()) if match else ("",)
    if not all(operation in known for operation in operations):
        raise ValueError(f"{architecture!r} is no cell of the topology search space")
    return operations


def _row(result: Results) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, data_set in _DATA_SETS.items():
        (valid_on, valid_split), (test_on, test_split) = data_set.valid, data_set.test
        if valid_on in result["dataset_seed"]:
            trials = _trials(result, valid_on)
            row[f"{name}_valid_accuracy"] = fmean(_accuracy(trial, valid_split) for trial in trials)
            row[f"{name}_seconds"] = _mean([_seconds(trial, valid_split) for trial in trials])
        if test_on in result["dataset_seed"]:
            trials = _trials(result, test_on)
            row[f"{name}_test_accuracy"] = fmean(_accuracy(trial, test_split) for trial in trials)
            latencies = [fmean(trial["latency"]) for trial in trials if trial["latency"]]
            row[f"{name}_latency_ms"] = _mean([1000 * seconds for seconds in latencies if seconds > 0])
            row[f"{name}_params"] = round(1e6 * _agreed(trials, "params"))
            row[f"{name}_flops"] = round(1e6 * _agreed(trials, "flop"))
    if not row:
        raise KeyError("none of " + ", ".join(sorted({d.valid[0] for d in _DATA_SETS.values()})))
    return row


def _trials(result: Results, data_set: str) -> list[Results]:
    trials = [result["all_results"][data_set, seed] for seed in result["dataset_seed"][data_set]]
    return [{**trial, "seed": seed} for trial, seed in zip(trials, result["dataset_seed"][data_set], strict=True)]


def _accuracy(trial: Results, split: str) -> float:
    return float(trial["eval_acc1es"][f"{split}@{trial['epochs'] - 1}"]) / 100


def _seconds(trial: Results, split: str) -> float | None:
    """Return what the official API calls the cost of an evaluation: all training, and a mean validation."""
    epochs = range(trial["epochs"])
    if not trial["train_times"] or not trial["eval_times"]:
        return None
    training = sum(float(trial["train_times"][epoch]) for epoch in epochs)
    return training + fmean(float(trial["eval_times"][f"{split}@{epoch}"]) for epoch in epochs)


def _agreed(trials: Sequence[Results], name: str) -> float:
    values = {f"{trial[name]:.5f}": float(trial[name]) for trial in trials}
    if len(values) > 1:
        return next(float(trial[name]) for trial in trials if trial["seed"] == _LEGACY_SEED)
    return next(iter(values.values()))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


_EXPERIMENT = """\
name: nas-bench-201-EPOCHS-epochs
space: evonas.spaces.cell201:Cell201
data: null
evaluator:
  use: evonas.workers.tabular:Tabular
  file: FILE
  metrics:
    valid_error: {column: cifar10_valid_accuracy, scale: -1, offset: 1}
  seconds: cifar10_seconds
objectives: [valid_error, params]
evaluations: 400
pool: evonas.workers.local_pool:LocalPool
"""
