"""Lanes: order, bounds, progress, cancelling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.lanes import Lane, LaneUpdate, Turnstile
from plugin_core.errors import JobCancelledError, LimitError

Report = Callable[[float], None]


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("cpu", 4)
    yield lane
    lane.close()


class Gate:
    """Work that runs until the test lets it go on, step by step."""

    def __init__(self, steps: int = 1) -> None:
        self.started = threading.Event()
        self.go = threading.Semaphore(0)
        self.steps = steps

    def __call__(self, report: Report, token: CancelToken) -> str:
        self.started.set()
        for step in range(self.steps):
            while not self.go.acquire(timeout=0.02):
                token.check()
            token.check()
            report((step + 1) / self.steps)
        return "done"


def finish(ticket: object) -> list[LaneUpdate]:
    return list(ticket.updates())  # type: ignore[attr-defined]


def test_returns_what_the_work_returns_and_its_progress(lane: Lane) -> None:
    gate = Gate(steps=4)
    ticket = lane.submit(gate, CancelToken())
    seen = []
    for update in ticket.updates():
        seen.append(update)
        gate.go.release()
    assert ticket.result() == "done"
    running = [update.fraction for update in seen if not update.jobs_ahead]
    assert running == sorted(running)
    assert running[-1] == 1.0


def test_raises_what_the_work_raises_and_goes_on(lane: Lane) -> None:
    def bad(report: Report, token: CancelToken) -> None:
        raise ValueError("broken")

    ticket = lane.submit(bad, CancelToken())
    finish(ticket)
    with pytest.raises(ValueError, match="broken"):
        ticket.result()
    after = lane.submit(lambda report, token: 7, CancelToken())
    finish(after)
    assert after.result() == 7


def test_one_at_a_time_in_the_order_they_came(lane: Lane) -> None:
    order: list[int] = []
    busy = threading.Lock()

    def work(number: int) -> Callable[[Report, CancelToken], None]:
        def run(report: Report, token: CancelToken) -> None:
            assert busy.acquire(blocking=False), "two jobs at once"
            order.append(number)
            time.sleep(0.005)
            busy.release()

        return run

    tickets = [lane.submit(work(number), CancelToken()) for number in range(5)]
    for ticket in tickets:
        finish(ticket)
        ticket.result()
    assert order == [0, 1, 2, 3, 4]


def test_position_counts_the_jobs_ahead(lane: Lane) -> None:
    gate = Gate()
    first = lane.submit(gate, CancelToken())
    gate.started.wait(2)
    second = lane.submit(lambda report, token: None, CancelToken())
    third = lane.submit(lambda report, token: None, CancelToken())
    updates = third.updates()
    assert next(updates) == LaneUpdate(2, 0.0)
    gate.go.release()
    positions = [update.jobs_ahead for update in updates]
    assert positions == sorted(positions, reverse=True)
    finish(first), finish(second)


def test_full_lane_refuses_at_once_with_a_hint(lane: Lane) -> None:
    from contextlib import ExitStack

    with ExitStack() as places:
        for _ in range(5):
            places.enter_context(lane.reserve())
        with pytest.raises(LimitError) as caught, lane.reserve():
            pass
        assert caught.value.reason == "QUEUE_FULL"
        assert float(caught.value.metadata["retry_after_s"]) >= 1
        assert len(lane) == 5
    assert len(lane) == 0
    with lane.reserve():
        assert len(lane) == 1


def test_cancelling_a_waiting_job_never_runs_it(lane: Lane) -> None:
    gate, ran = Gate(), threading.Event()
    first = lane.submit(gate, CancelToken())
    gate.started.wait(2)
    token = CancelToken()
    second = lane.submit(lambda report, token: ran.set(), token)
    token.cancel()
    begin = time.monotonic()
    finish(second)
    assert time.monotonic() - begin < 2
    with pytest.raises(JobCancelledError):
        second.result()
    gate.go.release()
    finish(first)
    assert not ran.is_set()


def test_cancelling_a_running_job_ends_it_at_its_next_step(lane: Lane) -> None:
    gate, token = Gate(steps=100), CancelToken()
    ticket = lane.submit(gate, token)
    gate.started.wait(2)
    token.cancel()
    finish(ticket)
    with pytest.raises(JobCancelledError):
        ticket.result()


def test_deadline_ends_a_job(lane: Lane) -> None:
    ticket = lane.submit(Gate(), CancelToken(deadline=time.monotonic() + 0.05))
    finish(ticket)
    with pytest.raises(JobCancelledError) as caught:
        ticket.result()
    assert caught.value.reason == "DEADLINE_EXCEEDED"


def test_closing_the_updates_cancels(lane: Lane) -> None:
    gate, token = Gate(steps=100), CancelToken()
    ticket = lane.submit(gate, token)
    updates = ticket.updates()
    next(updates)
    updates.close()  # type: ignore[attr-defined]
    assert token.cancelled
    after = lane.submit(lambda report, token: 1, CancelToken())
    finish(after)
    assert after.result() == 1


def test_a_small_job_passes_between_two_steps_of_a_large_one(lane: Lane) -> None:
    order: list[str] = []
    gate = Gate(steps=2)
    large = lane.submit(gate, CancelToken(), size=24e6)
    gate.started.wait(2)
    other = lane.submit(lambda report, token: order.append("large"), CancelToken(), size=24e6)
    small = lane.submit(lambda report, token: order.append("small"), CancelToken(), size=1e6)
    gate.go.release()
    finish(small)
    assert order == ["small"]
    assert not large.done
    gate.go.release()
    finish(large), finish(other)
    assert order == ["small", "large"]


def test_closed_lane_takes_no_more(lane: Lane) -> None:
    lane.close()
    with pytest.raises(LimitError):
        lane.submit(lambda report, token: None, CancelToken())


def test_turnstile_admits_so_many_in_order() -> None:
    turnstile = Turnstile(2)
    for _ in range(2):
        assert list(turnstile.enter(CancelToken())) in ([], [1])
    third = turnstile.enter(CancelToken())
    assert next(third) == 1
    fourth = turnstile.enter(CancelToken())
    assert next(fourth) == 2
    turnstile.leave()
    assert list(third) == []
    turnstile.leave()
    assert list(fourth) in ([], [1])


def test_turnstile_lets_cancelled_ones_go() -> None:
    turnstile, token = Turnstile(1), CancelToken()
    list(turnstile.enter(CancelToken()))
    waiting = turnstile.enter(token)
    next(waiting)
    token.cancel()
    with pytest.raises(JobCancelledError):
        list(waiting)
    turnstile.leave()
    list(turnstile.enter(CancelToken()))
