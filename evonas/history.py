"""What has happened in a search so far: the fold of its journal's events."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from evonas import journal
from evonas.errors import JournalError
from evonas.evaluation import Candidate, Evaluation, Failure, Fidelity, Outcome, Rejection
from evonas.goals import Constraint, Goals, Objective
from evonas.journal import Asked, Closed, Continued, Event, Finished, Header, Joined
from evonas.live_audit import LiveAudit, Rule
from evonas.pareto import ParetoFront

JOURNAL = "journal.jsonl"

T = TypeVar("T", Evaluation, Failure, Rejection)


@dataclass(frozen=True, slots=True)
class Generation:
    """The state of a search when a generation was complete; every number is cumulative."""

    number: int
    evaluated: int
    failed: int
    rejected: int
    turned_away: int
    front_size: int
    hypervolume: float
    best: dict[str, float]
    elapsed: float


@dataclass(frozen=True, slots=True)
class Spent:
    """How many evaluations a fidelity had, those of a cache included, and the seconds that they cost this search."""

    evaluations: int = 0
    seconds: float = 0.0


class History:
    """Asked candidates, outcomes and gate counts, in the order of the journal; `apply` adds an event.

    The front is kept as outcomes arrive, so that asking for it is cheap at any time. Audits are among `candidates`,
    `outcomes` and `pending`; everything else is of what the strategy asked for, `audit` aside.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.config = header.config
        self.goals = Goals(
            tuple(Objective(**objective) for objective in header.objectives),
            tuple(Constraint(**constraint) for constraint in header.constraints),
        )
        self.audit = LiveAudit(Rule.of(header.audit), header.config["seed"]) if header.audit else None
        self.asked = self.done = 0
        """How many candidates the strategy has asked for, and how many of them have their outcomes."""
        self.candidates: dict[int, Candidate] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.ended: dict[int, float] = {}
        """When each candidate got its outcome, in seconds of the search."""
        self.turned_away: Counter[str] = Counter()
        self.generations: list[Generation] = []
        self.front = ParetoFront(self.goals, ())
        """Of the evaluations at the top fidelity: what was only estimated never comes onto it."""
        self.spent: dict[Fidelity, Spent] = {}
        """What evaluations came to at each fidelity, in the order in which they were first reached."""
        self.failures_in_a_row: list[Failure] = []
        self.evaluated_seconds = 0.0
        """What evaluations have cost this search: those that a cache had are not in it."""
        self.reused = 0
        self.closed: str | None = None
        self.remarks: Mapping[str, float] = {}
        """What the strategy said of the search when it last ended."""
        self.elapsed = 0.0
        self._reused_seconds = 0.0
        self._kinds: Counter[type[Outcome]] = Counter()
        self._open: Counter[int] = Counter()
        self._newest_generation = 0
        self._unsettled: deque[int] = deque()
        self._streak: list[Failure] = []

    @classmethod
    def read(cls, run_folder: Path) -> History:
        """Read the journal of a run folder; raise JournalError if there is none."""
        return cls.replay(journal.read(run_folder / JOURNAL))

    @classmethod
    def replay(cls, events: Iterable[Event]) -> History:
        """Fold `events`, the first of which is a Header."""
        remaining = iter(events)
        header = next(remaining, None)
        if not isinstance(header, Header):
            raise JournalError("the journal is empty: no search was started here")
        history = cls(header)
        for event in remaining:
            history.apply(event)
        return history

    def apply(self, event: Event) -> list[Generation]:
        """Add an event; return the generations that it completed."""
        match event:
            case Asked(candidates, turned_away):
                self.closed = None
                own = [candidate for candidate in candidates if not candidate.is_audit]
                completed = self._complete(before=min((c.generation for c in own), default=0))
                self.candidates.update((candidate.id, candidate) for candidate in candidates)
                self.asked += len(own)
                self._open.update(candidate.generation for candidate in own)
                self._unsettled.extend(candidate.id for candidate in own)
                self._newest_generation = max([self._newest_generation, *(c.generation for c in own)])
                if self.audit:
                    self.audit.asked(candidates)
                self.turned_away.update(turned_away)
                return completed
            case Finished(outcome, elapsed):
                self.closed, self.elapsed = None, elapsed
                self.ended[outcome.candidate.id] = elapsed
                self._add(outcome)
                return self._complete(before=self._newest_generation)
            case Closed(reason, elapsed, remarks):
                self.closed, self.elapsed, self.remarks = reason, elapsed, remarks
                self.failures_in_a_row, self._streak = [], []  # who resumes after a stop has mended something
                return self._complete(before=1 + self._newest_generation if self.candidates else 0)
            case Continued(config):
                if config.get("strategy") != self.config.get("strategy"):  # more is listed: it is not exhausted now
                    self.closed = None
                self.config = config
            case Joined():
                pass
            case Header():
                raise JournalError("a journal has one header, its first line")
        return []

    @property
    def evaluations(self) -> list[Evaluation]:
        """The candidates with numbers, by id."""
        return self._of_kind(Evaluation)

    @property
    def measured(self) -> list[Evaluation]:
        """The evaluations at the top fidelity, by id: those that may come onto the front."""
        return [evaluation for evaluation in self.evaluations if evaluation.candidate.at_top]

    @property
    def failures(self) -> list[Failure]:
        """The candidates that failed, by id."""
        return self._of_kind(Failure)

    @property
    def rejections(self) -> list[Rejection]:
        """The candidates that a gate on a worker turned away, by id."""
        return self._of_kind(Rejection)

    @property
    def pending(self) -> list[Candidate]:
        """The candidates asked for that have no outcome yet, by id."""
        return [candidate for id_, candidate in sorted(self.candidates.items()) if id_ not in self.outcomes]

    @property
    def share_reached(self) -> float | None:
        """The front's hypervolume as a share of the most that can be reached; None where that is not known."""
        known = self.header.known_hypervolume
        return self.front.hypervolume / known if known else None

    @property
    def mean_seconds(self) -> float:
        """The mean duration of an evaluation, wherever it was made, 0 before the first."""
        evaluated = self._kinds[Evaluation]
        return (self.evaluated_seconds + self._reused_seconds) / evaluated if evaluated else 0.0

    def _of_kind(self, kind: type[T]) -> list[T]:
        ordered = (outcome for _, outcome in sorted(self.outcomes.items()))
        return [o for o in ordered if isinstance(o, kind) and not o.candidate.is_audit]

    def _add(self, outcome: Outcome) -> None:
        self.outcomes[outcome.candidate.id] = outcome
        if self.audit:
            self.audit.tell(outcome)
        if outcome.candidate.is_audit:
            return
        self.done += 1
        self._kinds[type(outcome)] += 1
        self._open[outcome.candidate.generation] -= 1
        if isinstance(outcome, Evaluation):
            cost = outcome.seconds if outcome.reused_from is None else 0.0
            before = self.spent.get(outcome.fidelity, Spent())
            self.spent[outcome.fidelity] = Spent(before.evaluations + 1, before.seconds + cost)
            self.evaluated_seconds += cost
            if outcome.reused_from is not None:
                self.reused += 1
                self._reused_seconds += outcome.seconds
            if outcome.candidate.at_top:
                self.front = self.front.including(outcome)
        self._settle()

    def _settle(self) -> None:
        """Count failures in a row by id, as far as all have their outcomes, so that the count has no race in it."""
        while self._unsettled and (outcome := self.outcomes.get(self._unsettled[0])) is not None:
            self._unsettled.popleft()
            self._streak = [*self._streak, outcome] if isinstance(outcome, Failure) else []
            self.failures_in_a_row = max(self.failures_in_a_row, self._streak, key=len)

    def _complete(self, before: int) -> list[Generation]:
        """Close the generations below `before` that have no open candidates and are not closed yet."""
        completed = []
        while len(self.generations) < before and self._open[len(self.generations)] == 0:
            completed.append(self._summary(len(self.generations)))
            self.generations.append(completed[-1])
        return completed

    def _summary(self, number: int) -> Generation:
        best = {}
        for column, objective in enumerate(self.goals.objectives):
            if self.front.members:
                member = self.front.members[int(self.front.losses[:, column].argmin())]
                best[objective.metric] = member.metrics[objective.metric]
        return Generation(
            number=number,
            evaluated=self._kinds[Evaluation],
            failed=self._kinds[Failure],
            rejected=self._kinds[Rejection],
            turned_away=self.turned_away.total(),
            front_size=len(self.front.members),
            hypervolume=self.front.hypervolume,
            best=best,
            elapsed=self.elapsed,
        )
