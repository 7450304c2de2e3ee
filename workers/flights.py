"""What the actors of a Ray pool are doing at the moment: starting, saying that they are alive, or evaluating."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from evonas.evaluation import Candidate, Worker
from evonas.workers.tasks import Task


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that has started: its actor, where it is, and the GPU that it shares with others, if it does."""

    actor: Any
    worker: Worker
    gpu: str | None = None
    seen: float = 0.0
    """When it was last heard of."""


@dataclass(frozen=True, slots=True)
class Flight:
    """What an actor is doing since `began`: evaluating tasks, greeting (no tasks), or starting (no member either)."""

    actor: Any
    member: Member | None = None
    tasks: tuple[Task, ...] = ()
    began: float = 0.0
    deadline: float = math.inf


class Flights:
    """The flights that are under way, by the references of their results."""

    def __init__(self) -> None:
        self._flights: dict[Any, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, reference: object) -> bool:
        return reference in self._flights

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._flights.values())

    @property
    def references(self) -> list[Any]:
        """The references of all flights."""
        return list(self._flights)

    @property
    def evaluating(self) -> bool:
        """Whether any candidate is under way."""
        return any(flight.tasks for flight in self)

    def begin(self, reference: Any, flight: Flight) -> None:
        """Add a flight."""
        self._flights[reference] = flight

    def end(self, reference: Any) -> Flight:
        """Take a flight away."""
        return self._flights.pop(reference)

    def clear(self) -> list[Task]:
        """Forget all flights; return the tasks that were under way, each once."""
        tasks = {task.candidate.id: task for flight in self for task in flight.tasks}
        self._flights.clear()
        return list(tasks.values())

    def of(self, task: Task) -> list[Any]:
        """Return the references of the flights that evaluate the candidate of a task."""
        id_ = task.candidate.id
        return [r for r, flight in self._flights.items() if any(t.candidate.id == id_ for t in flight.tasks)]

    def tell(self, task: Task, trouble: str) -> bool:
        """Let other flights of a task know that one has failed; say whether there are any."""
        others = self.of(task)
        for reference in others:
            self._flights[reference] = replace(self._flights[reference], tasks=(task.after(trouble),))
        return bool(others)

    def overdue(self, now: float) -> list[Any]:
        """Return the references of the flights whose deadline is over."""
        return [reference for reference, flight in self._flights.items() if flight.deadline <= now]

    def late(self, after: Callable[[Candidate], float], now: float) -> tuple[Task, ...]:
        """Return a task that is evaluated for longer than `after` says, in seconds, on its first attempt and once."""
        for flight in self:
            first = len(flight.tasks) == 1 and not flight.tasks[0].troubles
            late = first and flight.began <= now - after(flight.tasks[0].candidate)
            if late and len(self.of(flight.tasks[0])) == 1:
                return flight.tasks
        return ()

    def next_deadline(self) -> float:
        """Return when a deadline is over, infinity if there is none."""
        return min((flight.deadline for flight in self), default=math.inf)

    def next_late(self, after: Callable[[Candidate], float], now: float) -> float:
        """Return when the next evaluation will have taken longer than `after` says, infinity if none will."""
        moments = (flight.began + after(flight.tasks[0].candidate) for flight in self if flight.tasks)
        return min((moment for moment in moments if moment > now), default=math.inf)
