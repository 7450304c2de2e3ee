"""What a conversion is: columns, and an experiment that searches them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evonas.errors import ConfigError, DataError

Tell = Callable[[float], None]
"""Is told, now and then, the share of a conversion that is done, from 0 to 1."""


@dataclass(frozen=True)
class Converted:
    """A table with a row a network: columns of equal length, None where a value is missing.

    `experiment` is YAML that searches the table, with FILE for its path.
    """

    columns: Mapping[str, Sequence[object]]
    experiment: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def check_target(target: Path) -> None:
    """Raise ConfigError for a path that a table cannot be written to: better before a long conversion than after."""
    if target.suffix != ".parquet":
        raise ConfigError(f"a table is written as parquet: name a target that ends with .parquet, not {target}")
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent} to write {target.name} into: make it, or name another")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        raise ConfigError(f"{target} cannot be written: name another target")


def write(converted: Converted, target: Path) -> None:
    """Write a table as parquet, whole or not at all."""
    import pyarrow as pa
    from pyarrow import parquet

    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        parquet.write_table(pa.table(dict(converted.columns)), draft)
        draft.replace(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def watched(path: Path, tell: Tell) -> io.BufferedReader:
    """Open a file for reading; how much of it is read is told."""
    try:
        return io.BufferedReader(_Watched(path, tell), buffer_size=2**20)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


class _Watched(io.FileIO):
    def __init__(self, path: Path, tell: Tell) -> None:
        super().__init__(path)
        self._told = tell
        self._size = max(1, path.stat().st_size)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read, and tell."""
        count = super().readinto(buffer)
        self._told(self.tell() / self._size)
        return count
