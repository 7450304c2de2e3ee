"""The folder of a supernet: its files, its header, and a line an epoch on how the training goes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evonas.errors import RunFolderError

HEADER = "supernet.json"
HEADER_DRAFT = f".{HEADER}.draft"
"""What is left of a header if the training is killed while it is written."""
PROGRESS = "progress.jsonl"
CHECKPOINT = "checkpoint.safetensors"
"""The state after the last epoch: weights, momentum, what the method has learnt."""
WEIGHTS = "supernet.safetensors"
"""The shared weights at the end of training."""


@dataclass(frozen=True, slots=True)
class SupernetHeader:
    """What is trained, and on what: the resolved configuration, the data's fingerprint, the versions of libraries."""

    name: str
    config: Mapping[str, Any]
    config_hash: str
    data_fingerprint: str
    versions: Mapping[str, str]
    created: str
    space_fingerprint: str | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> SupernetHeader:
        """Return the header that was written as these plain values; raise RunFolderError if none was."""
        try:
            return cls(**plain)
        except TypeError as error:
            raise RunFolderError(
                f"this is no header of a supernet ({error}): it was damaged, or is another's"
            ) from error

    def plain(self) -> dict[str, Any]:
        """Return the header as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """An epoch, counted from 1: the mean loss of its steps, the learning rate in its middle.

    `valid_errors` are those of a few subnets after it (`smallest`, `largest`, `random_1`, ...): shares of wrong answers
    on the first of the validation examples; None where a loss was not finite. They are empty where none was measured.
    `seconds` is how long the training has taken until then, the time between two sittings aside.
    """

    epoch: int
    train_loss: float
    learning_rate: float
    valid_errors: Mapping[str, float | None]
    seconds: float

    def line(self) -> str:
        """Return the epoch as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of(cls, line: str) -> EpochRecord:
        """Return the epoch that `line` tells."""
        return cls(**json.loads(line))

    @property
    def random_error(self) -> float | None:
        """The mean error of the random subnets; None without one."""
        errors = [e for name, e in self.valid_errors.items() if name.startswith("random") and e is not None]
        return sum(errors) / len(errors) if errors else None


def read_header(folder: Path) -> SupernetHeader:
    """Return the header of a supernet's folder; raise RunFolderError where there is none."""
    path = folder / HEADER
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{folder} is no folder of a supernet: it has no {HEADER}") from error
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}): train anew in another folder") from error
    return SupernetHeader.of(plain if isinstance(plain, dict) else {})


def write_header(folder: Path, header: SupernetHeader) -> None:
    """Write the header, whole or not at all; raise RunFolderError if that fails."""
    _replace(folder / HEADER, json.dumps(header.plain(), indent=2) + "\n")


def read_progress(folder: Path) -> list[EpochRecord]:
    """Return the epochs that are told of; raise RunFolderError where they cannot be read.

    A line that was torn when the training was killed is left out.
    """
    path = folder / PROGRESS
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [EpochRecord.of(line) for line in lines if line.endswith("\n")]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}): mend or remove the damaged line, or train anew in another folder"
        ) from error


def write_progress(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Write all epochs, whole or not at all; raise RunFolderError if that fails."""
    _replace(folder / PROGRESS, "".join(record.line() for record in records))


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RunFolderError(f"{path} cannot be written: {error.strerror}") from error
