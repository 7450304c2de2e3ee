"""The thread beside a search works for a small share of the time, and makes up for a little of what it did not."""

from __future__ import annotations

import pytest

from evonas.tracking import mlflow_pace
from evonas.tracking.mlflow_pace import LONGEST_PAUSE, SAVED_SECONDS, SHARE, SHARE_OF_IDLE, Pace


class Clock:
    """A thread's time: what has passed, and for how much of it the thread, or the rest, has had the processor."""

    def __init__(self) -> None:
        self.now, self.used, self.others = 1_000.0, 5.0, 50.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def process_time(self) -> float:
        return self.used + self.others

    def wait(self, seconds: float, *, busy: float) -> None:
        self.now += seconds
        self.others += busy * seconds

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.used += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(mlflow_pace, "time", clock)
    return clock


@pytest.mark.parametrize(("busy", "share"), [(1.0, SHARE), (0.4, SHARE), (0.05, SHARE_OF_IDLE)])
def test_work_and_pauses_keep_to_the_share(clock: Clock, busy: float, share: float) -> None:
    pace, began = Pace(), clock.now
    for _ in range(100):
        clock.work(0.015)
        clock.wait(pace.pause(), busy=busy)
    assert 100 * 0.015 / (clock.now - began) == pytest.approx(share, rel=0.1)


def test_waiting_for_a_server_costs_nothing(clock: Clock) -> None:
    pace = Pace()
    clock.now += 3.0
    clock.used += 0.01
    assert pace.pause() == 0.0


def test_idle_time_is_saved_up_to_a_limit(clock: Clock) -> None:
    pace = Pace()
    clock.wait(3_600.0, busy=1.0)
    clock.work(SAVED_SECONDS * SHARE)
    assert pace.pause() == pytest.approx(0.0, abs=1e-6)
    clock.wait(1.0, busy=1.0)
    clock.work(2 * SHARE)
    assert pace.pause() == pytest.approx(1.0 - 2 * SHARE, abs=1e-6)


def test_no_pause_is_long(clock: Clock) -> None:
    pace = Pace()
    clock.work(10.0)
    assert pace.pause() == LONGEST_PAUSE
