"""The bench on which searches meet faults: a folder, searches to compare with, and the rows of the table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_search import LOCAL, FaultySearch

LINE = "{:28} {:28} {:>5} {:>5} {:>6} {:>9}   {}"


@dataclass
class Row:
    """A line of the table."""

    fault: str
    where: str
    times: int = 0
    lost: int = 0
    again: int = 0
    recoveries: list[float] = field(default_factory=list)
    agrees: bool = False
    remark: str = ""

    def __str__(self) -> str:
        recovery = f"{statistics.median(self.recoveries):.1f} s" if self.recoveries else "-"
        verdict = ("yes" if self.agrees else "NO") + (f"; {self.remark}" if self.remark else "")
        return LINE.format(self.fault, self.where, self.times, self.lost, self.again, recovery, verdict)

    @property
    def good(self) -> bool:
        return self.agrees and not self.lost and self.times > 0


class NotHere(Exception):
    """The fault cannot be produced on this machine."""


class Bench:
    """Makes searches in `folder`, and compares them with those that nothing happens to."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        self._whole: dict[str, tuple[object, ...]] = {}

    def search(self, **how: Any) -> FaultySearch:
        self.last = FaultySearch(self.folder / f"search-{len(list(self.folder.iterdir()))}", **how)
        return self.last

    def expected(self, strategy: str = "NSGA2", evaluations: int = 60, **trouble: Any) -> tuple[object, ...]:
        """Return the facts of a search that nothing happens to; a trouble that is no accident belongs to it."""
        key = json.dumps([strategy, evaluations, trouble])
        if key not in self._whole:
            folder = self.folder / f"whole-{len(self._whole)}"
            search = FaultySearch(folder, strategy, LOCAL, evaluations, pause=0.0, **trouble)
            search.finish()
            self._whole[key] = search.facts()
        return self._whole[key]

    def ended(self, row: Row, search: FaultySearch, recoveries: list[float] | None = None) -> Row:
        """Let the search end, and compare it with the one that nothing happened to."""
        search.finish()
        row.recoveries += recoveries or []
        row.lost, row.again = search.lost(), search.repeated()
        row.agrees = search.facts() == self.expected(evaluations=search.evaluations)
        return row

    def hit(self, row: Row, search: FaultySearch, hit: list[tuple[float, list[int]]]) -> Row:
        """Recovered is a fault when the candidate that it hit has its outcome."""
        found = [(moment, search.outcome_of(genome)) for moment, genome in hit]
        return self.ended(row, search, [outcome - moment for moment, outcome in found if outcome])

    def troubled(self, fault: str, pool: Mapping[str, Any], *, trouble: str, once: bool = True) -> Row:
        """Search with an evaluator that meets trouble on a tenth of the genomes, `once` or always."""
        search = self.search(pool=pool, trouble=trouble, share=0.1, once=once)
        search.finish()
        troubles = search.troubles()
        row = self.hit(Row(fault, "RayPool", len(troubles)), search, [(n["time"], n["genome"]) for n in troubles])
        if not once:
            row.agrees = search.facts() == self.expected(trouble=trouble, share=0.1, once=False)
        return row
