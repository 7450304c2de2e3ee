"""The epochs of a training in its folder: each is kept, measured and told of before the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evonas.errors import TrainingStopped
from evonas.evaluation import NotFinite
from evonas.space import Genome
from evonas.supernet_folder import CHECKPOINT, WEIGHTS, EpochRecord, SupernetHeader, read_progress, write_progress
from evonas.workers.batch_norm import recalibrate
from evonas.workers.supernets import files
from evonas.workers.supernets.method import subnet_of
from evonas.workers.supernets.parts import Parts
from evonas.workers.training import score


def train_in(
    folder: Path,
    header: SupernetHeader,
    parts: Parts,
    after_epoch: Callable[[EpochRecord], None],
    after_step: Callable[[float], None] = lambda share: None,
    *,
    writes: bool = True,
) -> None:
    """Train from where the folder's checkpoint is to the end; of several processes one `writes`, the others train.

    A checkpoint holds what its epoch is told of as well: a process that is killed between writing the one and telling
    the other leaves that to the next. Who is told may so hear of an epoch twice.
    """
    if writes:
        files.sweep(folder)
    training, recipe = parts.training, parts.recipe
    records = _take_up(folder, parts)
    seconds = records[-1].seconds if records else 0.0
    curves = parts.curves
    subnets = parts.measured_subnets(curves.random_subnets, header.config["seed"])
    if writes and (untold := records[len(read_progress(folder)) :]):
        for record in untold:
            after_epoch(record)
        write_progress(folder, records)
    while training.epochs < recipe.epochs:
        started = time.perf_counter()
        rate = training.learning_rate
        try:
            loss = training.epoch(after_step)
        except NotFinite as error:
            kept = (
                f"the {training.epochs} epochs before it are kept in {folder}" if training.epochs else "nothing is kept"
            )
            raise TrainingStopped(
                f"{error}: {kept}; train anew with a lower recipe.learning_rate, a longer recipe.warmup_epochs, or "
                f"recipe.gradient_clip=1"
            ) from error
        if not writes:
            continue
        due = training.epochs % curves.every == 0 or training.epochs == recipe.epochs
        errors = valid_errors(parts, subnets, curves.examples) if due else {}
        seconds += time.perf_counter() - started
        record = EpochRecord(training.epochs, loss, rate, errors, seconds)
        records.append(record)
        facts = {**training.facts(), "records": [each.line() for each in records]}
        files.write(folder / CHECKPOINT, training.arrays(), facts)
        after_epoch(record)
        write_progress(folder, records)
    if writes:
        files.write(folder / WEIGHTS, training.trained(), {"header": header.plain()})


def valid_errors(parts: Parts, subnets: Mapping[str, Genome], examples: int) -> dict[str, float | None]:
    """Return the validation error of each subnet, its batch norms recalibrated; None where its loss is not finite."""
    sample, valid = parts.train.first(examples), parts.valid.first(examples)
    errors: dict[str, float | None] = {}
    for name, genome in subnets.items():
        subnet = subnet_of(parts.training.supernet, genome)
        recalibrate(subnet, sample, parts.recipe)
        try:
            errors[name] = score(subnet, valid, parts.recipe).error
        except NotFinite:
            errors[name] = None
    return errors


def _take_up(folder: Path, parts: Parts) -> list[EpochRecord]:
    """Take the checkpoint up if there is one, and return the epochs that are behind it."""
    if not (folder / CHECKPOINT).exists():
        return []
    facts: Mapping[str, Any]
    arrays, facts = files.read(folder / CHECKPOINT)
    parts.training.restore(arrays, facts)
    return [EpochRecord.of(line) for line in facts["records"]]
