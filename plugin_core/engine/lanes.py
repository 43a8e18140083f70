"""Who computes when: one lane per device, first come, first served, one job at a time, and never an endless queue.

    RPC threads                                   lane's thread
    reserve() -> Place, or QUEUE_FULL at once
    submit(place, work) -> Ticket  ──► [waiting] ──► work(report, token), tile by tile
    for update in ticket.updates(): ...  ◄── position in the queue, then the share done
    ticket.result()

A small job passes between two tiles of a large one, one at a time, so that a preview never waits for a catalogue.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from plugin_core.engine.cancel import CancelToken
from plugin_core.errors import JobCancelledError, LimitError

__all__ = ["Lane", "LaneUpdate", "Ticket", "Turnstile"]

T = TypeVar("T")
Report = Callable[[float], None]
SMALL = 2e6  # photosites: a preview or a crop; seconds at most on the slowest lane
PATIENCE_S = 0.25  # how often a waiting thread looks whether its job was cancelled
FIRST_GUESS_S = 10.0  # of a job's length, before one has been timed


@dataclass(frozen=True)
class LaneUpdate:
    """What a waiting caller learns. jobs_ahead: 0 once running. fraction: 0..1 of the work. eta_s: 0 is unknown."""

    jobs_ahead: int
    fraction: float
    eta_s: float = 0.0


class Ticket(Generic[T]):
    """One job in a lane."""

    def __init__(self, lane: Lane, work: Callable[[Report, CancelToken], T], token: CancelToken, size: float) -> None:
        self._lane = lane
        self._work = work
        self._token = token
        self.small = size <= SMALL
        self._value: T | None = None
        self._error: BaseException | None = None
        self._started = 0.0
        self._fraction = 0.0
        self.done = False

    def updates(self) -> Iterator[LaneUpdate]:
        """Each change of the job's position or progress (only the newest, for slow readers), until it has ended.

        Closing the iterator early cancels the job.
        """
        try:
            seen: LaneUpdate | None = None
            while not self.done:
                update = self._lane._await_change(self, seen)
                if update is not None and update != seen:
                    seen = update
                    yield update
        finally:
            if not self.done:
                self._token.cancel()
                self._lane._drop(self)

    def result(self) -> T:
        """What the work returned. Raises what the work raised, JobCancelledError if it never ran."""
        assert self.done, "updates() must be read to its end first"
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def _run(self, interlude: Callable[[], None]) -> None:
        self._started = time.monotonic()

        def report(fraction: float) -> None:
            with self._lane._changed:
                self._fraction = min(max(fraction, 0.0), 1.0)
                self._lane._changed.notify_all()
            interlude()

        try:
            self._token.check()
            self._value = self._work(report, self._token)
        except BaseException as error:  # handed to the thread that waits in result()
            self._error = error
        with self._lane._changed:
            self.done = True
            self._lane._changed.notify_all()

    def _update(self, jobs_ahead: int) -> LaneUpdate:
        if not self._started:
            return LaneUpdate(jobs_ahead, 0.0)
        elapsed = time.monotonic() - self._started
        eta = elapsed / self._fraction * (1 - self._fraction) if self._fraction else 0.0
        return LaneUpdate(0, self._fraction, round(eta, 1))


class Lane:
    """The queue of one device, and the thread that works it off."""

    def __init__(self, device: str, waiting_limit: int) -> None:
        """waiting_limit: jobs that may wait while one runs."""
        self.device = device
        self.waiting_limit = waiting_limit
        self._changed = threading.Condition()
        self._waiting: deque[Ticket[object]] = deque()
        self._running: Ticket[object] | None = None
        self._places = 0
        self._typical_s = FIRST_GUESS_S
        self._closed = False
        self._thread = threading.Thread(target=self._work_off, name=f"lane-{device}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Jobs that have a place: waiting, running, or on their way in or out."""
        return self._places

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """A place for one job while the block lasts. Raises LimitError at once when the lane is full."""
        with self._changed:
            if self._places > self.waiting_limit:
                hint = max(1.0, self._typical_s)
                raise LimitError(
                    f"{self._places} jobs are waiting for {self.device}, the limit is {self.waiting_limit + 1};"
                    f" try again in {hint:.0f} s",
                    "QUEUE_FULL",
                    {"limit": str(self.waiting_limit + 1), "retry_after_s": f"{hint:.1f}"},
                )
            self._places += 1
        try:
            yield
        finally:
            with self._changed:
                self._places -= 1

    def submit(
        self, work: Callable[[Report, CancelToken], T], token: CancelToken, size: float = float("inf")
    ) -> Ticket[T]:
        """Queues `work(report, token)`; the caller holds a reservation. size: photosites, to let small jobs pass."""
        ticket = Ticket(self, work, token, size)
        with self._changed:
            if self._closed:
                raise LimitError("the server is shutting down", "SHUTTING_DOWN", {"retry_after_s": "1"})
            self._waiting.append(ticket)  # type: ignore[arg-type]
            self._changed.notify_all()
        return ticket

    def close(self) -> None:
        """Ends the thread after the job that runs; jobs that wait are cancelled."""
        with self._changed:
            self._closed = True
            for ticket in self._waiting:
                ticket._token.cancel()
            self._changed.notify_all()
        self._thread.join()

    def _await_change(self, ticket: Ticket[T], seen: LaneUpdate | None) -> LaneUpdate | None:
        """The ticket's state, at once if it is not `seen`, else after the next change; None if it was cancelled."""
        with self._changed:
            if self._peek(ticket) == seen and not ticket.done:
                self._changed.wait(PATIENCE_S)
            if ticket._token.cancelled and not ticket._started:
                self._drop(ticket)
                return None
            return self._peek(ticket)

    def _peek(self, ticket: Ticket[T]) -> LaneUpdate:
        ahead = sum(1 for _ in itertools.takewhile(lambda other: other is not ticket, self._waiting))
        return ticket._update(ahead + (self._running is not None))

    def _drop(self, ticket: Ticket[T]) -> None:
        """Takes a job that has not begun out of the queue."""
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)  # type: ignore[arg-type]
                try:
                    ticket._token.check()
                except JobCancelledError as error:
                    ticket._error = error
                ticket.done = True
                self._changed.notify_all()

    def _work_off(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                ticket = self._running = self._waiting.popleft()
            begin = time.monotonic()
            ticket._run((lambda: None) if ticket.small else self._let_a_small_one_pass)
            with self._changed:
                self._running = None
                if ticket._error is None:
                    self._typical_s += 0.3 * (time.monotonic() - begin - self._typical_s)
                self._changed.notify_all()
            del ticket  # or its result would live until the next job comes

    def _let_a_small_one_pass(self) -> None:
        with self._changed:
            small = next((ticket for ticket in self._waiting if ticket.small), None)
            if small is None:
                return
            self._waiting.remove(small)
        small._run(lambda: None)


class Turnstile:
    """Lets so many in at a time, in the order they came: bounds how many jobs hold a picture in memory."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._inside = 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    def enter(self, token: CancelToken) -> Generator[int, None, None]:
        """Yields how many are ahead, at each change, and ends when the caller is inside; he must `leave`.

        Raises JobCancelledError. Closing the iterator early leaves the line.
        """
        me = object()
        with self._changed:
            self._line.append(me)
        try:
            seen = 0
            while True:
                with self._changed:
                    ahead = self._line.index(me)
                    if ahead == 0 and self._inside < self._capacity:
                        self._inside += 1
                        return
                    if ahead + 1 == seen:
                        self._changed.wait(PATIENCE_S)
                token.check()
                if ahead + 1 != seen:
                    seen = ahead + 1
                    yield seen
        finally:
            with self._changed:
                self._line.remove(me)
                self._changed.notify_all()

    def leave(self) -> None:
        """Makes room for the next."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
