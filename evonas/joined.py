"""An evaluator made of several, each of sources of its own: a candidate is measured by the one of its source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from evonas.errors import ConfigError
from evonas.evaluation import Evaluator, Fidelity, Source
from evonas.space import Genome, Metrics


class Joined(Evaluator):
    """Joins `parts`, one of which is the `top`: it measures candidates without a source, and is what a search knows of.

    Its metrics are what the search may trade off, its recipe options what it may search, its fidelities those of the
    search, and what it knows beforehand is known. The other parts measure candidates that name their source.
    """

    def __init__(self, parts: Sequence[Evaluator], top: Evaluator) -> None:
        super().__init__(top.space, top.seed)
        self._parts, self._top = parts, top
        self.source = top.source
        self.metrics = top.metrics
        self.recipe_options = top.recipe_options
        self.gates = top.gates
        self.inherits = top.inherits

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """Those of the top."""
        return self._top.fidelities

    def at(self, source: Source | None) -> Evaluator:
        """Return the part of a source; raise ConfigError if there is none."""
        if source is None:
            return self._top.at(None)
        for part in self._parts:
            if source in sources(part):
                return part.at(source)
        known = ", ".join(source for part in self._parts for source in sources(part))
        raise ConfigError(f"no evaluator of the source {source} is among those that are joined: they are of {known}")

    def measure(self, genome: Genome, budget: int | None) -> Metrics:
        """Return what the top measures."""
        return self._top.measure(genome, budget)

    def measure_child(self, genome: Genome, budget: int | None, parents: Sequence[Genome]) -> Metrics:
        """Return what the top measures of a child."""
        return self._top.measure_child(genome, budget, parents)

    def fingerprint(self) -> str | None:
        """Return a hash of what the parts read; None if none reads anything."""
        read = {part.source: found for part in self._parts if (found := part.fingerprint()) is not None}
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
        """Return what the parts share, by their sources."""
        shared = {part.source: own for part in self._parts if (own := part.share()) is not None}
        return shared or None

    def adopt(self, shared: object) -> None:
        """Give each part what it has shared."""
        assert isinstance(shared, dict)
        for part in self._parts:
            if part.source in shared:
                part.adopt(shared[part.source])

    def seed_for(self, genome: Genome) -> int:
        """Return the top's seed of an evaluation."""
        return self._top.seed_for(genome)

    def prepare(self) -> None:
        """Prepare every part."""
        for part in self._parts:
            part.prepare()

    def memory_bytes(self, genome: Genome) -> int | None:
        """Return what the top takes."""
        return self._top.memory_bytes(genome)

    def rehearse(self, genome: Genome) -> float:
        """Try every part, and return the seconds that the top is estimated to take."""
        seconds = {part.source: part.rehearse(genome) for part in self._parts}
        return seconds[self._top.source]


def sources(evaluator: Evaluator) -> list[Source]:
    """Return the sources that an evaluator has, each once, the cheapest first."""
    return list(dict.fromkeys(fidelity.source for fidelity in evaluator.fidelities))
