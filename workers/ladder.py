"""The evaluator that joins others to a ladder of fidelities, from a cheap guess to the full measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evonas.component import Component, checked
from evonas.dataset import Dataset
from evonas.errors import ConfigError
from evonas.evaluation import Evaluator, Fidelity
from evonas.joined import Joined
from evonas.space import SearchSpace


class Ladder(Joined):
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
        supplies = {"space": space, "seed": seed, "data": data, "run_folder": run_folder}
        known = {name: supply for name, supply in supplies.items() if supply is not None}
        built: list[Evaluator] = [checked(rung, Evaluator).build(known) for rung in rungs]
        if len(built) < 2:
            raise ConfigError("'rungs' must name two evaluators or more, the cheapest first: one needs no ladder")
        sources = [str(rung.source) for rung in built]
        if len(set(sources)) < len(built) or any(isinstance(rung, Ladder) for rung in built):
            raise ConfigError(
                f"'rungs' must be of different sources, and are of {', '.join(sources)}: an evaluator that trains has "
                f"its own 'rungs', for several numbers of epochs"
            )
        super().__init__(built, built[-1])
        self._rungs = built

    @property
    def fidelities(self) -> Sequence[Fidelity]:
        """Those of the rungs, one after the other."""
        return [fidelity for rung in self._rungs for fidelity in rung.fidelities]
