"""How sure a front is: what networks that were measured with several seeds say of their expected values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evonas.agreement import Interval, percentiles
from evonas.errors import require
from evonas.goals import Goals
from evonas.pareto import normalised_hypervolume, ranks

DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Confidence:
    """The probability of each network to be non-dominated, shape (networks,), and the hypervolume of all."""

    probabilities: np.ndarray
    hypervolume: Interval


def confidence(losses: np.ndarray, goals: Goals, rng: np.random.Generator) -> Confidence:
    """Say which networks are non-dominated in expectation, from `losses`, shape (networks, seeds, objectives).

    What is asked for is the network's mean over all seeds that there could be, not another training with one of them.
    Assumed: a network's losses are its means plus normal noise, whose covariance is the same for all networks (it is
    pooled over them: a deviation of three numbers says little, of three for each of ten networks enough), independent
    from network to network. Then the means, given what was measured, have a multivariate t distribution; `DRAWS` draws
    of all networks' means are compared, and a probability is the share of draws in which nothing dominates the network.
    An objective without noise, as a static cost, stays as it is. Noise that grows towards one end of the front makes
    probabilities there too sure, and too unsure elsewhere.

    The hypervolume is that of the means of all networks. It rises with the noise of its members, of which it takes the
    luckiest; the interval is the reflected one (2 * value - percentiles; "basic" in Davison and Hinkley 1997), which
    takes as much off as the draws add. Raises ConfigError for fewer than two seeds.
    """
    networks, seeds, objectives = losses.shape
    require("seeds", seeds, seeds >= 2, "at least 2: one measurement does not tell how far it is off")
    means = losses.mean(axis=1)
    residuals = (losses - means[:, None]).reshape(-1, objectives)
    freedom = networks * (seeds - 1)
    covariance = residuals.T @ residuals / freedom
    noise = rng.multivariate_normal(np.zeros(objectives), covariance / seeds, (DRAWS, networks), method="eigh")
    noise *= np.sqrt(freedom / rng.chisquare(freedom, DRAWS))[:, None, None]
    noise[..., np.diag(covariance) == 0] = 0.0  # what has no noise is not to lose ties by a rounding error
    drawn = means + noise
    value = normalised_hypervolume(means, goals)
    low, high = percentiles(np.array([normalised_hypervolume(draw, goals) for draw in drawn]))
    probabilities = np.mean([ranks(draw) == 0 for draw in drawn], axis=0)
    return Confidence(probabilities, Interval(value, max(0.0, 2 * value - high), 2 * value - low))
