"""Calls that are running keep the server; those that lost their caller are cancelled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from plugin_core.errors import JobCancelledError
from plugin_core.rpc.activity import Activity


class FakeContext:
    """A call's context as far as Activity asks it."""

    def __init__(self, remaining: float | None = None, over: bool = False) -> None:
        self.remaining = remaining
        self.over = over
        self.callbacks: list[Callable[[], None]] = []

    def time_remaining(self) -> float | None:
        return self.remaining

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self.callbacks.append(callback)
        return not self.over


def test_idle_only_without_calls() -> None:
    activity = Activity()
    with activity.call(FakeContext()):  # type: ignore[arg-type]
        time.sleep(0.02)
        assert activity.idle_s() == 0
    time.sleep(0.02)
    assert activity.idle_s() >= 0.02


def test_client_gone_cancels_its_call_only() -> None:
    activity, mine, other = Activity(), FakeContext(), FakeContext()
    with activity.call(mine) as token, activity.call(other) as theirs:  # type: ignore[arg-type]
        mine.callbacks[0]()
        assert token.cancelled
        assert not theirs.cancelled
        activity.cancel_all()
        assert theirs.cancelled


def test_call_that_was_over_before_it_began() -> None:
    with Activity().call(FakeContext(over=True)) as token:  # type: ignore[arg-type]
        assert token.cancelled


@pytest.mark.parametrize("remaining", [None, math.inf, 1e9])
def test_no_deadline_or_a_far_one(remaining: float | None) -> None:
    with Activity().call(FakeContext(remaining)) as token:  # type: ignore[arg-type]
        token.check()


def test_deadline_passes() -> None:
    with Activity().call(FakeContext(0.01)) as token:  # type: ignore[arg-type]
        time.sleep(0.02)
        with pytest.raises(JobCancelledError) as caught:
            token.check()
    assert caught.value.reason == "DEADLINE_EXCEEDED"
