"""The files of NAS-Bench-101: `nasbench_only108.tfrecord` and `nasbench_full.tfrecord`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from evonas.component import Component
from evonas.convert.base import Converted, Tell, watched
from evonas.convert.tfrecord import fields, records
from evonas.errors import DataError, GenomeError
from evonas.space import SearchSpace

SPACE = "evonas.spaces.cell101:Cell101"

_EVALUATIONS, _PARAMS = 1, 2  # fields of ModelMetrics
_SECONDS, _VALID, _TEST = 2, 4, 5  # fields of EvaluationData
_END = 2  # evaluations are made before, in the middle and at the end of training


@dataclass(frozen=True, slots=True)
class _Network:
    genome: tuple[int, ...]
    params: int
    runs: list[tuple[float, float, float]] = field(default_factory=list)
    """Seconds, validation and test accuracy of each."""


def convert(source: Path, epochs: int, tell: Tell) -> Converted:
    """Return the table of all networks after that many epochs (108; in the full file also 4, 12 and 36).

    A record of the file (Ying et al., ICML 2019) is JSON: the network's hash, the epochs, its adjacency matrix as a
    text of 0 and 1, its operations joined by commas, and the base64 of a protocol buffer ModelMetrics (field 1,
    repeated: EvaluationData; field 2: trainable parameters), where EvaluationData has the seconds of training so far
    (field 2) and the accuracies from 0 to 1 on 10,000 images of validation (4) and test (5). A network has three
    records for each number of epochs, one a training: the table has their means. Its genes are those of Cell101, in
    canonical form. Raises DataError for what is not of this format.
    """
    space: SearchSpace = Component(SPACE).build()
    networks: dict[str, _Network] = {}
    lengths: set[int] = set()
    with watched(source, tell) as stream:
        for number, record in enumerate(records(stream, source), start=1):
            try:
                key, length, matrix, operations, metrics = json.loads(record)
                lengths.add(length)
                if length == epochs:
                    _add(networks, key, matrix, operations, base64.b64decode(metrics), space)
            except (ValueError, TypeError, KeyError, IndexError, GenomeError) as error:
                raise DataError(f"{source}: record {number} is none of NAS-Bench-101: {error}") from error
    if not networks:
        known = ", ".join(map(str, sorted(lengths))) or "none"
        raise DataError(f"{source} has no networks of {epochs} epochs: choose --epochs from {known}")
    return Converted(_columns(networks, space), _EXPERIMENT.replace("EPOCHS", str(epochs)))


def _add(
    networks: dict[str, _Network], key: str, matrix: str, operations: str, metrics: bytes, space: SearchSpace
) -> None:
    message = fields(metrics)
    if key not in networks:
        params = message[_PARAMS][0]
        networks[key] = _Network(_genome(matrix, operations.split(","), space), int(params))
    end = fields(message[_EVALUATIONS][_END])  # type: ignore[arg-type]
    seconds, valid, test = (float(end[number][0]) for number in (_SECONDS, _VALID, _TEST))
    networks[key].runs.append((seconds, valid, test))


def _genome(matrix: str, operations: list[str], space: SearchSpace) -> tuple[int, ...]:
    """Return the canonical genome of a graph: its inner vertices are the first, its output the last."""
    size = len(operations)
    if len(matrix) != size**2 or not set(matrix) <= {"0", "1"}:
        raise ValueError(f"the matrix of {size} vertices has {len(matrix)} entries, or others than 0 and 1")
    chosen: dict[str, object] = {}
    output = 1 + sum(gene.name.startswith("op_") for gene in space.genes)
    place = [*range(size - 1), output]
    for source in range(size):
        for target in range(source + 1, size):
            chosen[f"edge_{place[source]}_{place[target]}"] = int(matrix[source * size + target])
    chosen |= {f"op_{vertex}": operation for vertex, operation in enumerate(operations[1:-1], start=1)}
    genome = tuple(gene.options.index(chosen.pop(gene.name, gene.options[0])) for gene in space.genes)
    if chosen:
        raise ValueError(f"the space has no {', '.join(chosen)}")
    return space.canonical(genome)


def _columns(networks: dict[str, _Network], space: SearchSpace) -> dict[str, list[object]]:
    rows = list(networks.values())
    columns: dict[str, list[object]] = {
        gene.name: [gene.options[row.genome[number]] for row in rows] for number, gene in enumerate(space.genes)
    }
    for number, name in enumerate(("seconds", "valid_accuracy", "test_accuracy")):
        columns[name] = [fmean(run[number] for run in row.runs) for row in rows]
    return {**columns, "params": [row.params for row in rows], "hash": list(networks)}


_EXPERIMENT = """\
name: nas-bench-101-EPOCHS-epochs
space: evonas.spaces.cell101:Cell101
data: null
evaluator:
  use: evonas.workers.tabular:Tabular
  file: FILE
  metrics:
    valid_error: {column: valid_accuracy, scale: -1, offset: 1}
  seconds: seconds
objectives: [valid_error, params]
evaluations: 400
pool: evonas.workers.local_pool:LocalPool
"""
