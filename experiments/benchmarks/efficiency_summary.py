"""What runs of a contestant on a problem come to: shares of the true front's hypervolume, and evaluations needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from efficiency_problems import Problem
from efficiency_runs import Run
from scipy.stats import bootstrap

BUDGETS = (25, 50, 100, 200, 400)
TARGETS = (0.95, 0.99)


@dataclass(frozen=True)
class Share:
    """The mean share of several seeds after a number of evaluations, with its bootstrap 95 % interval."""

    evaluations: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Needed:
    """The median over seeds of the evaluations that a share takes; None where half of the seeds do not reach it."""

    share: float
    median: float | None
    not_reached: int


@dataclass(frozen=True)
class Summary:
    """The row of a contestant in the table of a problem; `curve` is the mean share after each evaluation."""

    problem: str
    contestant: str
    seeds: int
    shares: tuple[Share, ...]
    needed: tuple[Needed, ...]
    seconds: float
    distinct: float
    curve: np.ndarray

    def plain(self) -> dict[str, Any]:
        """Return the row flat, for a file."""
        shares = {f"share_{s.evaluations}{part}": value for s in self.shares for part, value in _parts(s)}
        needed = {f"evaluations_for_{n.share}": n.median for n in self.needed}
        missed = {f"seeds_without_{n.share}": n.not_reached for n in self.needed}
        about = {"problem": self.problem, "contestant": self.contestant, "seeds": self.seeds}
        return {**about, **shares, **needed, **missed, "seconds": self.seconds, "distinct": self.distinct}


def summary(problem: Problem, runs: Sequence[Run]) -> Summary:
    """Return what equally long runs of one contestant come to; one that exhausted the space stays as it is."""
    evaluations = runs[0].evaluations
    curves = np.array([_padded(problem.shares(run.rows), evaluations) for run in runs])
    return Summary(
        problem=problem.name,
        contestant=runs[0].contestant,
        seeds=len(runs),
        shares=tuple(_share(curves[:, budget - 1], budget) for budget in BUDGETS if budget <= evaluations),
        needed=tuple(_needed(curves, target) for target in TARGETS),
        seconds=float(np.mean([run.seconds for run in runs])),
        distinct=float(np.mean([len(set(run.rows)) for run in runs])),
        curve=curves.mean(axis=0),
    )


def _share(shares: np.ndarray, budget: int) -> Share:
    mean = float(shares.mean())
    if len(shares) < 2 or np.ptp(shares) == 0:
        return Share(budget, mean, mean, mean)
    interval = bootstrap((shares,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return Share(budget, mean, float(interval.low), float(interval.high))


def _needed(curves: np.ndarray, target: float) -> Needed:
    reached = (curves >= target).any(axis=1)
    first = np.where(reached, (curves >= target).argmax(axis=1) + 1.0, np.inf)
    median = float(np.median(first))
    return Needed(target, median if np.isfinite(median) else None, int((~reached).sum()))


def _padded(curve: np.ndarray, evaluations: int) -> np.ndarray:
    return np.pad(curve, (0, evaluations - len(curve)), mode="edge")


def _parts(share: Share) -> tuple[tuple[str, float], ...]:
    return ("", share.mean), ("_low", share.low), ("_high", share.high)
