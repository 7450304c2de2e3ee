"""What tests of strategies with a predictor inside share: how they are built over toys."""

from __future__ import annotations

from toy import ToySpace, toy_goals

from evonas.component import Component
from evonas.early_exit import EarlyExit
from evonas.goals import Goals
from evonas.strategies.surrogate import SurrogateStrategy

LINEAR = {"use": "toy_predictor:Linear"}
PLAIN = EarlyExit(ToySpace(length=8, redundant=False), ())
LARGE = EarlyExit(ToySpace(length=14), ())
"""Too large for a list of all networks."""


def surrogate(
    use: str, early_exit: EarlyExit = PLAIN, goals: Goals | None = None, seed: int = 0, **options: object
) -> SurrogateStrategy:
    """Return the strategy with a linear predictor and these options."""
    given = {"predictor": LINEAR, "initial": 10, "batch": 9, "lag": 4, "predictions": 300, **options}
    supplies = {
        "space": early_exit.space, "goals": goals or toy_goals(), "admit": early_exit.admit, "seed": seed,
    }  # fmt: skip
    strategy: SurrogateStrategy = Component(use, given).build(supplies)
    return strategy
