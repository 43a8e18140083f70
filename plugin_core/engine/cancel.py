"""How a running job learns that nobody waits for it any more. The standard library only."""

from __future__ import annotations

import threading
import time

from plugin_core.errors import JobCancelledError

__all__ = ["CancelToken"]


class CancelToken:
    """Set by whoever owns the job (client gone, deadline, shutdown); asked by the engine between tiles."""

    def __init__(self, deadline: float | None = None) -> None:
        """deadline: time.monotonic() seconds after which the job counts as cancelled; None is never."""
        self._event = threading.Event()
        self._deadline = deadline

    def cancel(self) -> None:
        """Asks the job to end at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once cancelled or past the deadline."""
        return self._event.is_set() or (self._deadline is not None and time.monotonic() > self._deadline)

    def check(self) -> None:
        """Raises JobCancelledError if the job should end."""
        if self._event.is_set():
            raise JobCancelledError("the job was cancelled", "CANCELLED")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise JobCancelledError("the deadline passed", "DEADLINE_EXCEEDED")
