"""Search problems whose every network has been measured: tables that a strategy is run against in microseconds."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet

from evonas.goals import Goals, Objective
from evonas.pareto import normalised_hypervolume
from evonas.space import Genome, SearchSpace
from evonas.spaces.cell201 import Cell201
from evonas.spaces.macro import Macro

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data"
"""Where the tables are looked for: a folder beside the checkout."""


class Cells(Cell201):
    """NAS-Bench-201 as its table has it: each of the 15,625 genomes has a row of its own, isomorphic ones too."""

    def canonical(self, genome: Genome) -> Genome:
        return genome


class Layers(Macro):
    """NAS-Bench-Macro as its table has it: each of the 6,561 genomes has a row of its own."""

    def canonical(self, genome: Genome) -> Genome:
        return genome


@dataclass(frozen=True)
class Problem:
    """A space, two objectives to minimise, and their measured values.

    `rows` numbers the canonical genomes; `losses` has shape (rows, 2). The reference point is the worst value of either
    objective in the table, so that the share of a set of rows is its hypervolume over that of all rows.
    """

    name: str
    title: str
    space: SearchSpace
    objectives: tuple[str, str]
    rows: Mapping[Genome, int]
    losses: np.ndarray

    @cached_property
    def goals(self) -> Goals:
        """The two objectives, with the worst values of the table."""
        worst = self.losses.max(axis=0).tolist()
        return Goals(tuple(Objective(name, False, bound) for name, bound in zip(self.objectives, worst, strict=True)))

    @cached_property
    def whole(self) -> float:
        """The hypervolume of the table's true front."""
        return normalised_hypervolume(self.losses, self.goals)

    def row(self, genome: Genome) -> int:
        """Return the row of a genome; several genomes have one row where the space folds equal networks."""
        return self.rows[self.space.canonical(genome)]

    def metrics(self, genome: Genome) -> dict[str, float]:
        """Return what an evaluation of a genome gives, static costs included."""
        measured = dict(zip(self.objectives, self.losses[self.row(genome)].tolist(), strict=True))
        return {**self.space.costs(genome), **measured}

    def shares(self, rows: list[int]) -> np.ndarray:
        """Return the share of the true front's hypervolume after each of the evaluations of `rows`."""
        losses, shares, best = self.losses[rows], np.empty(len(rows)), 0.0
        front = np.empty((0, 2))
        for number, newcomer in enumerate(losses):
            if not (front <= newcomer).all(axis=1).any():
                front = np.vstack([front[~(newcomer <= front).all(axis=1)], newcomer])
                best = normalised_hypervolume(front, self.goals) / self.whole
            shares[number] = best
        return shares


PROBLEMS = ("latency", "params", "macs", "folded")
"""`folded` is `latency` with the knowledge of which cells are one network, and then one row for each of the 5,234."""


@lru_cache
def problem(name: str, tables: Path) -> Problem:
    """Return a problem by name, from the tables in a folder."""
    if name == "macs":
        return _macro(_columns(tables / "nasbench_macro.parquet"))
    return _cells(name, _columns(tables / "nasbench201_12epochs.parquet"))


def _cells(name: str, columns: dict[str, list[Any]]) -> Problem:
    space = Cell201() if name == "folded" else Cells()
    cost = "params" if name == "params" else "latency_ms"
    titles = {
        "latency": "NAS-Bench-201: validation error, latency on a Raspberry Pi 4",
        "params": "NAS-Bench-201: validation error, parameters",
        "folded": "NAS-Bench-201, equal cells folded: validation error, latency on a Raspberry Pi 4",
    }
    genomes: list[Genome] = list(zip(*(columns[f"e{edge}"] for edge in range(6)), strict=True))
    error = 1 - np.array(columns["cifar10_valid_accuracy"]) / 100
    losses = np.stack([error, np.array(columns["params" if name == "params" else "latency_ms_raspi4"])], axis=1)
    kept = [number for number, genome in enumerate(genomes) if space.canonical(genome) == genome]
    rows = {genomes[number]: row for row, number in enumerate(kept)}
    return Problem(name, titles[name], space, ("valid_error", cost), rows, losses[kept])


def _macro(columns: dict[str, list[Any]]) -> Problem:
    losses = np.stack([1 - np.array(columns["test_accuracy"]) / 100, np.array(columns["macs"])], axis=1)
    rows = {tuple(map(int, digits)): row for row, digits in enumerate(columns["arch"])}
    return Problem("macs", "NAS-Bench-Macro: error, MACs", Layers(), ("error", "macs"), rows, losses)


def _columns(path: Path) -> dict[str, list[Any]]:
    if not path.exists():
        print(f"the table {path.name} is not in {path.parent}: name its folder with --tables", file=sys.stderr)
        sys.exit(2)
    columns: dict[str, list[Any]] = pyarrow.parquet.read_table(path).to_pydict()
    return columns
