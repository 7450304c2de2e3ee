"""The evaluator that joins others to a ladder of fidelities, from a cheap guess to the full measurement."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evonas.component import Component, checked
from evonas.dataset import Dataset
from evonas.errors import ConfigError
from evonas.evaluation import Evaluator, Fidelity, Source
from evonas.space import Genome, Metrics, SearchSpace


class Ladder(Evaluator):
    """Joins the evaluators of `rungs`, cheapest first, each of another source, into one of all their fidelities.

    A candidate is measured by the rung of its source, and by the last, the top, if it names none: its metrics are what
    the search may trade off, its recipe options what it may search, and what it knows beforehand is known. Evaluators
    that have several fidelities themselves, as `Trained` with `rungs`, bring them along.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        data: Dataset | None = None,
        run_folder: Path | None = None,
        *,
        rungs: Sequence[Component],
    ) -> None:
        super().__init__(space, seed)
        supplies = {"space": space, "seed": seed, "data": data, "run_folder": run_folder}
        known = {name: supply for name, supply in supplies.items() if supply is not None}
        built: list[Evaluator] = [checked(rung, Evaluator).build(known) for rung in rungs]
        if len(built) < 2:
            raise ConfigError("'rungs' must name two evaluators or more, the cheapest first: one needs no ladder")
        self._rungs = {rung.source: rung for rung in built}
        sources = [str(rung.source) for rung in built]
        if len(self._rungs) < len(built) or any(isinstance(rung, Ladder) for rung in built):
            raise ConfigError(
                f"'rungs' must be of different sources, and are of {', '.join(sources)}: an evaluator that trains has "
                f"its own 'rungs', for several numbers of epochs"
            )
        self._top = built[-1]
        self.source = self._top.source
        self.metrics = self._top.metrics
        self.recipe_options = self._top.recipe_options
        self.inherits = self._top.inherits

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """Those of the rungs, one after the other."""
        return [fidelity for rung in self._rungs.values() for fidelity in rung.fidelities]

    def at(self, source: Source | None) -> Evaluator:
        """Return the rung of a source; raise ConfigError if there is none."""
        if source is None:
            return self._top
        if source not in self._rungs:
            raise ConfigError(f"no rung of the ladder is {source}: it has {', '.join(self._rungs)}")
        return self._rungs[source]

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return what the top measures."""
        return self._top.measure(genome, budget)

    def measure_child(self, genome: Genome, budget: int | None, parents: Sequence[Genome]) -> Metrics:
        """Return what the top measures of a child."""
        return self._top.measure_child(genome, budget, parents)

    def fingerprint(self) -> str | None:
        """Return a hash of what the rungs read; None if none reads anything."""
        read = {source: found for source, rung in self._rungs.items() if (found := rung.fingerprint()) is not None}
        return hashlib.sha256(repr(read).encode()).hexdigest()[:16] if read else None

    def known_metrics(self) -> Mapping[str, np.ndarray] | None:
        """Return what the top knows."""
        return self._top.known_metrics()

    def known_genomes(self) -> Sequence[Genome] | None:
        """Return what the top measures for nothing."""
        return self._top.known_genomes()

    def recorded_seconds(self, genome: Genome) -> float | None:
        """Return what the top has recorded."""
        return self._top.recorded_seconds(genome)

    def share(self) -> dict[Source, object] | None:
        """Return what the rungs share, by their sources."""
        shared = {source: part for source, rung in self._rungs.items() if (part := rung.share()) is not None}
        return shared or None

    def adopt(self, shared: object) -> None:
        """Give each rung what it has shared."""
        assert isinstance(shared, dict)
        for source, part in shared.items():
            self._rungs[source].adopt(part)

    def seed_for(self, genome: Genome) -> int:
        """Return the top's seed of an evaluation."""
        return self._top.seed_for(genome)

    def prepare(self) -> None:
        """Prepare every rung."""
        for rung in self._rungs.values():
            rung.prepare()

    def memory_bytes(self, genome: Genome) -> int | None:
        """Return what the top takes."""
        return self._top.memory_bytes(genome)

    def rehearse(self, genome: Genome) -> float:
        """Try every rung, and return the seconds that the top is estimated to take."""
        return [rung.rehearse(genome) for rung in self._rungs.values()][-1]
