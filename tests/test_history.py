"""A history is the fold of a journal's events, whatever the order of outcomes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from toy import candidates, evaluated, failed, header, rejected, toy_goals

from evonas.errors import JournalError
from evonas.evaluation import Candidate, Evaluation, Fidelity, Outcome, Source
from evonas.goals import Constraint
from evonas.history import JOURNAL, History, Spent
from evonas.journal import Asked, Closed, Continued, Event, Finished, Journal
from evonas.pareto import ParetoFront


def history_of(*events: Event) -> History:
    return History.replay([header(), *events])


def finished(*outcomes: Outcome) -> list[Event]:
    return [Finished(outcome, float(outcome.candidate.id)) for outcome in outcomes]


def test_a_history_counts_what_happened_by_id() -> None:
    four = candidates(0, 5)
    history = history_of(
        Asked(four, {"params <= 9": 2}),
        *finished(evaluated(four[3]), rejected(four[2]), failed(four[0]), evaluated(four[1])),
    )
    assert [e.candidate.id for e in history.evaluations] == [1, 3]
    assert [f.candidate.id for f in history.failures] == [0]
    assert [r.candidate.id for r in history.rejections] == [2]
    assert history.pending == [four[4]]
    assert history.turned_away == {"params <= 9": 2}
    assert (history.mean_seconds, history.elapsed, history.closed) == (2.0, 1.0, None)


def test_a_front_is_of_the_top_fidelity_and_costs_are_told_apart() -> None:
    top, few, guess, other = candidates(0, 4)
    few, guess = replace(few, budget=3), replace(guess, source=Source.ZERO_COST)
    guessed = Evaluation(guess, {"goodness": 1.0, "params": 1.0}, Source.ZERO_COST, seconds=0.1, seed=0)
    reused = replace(evaluated(other, error=0.9, params=1.0), reused_from="before/1")
    history = history_of(
        Asked([top, few, guess, other]), *finished(guessed, evaluated(few, error=0.01), evaluated(top), reused)
    )
    assert [member.candidate.id for member in history.front.members] == [0, 3]
    assert [evaluation.candidate.id for evaluation in history.measured] == [0, 3]
    assert history.spent == {
        Fidelity(Source.ZERO_COST): Spent(1, 0.1),
        Fidelity(Source.TABULAR, 3): Spent(1, 2.0),
        Fidelity(Source.TABULAR): Spent(2, 2.0),
    }
    assert history.evaluated_seconds == 4.1


def test_what_a_cache_had_is_not_counted_as_spent() -> None:
    """Its duration still says how long an evaluation takes, which the receipt of the gates is made of."""
    three = candidates(0, 3)
    outcomes = [evaluated(candidate) for candidate in three]
    history = history_of(Asked(three), *finished(outcomes[0], *(replace(o, reused_from="old/7") for o in outcomes[1:])))
    assert (history.evaluated_seconds, history.mean_seconds, history.reused) == (2.0, 2.0, 2)


def test_how_far_a_search_has_come_is_known_where_the_true_front_is() -> None:
    (candidate,) = candidates(0, 1)
    events: list[Event] = [Asked([candidate]), *finished(evaluated(candidate))]
    hypervolume = history_of(*events).front.hypervolume
    known = History.replay([replace(header(), known_hypervolume=2 * hypervolume), *events])
    assert known.share_reached == pytest.approx(0.5)
    assert history_of(*events).share_reached is None


def test_an_empty_history_has_nothing() -> None:
    history = history_of()
    assert (history.evaluations, history.pending, history.generations, history.mean_seconds) == ([], [], [], 0.0)
    assert history.front.members == ()
    assert [history.apply(Closed("exhausted", 1.0)), history.closed] == [[], "exhausted"]


@pytest.mark.parametrize("constraints", [[], [Constraint("params", at_most=6.0)]])
def test_the_front_is_that_of_all_evaluations_in_any_order(constraints: list[Constraint]) -> None:
    rng, goals = random.Random(0), toy_goals(*constraints)
    for _ in range(100):
        asked = candidates(0, rng.randint(1, 25))
        outcomes = [evaluated(c, rng.randint(1, 6) / 10, rng.randint(1, 9)) for c in asked]  # with many ties
        expected = ParetoFront.of(outcomes, goals)
        history = History.replay([header(constraints), Asked(asked), *finished(*rng.sample(outcomes, len(outcomes)))])
        assert list(history.front.members) == list(expected.members)
        assert history.front.digest() == expected.digest()
        assert history.front.hypervolume == expected.hypervolume


def test_generations_complete_in_order_with_cumulative_numbers() -> None:
    first, second = candidates(0, 4), candidates(4, 3, generation=1)
    history = history_of(Asked(first, {"params <= 9": 2}))
    for event in finished(
        evaluated(first[1], 0.5, 40), failed(first[0]), rejected(first[3]), evaluated(first[2], 0.75, 20)
    ):
        assert history.apply(event) == [], "more may be asked for in this generation"
    (zero,) = history.apply(Asked(second, {"params <= 9": 5}))
    assert (zero.number, zero.evaluated, zero.failed, zero.rejected, zero.turned_away) == (0, 2, 1, 1, 2)
    assert (zero.front_size, zero.best, zero.elapsed) == (2, {"valid_error": 0.5, "params": 20.0}, 2.0)
    assert zero.hypervolume == history.front.hypervolume == pytest.approx(0.5 * 0.5 + 0.25 * 0.25)
    for event in finished(evaluated(second[0], 0.25, 10), failed(second[2]), failed(second[1])):
        assert history.apply(event) == []
    (one,) = history.apply(Closed("budget", 9.0))
    assert (one.number, one.evaluated, one.failed, one.rejected, one.turned_away) == (1, 3, 3, 1, 7)
    assert (one.front_size, one.best, one.elapsed) == (1, {"valid_error": 0.25, "params": 10.0}, 9.0)
    assert history.generations == [zero, one]


def test_generations_asked_in_pieces_complete_when_the_last_outcome_of_each_is_there() -> None:
    """Blocks of three, as random search asks for them: five, two, one and one candidate."""
    asked = [Candidate(number, (number,), number // 3) for number in range(9)]
    history = history_of(Asked(asked[:5]))
    for event in finished(evaluated(asked[4]), evaluated(asked[3]), evaluated(asked[0])):
        assert history.apply(event) == []
    assert history.apply(Asked(asked[5:7])) == []
    assert [history.apply(e) for e in finished(evaluated(asked[5]), evaluated(asked[1]))] == [[], []], (
        "0 comes before 1"
    )
    zero, one = history.apply(*finished(evaluated(asked[2])))
    assert (zero.number, zero.evaluated, one.number, one.evaluated) == (0, 6, 1, 6)
    assert history.apply(*finished(evaluated(asked[6]))) == [], "the block is not full"
    assert history.apply(Asked(asked[7:8])) == history.apply(Asked(asked[8:])) == []
    assert [history.apply(e) for e in finished(evaluated(asked[8]), evaluated(asked[7]))] == [[], []]
    (two,) = history.apply(Closed("budget", 9.0))
    assert (two.number, two.evaluated) == (2, 9)


def test_failures_in_a_row_end_with_anything_else() -> None:
    asked = candidates(0, 8)
    history, counts = history_of(Asked(asked)), []
    for event in finished(
        *map(failed, asked[:3]), rejected(asked[3]), failed(asked[4]), evaluated(asked[5]), failed(asked[6])
    ):
        history.apply(event)
        counts.append(len(history.failures_in_a_row))
    assert counts == [1, 2, 3, 3, 3, 3, 3], "the longest row"
    history.apply(Closed("failures", 8.0))
    assert history.failures_in_a_row == [], "who resumes has mended something, and gets as many tries again"


def test_failures_in_a_row_are_counted_by_id_whatever_arrives_first() -> None:
    asked = candidates(0, 4)
    history = history_of(Asked(asked))
    for outcome in (failed(asked[3]), failed(asked[2]), failed(asked[0]), evaluated(asked[1])):
        history.apply(*finished(outcome))
    assert [failure.candidate.id for failure in history.failures_in_a_row] == [2, 3]


def test_a_continued_search_has_the_config_that_it_was_continued_with() -> None:
    history = history_of(Continued({"evaluations": 60}))
    assert history.config == {"evaluations": 60} != history.header.config


def test_a_closed_search_can_go_on() -> None:
    first, second = candidates(0, 2), candidates(2, 2, generation=1)
    history = history_of(Asked(first), *finished(*map(evaluated, first)), Closed("budget", 2.0))
    assert (history.closed, len(history.generations)) == ("budget", 1)
    assert history.apply(Asked(second)) == []
    assert (history.closed, history.pending) == (None, second)
    for event in finished(*map(evaluated, second)):
        history.apply(event)
    assert [g.number for g in history.apply(Closed("budget", 4.0))] == [1]
    assert history.closed == "budget"


def test_an_outcome_after_the_end_reopens_the_search() -> None:
    asked = candidates(0, 2)
    history = history_of(Asked(asked), *finished(failed(asked[0])), Closed("failures", 2.0))
    assert (history.closed, history.generations) == ("failures", []), (
        "a generation with pending candidates is not complete"
    )
    history.apply(*finished(evaluated(asked[1])))
    assert history.closed is None


def test_a_history_without_a_header_is_refused() -> None:
    for events in ([], [Closed("budget", 1.0)]):
        with pytest.raises(JournalError, match="no search was started"):
            History.replay(events)
    with pytest.raises(JournalError, match="one header"):
        history_of(header())


def test_a_history_is_read_from_its_run_folder(tmp_path: Path) -> None:
    asked = candidates(0, 2)
    journal = Journal.create(tmp_path / JOURNAL, header())
    journal.append([Asked(asked), *finished(evaluated(asked[1]))])
    journal.close()
    history = History.read(tmp_path)
    assert (history.pending, len(history.evaluations), history.header.name) == ([asked[0]], 1, "toy")
