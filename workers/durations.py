"""How long evaluations take in a simulation: drawn from a distribution or a table, or as an earlier run recorded it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from evonas.errors import ConfigError, DataError, require
from evonas.evaluation import Candidate, Evaluation
from evonas.history import History
from evonas.seeds import generator
from evonas.space import Genome
from evonas.table import numbers, read


class Durations:
    """Draws seconds for an attempt at a candidate: the same for the same seed, candidate and attempt.

    `median_seconds` and `sigma` are those of a lognormal distribution (sigma 0: always the median); to its median each
    multiply-accumulate operation of the network adds `seconds_per_mac`. With `table` and
    `column` (parquet or CSV) durations are drawn from a column's values, and with `run`, a run folder, a network takes
    what it took there, and others what a random one took. Raises ConfigError or DataError for what cannot be used.
    """

    def __init__(
        self,
        seed: int,
        median_seconds: float,
        sigma: float,
        table: Path | None = None,
        column: str | None = None,
        run: Path | None = None,
        seconds_per_mac: float = 0.0,
    ) -> None:
        require("median_seconds", median_seconds, 0 < median_seconds < math.inf, "above 0")
        require("sigma", sigma, 0 <= sigma < math.inf, "0 or more")
        require("seconds_per_mac", seconds_per_mac, 0 <= seconds_per_mac < math.inf, "0 or more")
        if (table is None) != (column is None) or (table and run):
            raise ConfigError("durations come from 'table' and 'column', or from 'run', or from 'median_seconds'")
        self._seed, self._median_seconds, self._sigma = seed, median_seconds, sigma
        self._seconds_per_mac = seconds_per_mac
        self._recorded = _recorded(run) if run else {}
        values = numbers(read(table), column, table) if table and column else np.array(list(self._recorded.values()))
        self._values = _checked(values, f"{table}, {column}" if table else str(run)) if table or run else None

    def seconds(self, candidate: Candidate, attempt: int, macs: float = 0.0) -> float:
        """Return the seconds that this attempt takes, at a network of so many multiply-accumulate operations."""
        if (recorded := self._recorded.get(candidate.genome)) is not None:
            return recorded
        rng = generator(self._seed, "seconds", candidate.id, attempt)
        if self._values is not None:
            return float(self._values[rng.integers(len(self._values))])
        return (self._median_seconds + self._seconds_per_mac * macs) * math.exp(self._sigma * rng.normal())


def _recorded(run: Path) -> dict[Genome, float]:
    return {e.candidate.genome: e.seconds for e in History.read(Path(run)).evaluations if isinstance(e, Evaluation)}


def _checked(values: np.ndarray, origin: str) -> np.ndarray:
    if len(values) == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise DataError(f"durations must be numbers of seconds above 0, and {origin} holds others, or none")
    return values
