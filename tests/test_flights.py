"""What is under way is known by its references, once for each candidate however many workers evaluate it."""

from __future__ import annotations

import math
from collections.abc import Callable

from toy import candidates

from evonas.evaluation import Candidate, Worker
from evonas.workers.flights import Flight, Flights, Member
from evonas.workers.tasks import Task

MEMBER = Member("actor", Worker("alpha", "cpu"))
ONE, TWO, THREE = (Task(candidate) for candidate in candidates(0, 3))


def evaluating(*tasks: Task, began: float = 0.0, deadline: float = math.inf) -> Flight:
    return Flight("actor", MEMBER, tasks, began, deadline)


def under_way(**flights: Flight) -> Flights:
    made = Flights()
    for reference, flight in flights.items():
        made.begin(reference, flight)
    return made


def seconds(number: float) -> Callable[[Candidate], float]:
    return lambda candidate: number


def test_a_candidate_that_two_workers_evaluate_is_lost_once() -> None:
    flights = under_way(a=evaluating(ONE), b=evaluating(TWO, THREE), c=evaluating(ONE), d=Flight("starting"))
    assert flights.of(ONE) == ["a", "c"]
    assert flights.clear() == [ONE, TWO, THREE]
    assert (len(flights), flights.evaluating) == (0, False)


def test_a_second_flight_knows_that_the_first_has_failed_and_gets_no_third() -> None:
    flights = under_way(a=evaluating(ONE, began=1), b=evaluating(ONE, began=5))
    assert flights.late(seconds(2), now=9) == (), "there are two already"
    flights.end("a")
    assert flights.late(seconds(2), now=9) == (ONE,)
    assert flights.tell(ONE, "hung")
    assert [task.troubles for flight in flights for task in flight.tasks] == [("hung",)]
    assert flights.late(seconds(2), now=9) == ()
    flights.end("b")
    assert not flights.tell(ONE, "hung")


def test_late_are_single_candidates_that_take_longer_than_they_may() -> None:
    flights = under_way(a=evaluating(ONE, TWO, began=0), b=Flight("starting"), c=evaluating(THREE, began=4))
    assert flights.late(seconds(5), now=8) == ()
    assert flights.late(seconds(5), now=9) == (THREE,)
    assert tuple(flights.next_late(seconds(5), now=now) for now in (3, 6, 9)) == (
        5,
        9,
        math.inf,
    )


def test_deadlines_are_found() -> None:
    flights = under_way(a=evaluating(ONE, deadline=7), b=evaluating(TWO, deadline=5), c=Flight("starting"))
    assert (flights.next_deadline(), flights.overdue(4.9), flights.overdue(5), flights.overdue(9)) == (
        5, [], ["b"], ["a", "b"],
    )  # fmt: skip
