"""Which jobs are on their way: so that a server can leave when idle, and end them when it is told to stop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from plugin_core.engine.cancel import CancelToken

__all__ = ["Activity"]


class Activity:
    """The cancel tokens of all running calls, and when the last one ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: set[CancelToken] = set()
        self._last_s = time.monotonic()

    @contextmanager
    def call(self, context: grpc.ServicerContext) -> Iterator[CancelToken]:
        """A token for one call, cancelled when its client goes away or its deadline passes."""
        remaining = context.time_remaining()
        known = remaining is not None and math.isfinite(remaining)
        token = CancelToken(time.monotonic() + remaining if known else None)
        if not context.add_callback(token.cancel):
            token.cancel()  # over before it began
        with self._lock:
            self._tokens.add(token)
        try:
            yield token
        finally:
            with self._lock:
                self._tokens.discard(token)
                self._last_s = time.monotonic()

    def idle_s(self) -> float:
        """Seconds since the last call ended; 0 while one is running."""
        with self._lock:
            return 0.0 if self._tokens else time.monotonic() - self._last_s

    def cancel_all(self) -> None:
        """Asks every running call to end."""
        with self._lock:
            for token in self._tokens:
                token.cancel()
