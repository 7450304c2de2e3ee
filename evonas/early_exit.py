"""Early exit: gates turn a genome away before it costs anything, or anything more, and leave a receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evonas.errors import GateError
from evonas.evaluation import Candidate, Evaluator, Rejected
from evonas.history import History
from evonas.journal import Header
from evonas.seeds import generator
from evonas.space import Genome, Metrics, SearchSpace

SAMPLE = 2_000
"""Genomes drawn to resolve quantiles and to measure acceptance."""

AppliesTo = Literal["all", "initial"]


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on a static cost or, `on_workers`, on what an evaluator measures there.

    `initial` gates the initial population only, the rule of the EEEA-Net paper (EE-PI).
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    applies_to: AppliesTo = "all"
    on_workers: bool = False

    @property
    def name(self) -> str:
        """The gate as a person would write it, e.g. `params <= 300000`."""
        bounds = [f">= {self.at_least:.10g}"] if self.at_least is not None else []
        bounds += [f"<= {self.at_most:.10g}"] if self.at_most is not None else []
        return f"{self.metric} {' and '.join(bounds)}" + (" (initial)" if self.applies_to == "initial" else "")

    def passes(self, value: float) -> bool:
        """Say whether `value` is within the bounds."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


@dataclass(frozen=True, slots=True)
class WorkerGate:
    """A gate on what `evaluator` measures, a proxy or a prediction: one of `Evaluator.gates`.

    What it has measured is kept under the metric's name; where that `clashes` with a metric of the evaluation, as a
    predicted error does with the error, the source is put before it: `predicted_valid_error`.
    """

    gate: Gate
    evaluator: Evaluator
    clashes: bool = False

    def asks(self, candidate: Candidate) -> bool:
        """Say whether the gate applies to the candidate."""
        return self.gate.applies_to == "all" or candidate.generation == 0

    def __call__(self, candidate: Candidate) -> Metrics:
        """Return the measured value, nothing if the gate does not apply; raise Rejected if it is out of bounds."""
        gate = self.gate
        if not self.asks(candidate):
            return {}
        value = self.evaluator.measure(candidate.genome, None)[gate.metric]
        if not gate.passes(value):
            low = gate.at_least is not None and not value >= gate.at_least
            raise Rejected(gate.name, value, (gate.at_least if low else gate.at_most) or 0.0)
        return {f"{self.evaluator.source}_{gate.metric}" if self.clashes else gate.metric: value}


class EarlyExit:
    """The gates of a search, in the order in which they are asked: `admit` counts what each turns away."""

    def __init__(self, space: SearchSpace, gates: Sequence[Gate]) -> None:
        self.space = space
        self.gates = tuple(gates)
        self._turned_away: Counter[str] = Counter()

    def admit(self, genome: Genome, *, initial: bool = False, counted: bool = True) -> bool:
        """Say whether a canonical genome passes every gate; the first that it does not pass counts it."""
        if not self.gates:
            return True
        costs = self.space.costs(genome)
        for gate in self.gates:
            if (initial or gate.applies_to == "all") and not gate.passes(costs[gate.metric]):
                if counted:
                    self._turned_away[gate.name] += 1
                return False
        return True

    def take_counts(self) -> dict[str, int]:
        """Return what each gate turned away since the last call."""
        counts = dict(self._turned_away)
        self._turned_away.clear()
        return counts


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a gate does to uniform genomes: the share that it lets through and the range of its metric among them."""

    gate: Gate
    share: float
    smallest: float
    largest: float


def sample_costs(space: SearchSpace, seed: int = 0, size: int = SAMPLE) -> list[Mapping[str, float]]:
    """Return the costs of `size` uniform genomes in canonical form.

    A search leaves the seed at 0, whatever its own: bounds given as quantiles, and hypervolumes measured from them, can
    then be compared between seeds.
    """
    rng = generator(seed, "gates")
    return [space.costs(space.canonical(space.sample(rng))) for _ in range(size)]


def quantile(metric: str, share: float, costs: Sequence[Mapping[str, float]]) -> float:
    """Return the bound below which that share of the sampled networks lies."""
    return float(np.quantile([cost[metric] for cost in costs], share))


def acceptance(gates: Sequence[Gate], costs: Sequence[Mapping[str, float]]) -> list[Acceptance]:
    """Measure each gate on sampled costs."""
    rows = []
    for gate in gates:
        values = [cost[gate.metric] for cost in costs]
        rows.append(Acceptance(gate, float(np.mean([gate.passes(v) for v in values])), min(values), max(values)))
    return rows


def joint_acceptance(gates: Sequence[Gate], costs: Sequence[Mapping[str, float]]) -> float:
    """Return the share of sampled costs that pass all gates."""
    return float(np.mean([all(gate.passes(cost[gate.metric]) for gate in gates) for cost in costs]))


def check_reachable(gates: Sequence[Gate], costs: Sequence[Mapping[str, float]]) -> None:
    """Raise GateError if no sampled network passes all gates."""
    if joint_acceptance(gates, costs) > 0:
        return
    lines = [
        f"  {row.gate.name}: lets {row.share:.1%} through; "
        f"{row.gate.metric} seen from {row.smallest:,.10g} to {row.largest:,.10g}"
        for row in acceptance(gates, costs)
    ]
    raise GateError(
        f"the gates turn away all of {len(costs):,} sampled networks:\n"
        + "\n".join(lines)
        + "\nloosen a bound, or give it as a quantile of the space, e.g. at_most: {quantile: 0.5}"
    )


def static_gates(header: Header) -> list[Gate]:
    """Return the gates of a search that has begun, without those on workers."""
    return [gate for gate in (Gate(**gate) for gate in header.gates) if not gate.on_workers]


def receipt(history: History) -> dict[str, dict[str, float]]:
    """Say for each gate how many candidates it turned away, and the seconds that this is estimated to have saved.

    The estimate takes the mean duration of the networks that were evaluated: low where larger networks take longer, and
    high by what a gate on workers has itself cost.
    A network that was proposed and turned away several times counts each time.
    """
    counts = Counter({Gate(**gate).name: 0 for gate in history.header.gates})
    counts.update(history.turned_away)
    for outcome in history.rejections:
        counts[outcome.gate] += 1
    return {
        name: {"turned_away": count, "estimated_seconds_saved": round(count * history.mean_seconds, 3)}
        for name, count in counts.items()
    }
