"""An audit while the search runs: one of every so many networks is measured once more, by a better evaluator."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evonas.agreement import Agreement, Interval, agreement
from evonas.evaluation import FIRST_AUDIT, Candidate, Evaluation, Failure, Outcome, Source
from evonas.seeds import generator

ENOUGH = 8
"""Audited networks before which nobody is warned: the intervals of fewer are so wide that they mostly include 0."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One of `every` so many networks is measured by the evaluator of `source`; `metric` is compared with `against`."""

    every: int
    source: Source
    metric: str
    maximize: bool
    against: str
    against_maximize: bool

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Rule:
        """Return what a journal's header says."""
        return cls(**{**plain, "source": Source(plain["source"])})


@dataclass(frozen=True, slots=True)
class Finding:
    """What an audit has come to: networks with both values, audits that `failed`, the source of the search's values.

    `tau` is Kendall's with its bootstrap interval; None of too few networks, or where all have one value.
    """

    audited: int
    failed: int
    source: Source | None
    metric: str
    tau: Interval | None

    @property
    def doubtful(self) -> bool:
        """Whether enough networks do not show that the search orders networks at all."""
        return self.audited >= ENOUGH and (self.tau is None or self.tau.low <= 0)


class LiveAudit:
    """Says which networks are due to be audited, and compares what was measured of them.

    Candidates of the top fidelity make blocks of `every`, in the order of asking, as for `evonas.plateau.Plateau`. When
    all of a block have their outcomes, one of its evaluations is drawn, each as likely as any other, by a generator of
    the block's own. The audit of block k has the id `FIRST_AUDIT` + k, and the drawn candidate as parent. Neither what
    is drawn nor what is found depends on the order in which outcomes arrive: audits count up to the first that has no
    outcome yet. A block without numbers has no audit, nor has an incomplete one until the search is prolonged.
    """

    def __init__(self, rule: Rule, seed: int) -> None:
        self.rule = rule
        self.pairs: list[tuple[Evaluation, Evaluation]] = []
        """What the search and what its audits measured of networks."""
        self.failures: list[Failure] = []
        self._seed = seed
        self._blocks = 0
        self._block: list[Outcome] = []
        self._unsettled: deque[int] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._due: dict[int, Candidate] = {}
        self._drawn: deque[tuple[int, Evaluation]] = deque()

    @property
    def due(self) -> list[Candidate]:
        """The audits to ask for now."""
        return list(self._due.values())

    def copy(self) -> LiveAudit:
        """Return a copy whose findings stay as they are."""
        still = copy(self)
        still.pairs, still.failures = list(self.pairs), list(self.failures)
        return still

    def asked(self, candidates: Sequence[Candidate]) -> None:
        """Take candidates in the order of asking, audits among them."""
        for candidate in candidates:
            if candidate.is_audit:
                del self._due[candidate.id]
            elif candidate.at_top:
                self._unsettled.append(candidate.id)

    def tell(self, outcome: Outcome) -> None:
        """Take an outcome; it counts as soon as all before it are there."""
        if not (outcome.candidate.is_audit or outcome.candidate.at_top):
            return
        self._outcomes[outcome.candidate.id] = outcome
        while self._unsettled and self._unsettled[0] in self._outcomes:
            self._block.append(self._outcomes.pop(self._unsettled.popleft()))
            if len(self._block) == self.rule.every:
                self._draw()
        while self._drawn and self._drawn[0][0] in self._outcomes:
            id_, searched = self._drawn.popleft()
            audited = self._outcomes.pop(id_)
            if isinstance(audited, Evaluation):
                self.pairs.append((searched, audited))
            elif isinstance(audited, Failure):
                self.failures.append(audited)

    def agreement(self, audited: int | None = None) -> Agreement | None:
        """Return how the values of the search order the first `audited` networks, of all if none is given."""
        rule, pairs = self.rule, self.pairs[:audited]
        searched = np.array([_loss(first, rule.metric, rule.maximize) for first, _ in pairs])
        true = np.array([_loss(second, rule.against, rule.against_maximize) for _, second in pairs])
        return agreement(searched, true, generator(self._seed, "audit", "tau", len(pairs)))

    @property
    def seconds(self) -> float:
        """What the audits have cost."""
        return sum(audited.seconds for _, audited in self.pairs if audited.reused_from is None)

    def finding(self) -> Finding:
        """Return what all audits have come to."""
        found = self.agreement()
        source = self.pairs[0][0].source if self.pairs else None
        tau = found.kendall_tau if found else None
        return Finding(len(self.pairs), len(self.failures), source, self.rule.metric, tau)

    def _draw(self) -> None:
        number, self._blocks = self._blocks, self._blocks + 1
        evaluations = [outcome for outcome in self._block if isinstance(outcome, Evaluation)]
        self._block = []
        if evaluations:
            chosen = evaluations[int(generator(self._seed, "audit", number).integers(len(evaluations)))]
            network, id_ = chosen.candidate, FIRST_AUDIT + number
            self._due[id_] = replace(network, id=id_, parents=(network.id,), source=self.rule.source)
            self._drawn.append((id_, chosen))


def _loss(evaluation: Evaluation, metric: str, maximize: bool) -> float:
    return -evaluation.metrics[metric] if maximize else evaluation.metrics[metric]
