"""Calibration: a few rehearsals say how long an evaluation takes, by the size of the network."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from evonas.compose import Search
from evonas.evaluation import Candidate, Rejected
from evonas.forecast import Calibration
from evonas.rehearsal import at_quantiles, in_size, rehearse
from evonas.space import Genome

SHARES = (0.05, 0.275, 0.5, 0.725, 0.95)
"""Where the rehearsed networks lie among those that the gates admit, by MACs."""

LONG_SECONDS = 30.0
"""A first evaluation of that length is not repeated to learn what warming up adds to it."""

SHORT_SECONDS, REPEATS = 0.02, 15
"""An evaluation that is shorter is repeated, and its median taken: the clock and the machine are too coarse for one."""

HELPS = 0.5
"""The size of networks explains durations where it leaves at most that part of their variance."""

SHORTEST_SECONDS = 1e-6


def calibrate(search: Search, tell: Callable[[str], None] = lambda line: None) -> Calibration:
    """Rehearse networks of a search, telling of each; raise ConfigError if one fails."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    genomes = list(dict.fromkeys(at_quantiles(search, SHARES, "macs")))
    first = _rehearsed(search, genomes[0])
    measured: list[tuple[float, float]] = []
    turned_away: list[tuple[float, float]] = []
    warm_up = 0.0
    for number, genome in enumerate(genomes):
        again = number > 0 or first[1] < LONG_SECONDS
        seconds, wall = _rehearsed(search, genome) if again else first
        if number == 0:
            warm_up = max(0.0, first[1] - wall)
        if seconds is not None and wall < SHORT_SECONDS:
            repeated = [_rehearsed(search, genome)[0] or seconds for _ in range(REPEATS)]
            seconds = statistics.median([seconds, *repeated])
        macs = search.space.costs(genome).get("macs", 0.0)
        (turned_away if seconds is None else measured).append((macs, wall if seconds is None else seconds))
        said = "turned away by the evaluator's own gates" if seconds is None else f"about {seconds:.3g} s"
        tell(f"rehearsed a network of {macs:,.0f} MACs: {said}" if macs else f"rehearsed a network: {said}")
    points = [(macs, max(seconds, SHORTEST_SECONDS)) for macs, seconds in measured or turned_away]
    fixed, per_mac, sigma = fit(points)
    middling = genomes[len(genomes) // 2]
    whole = fixed + per_mac * search.space.costs(middling).get("macs", 0.0)
    return Calibration(
        tuple(points), fixed, per_mac, sigma, warm_up, len(turned_away), load, _parts(search, middling, whole, tell)
    )


def _parts(search: Search, genome: Genome, whole: float, tell: Callable[[str], None]) -> dict[str, float]:
    """Return the seconds at each fidelity over those of a whole evaluation, where there are several of them.

    Another source than the top's is rehearsed on one network.
    """
    top, parts = search.evaluator, dict[str, float]()
    if not search.climbs:
        return parts
    began = time.perf_counter()
    with suppress(Rejected):
        for gate in top.gates:  # asked at every fidelity
            gate(Candidate(0, genome, 0))
    gates = time.perf_counter() - began if top.gates else 0.0
    seconds = {top.source: max(whole - gates, SHORTEST_SECONDS)}
    for fidelity in top.fidelities:
        rung = top.at(None if fidelity.source is top.source else fidelity.source)
        if fidelity.source not in seconds:
            network = f"a network{in_size(search, genome)}, {fidelity.source},"
            seconds[fidelity.source] = rehearse(replace(search, evaluator=rung), genome, network)
            tell(f"rehearsed what is {fidelity.source}: about {seconds[fidelity.source]:.3g} s")
        parts[str(fidelity)] = (gates + seconds[fidelity.source] * rung.part_of_seconds(fidelity.budget)) / whole
    return parts


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Return seconds that are fixed, seconds per MAC, both 0 or more, and the spread around them as a lognormal sigma.

    Without a trend that explains `HELPS` of the variance all seconds are fixed.
    """
    from scipy.optimize import nnls

    macs, seconds = np.array(points).T
    fixed, per_mac, unexplained = seconds.mean(), 0.0, float(((seconds - seconds.mean()) ** 2).sum())
    free = len(points) - 1
    if len(points) > 2 and macs.max() > macs.min():
        scale = macs.mean()
        (a, b), distance = nnls(np.column_stack([np.ones(len(macs)), macs / scale]), seconds)
        if distance**2 <= HELPS * unexplained:
            fixed, per_mac, unexplained, free = a, b / scale, float(distance**2), len(points) - 2
    variation = unexplained / max(1, free) / np.mean((fixed + per_mac * macs) ** 2)
    return max(float(fixed), SHORTEST_SECONDS), float(per_mac), math.sqrt(math.log1p(variation))


def _rehearsed(search: Search, genome: Genome) -> tuple[float | None, float]:
    """Return the seconds of an evaluation, None if its gates turn the network away, and those that pass here."""
    network = f"a network{in_size(search, genome)}"
    started = time.perf_counter()
    try:
        seconds: float | None = rehearse(search, genome, network)
    except Rejected:
        seconds = None
    return seconds, time.perf_counter() - started
