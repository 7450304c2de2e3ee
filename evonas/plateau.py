"""Stops a search whose hypervolume no longer grows, with a confidence that is said."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from evonas.evaluation import Candidate, Evaluation, Outcome
from evonas.goals import Goals
from evonas.pareto import ParetoFront
from evonas.seeds import generator

RESAMPLES = 2_000


class Plateau:
    """Looks at what each of the latest `window` candidates has added to the hypervolume, in the order of their asking.

    A plateau is reached when both these candidates together, and with the given `confidence` the next as many, add less
    than `epsilon` of the hypervolume. The bound for the next is a bootstrap one: the gains of the window are drawn
    again, and their sum is less in so many of the draws. That assumes that gains to come are like those of the window,
    independent of each other. Searches find less and less, so it errs towards going on; but one that waits for a rare
    leap (a strategy that changes its mind, a part of the space that nobody has tried) is not seen by it. A window
    without any gain says only this: with confidence 0.95, fewer than 3 of the next `window` candidates add anything.

    Candidates without numbers add nothing, and those of lower fidelities, which no front takes, are not looked at. The
    answer depends on outcomes in the order of asking alone, and not on the
    order of their arrival.
    """

    def __init__(self, goals: Goals, seed: int, *, window: int, epsilon: float, confidence: float) -> None:
        self.reached: int | None = None
        """How many candidates it took to see the plateau; None before it is."""
        self._seed, self._epsilon, self._confidence = seed, epsilon, confidence
        self._front = ParetoFront(goals, ())
        self._gains: deque[float] = deque(maxlen=window)
        self._unsettled: deque[int] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._asked = self._settled = 0

    def asked(self, candidates: Iterable[Candidate]) -> None:
        """Take candidates in the order of asking."""
        top = [candidate.id for candidate in candidates if candidate.at_top]
        self._asked += len(top)
        self._unsettled.extend(top)

    def tell(self, outcome: Outcome) -> None:
        """Take an outcome, and look at all up to the first candidate that has none."""
        if outcome.candidate.at_top:
            self._outcomes[outcome.candidate.id] = outcome
        while self.reached is None and self._unsettled and self._unsettled[0] in self._outcomes:
            self._settle(self._outcomes.pop(self._unsettled.popleft()))

    def left(self, most_open: int | None) -> int | None:
        """Return how many more candidates may be asked for; None as long as it is not reached.

        A strategy that has up to `most_open` candidates open asks for as many beyond the plateau as it could have asked
        for before any number of workers had settled it: so the search ends with the same candidates on all of them.
        """
        if self.reached is None:
            return None
        return 0 if most_open is None else max(0, self.reached + most_open - 1 - self._asked)

    def _settle(self, outcome: Outcome) -> None:
        self._settled += 1
        before = self._front.hypervolume
        if isinstance(outcome, Evaluation):
            self._front = self._front.including(outcome)
        hypervolume = self._front.hypervolume
        self._gains.append(hypervolume - before)
        if len(self._gains) == self._gains.maxlen and self._bound() < self._epsilon * hypervolume:
            self.reached = self._settled

    def _bound(self) -> float:
        """Return the upper bound of the next window's gain; at least that of this one."""
        window, gains = len(self._gains), np.array([gain for gain in self._gains if gain > 0])
        if not len(gains):
            return 0.0
        shares = [*np.full(len(gains), 1 / window), 1 - len(gains) / window]
        draws = generator(self._seed, "plateau", self._settled).multinomial(window, shares, size=RESAMPLES)
        return max(float(gains.sum()), float(np.quantile(draws[:, :-1] @ gains, self._confidence)))
