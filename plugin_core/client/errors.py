"""What can go wrong between client and server that is neither the file's fault nor the caller's. Standard library only.

Everything the server says about a file, an option, a model or a limit arrives as the IspError child it was raised as.
"""

from __future__ import annotations

__all__ = ["ServerError", "ServerFault", "ServerLost"]


class ServerError(Exception):
    """Base of what is wrong with the server or the way to it; one line for people, a stable reason for programs."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(" ".join(message.split()))
        self.reason = reason

    @property
    def message(self) -> str:
        """The one line for people."""
        return str(self.args[0])


class ServerLost(ServerError):
    """Nobody answers, or the connection broke in the middle of a job; nothing was written.

    reason: SERVER_UNREACHABLE (never answered), SERVER_LOST (went away), SERVER_START (could not be started).
    """


class ServerFault(ServerError):
    """The server failed for a reason that is neither the file nor the request: a bug, or another version.

    reason: INTERNAL, UNIMPLEMENTED, RESULT_DAMAGED, or what the server said.
    """
