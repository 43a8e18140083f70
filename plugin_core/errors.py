"""What can go wrong, sorted by whose fault it is. The standard library only."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "FileFormatError",
    "IspError",
    "JobCancelledError",
    "LimitError",
    "ModelPackageError",
    "NoModelError",
    "OptionError",
]


class IspError(Exception):
    """Base of every error a caller may meet: one line for people, a stable reason for programs.

    reason: UPPER_SNAKE_CASE, stable across versions, sent as google.rpc.ErrorInfo.reason.
    metadata: evidence as strings (found, expected, limit ...), sent as ErrorInfo.metadata.
    """

    def __init__(self, message: str, reason: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})

    @property
    def message(self) -> str:
        """The one line for people."""
        return str(self.args[0])


class FileFormatError(IspError):
    """The file contradicts itself, is truncated, or is no RAW file at all. INVALID_ARGUMENT."""


class OptionError(IspError):
    """The caller asked for something out of range, for a path that can't be used, or for what exists already.

    INVALID_ARGUMENT.
    """


class NoModelError(IspError):
    """A good file that nothing here can restore: Foveon, four colours, pixel shift, an unknown model id.

    FAILED_PRECONDITION.
    """


class ModelPackageError(IspError):
    """A model package fails its checksum, its manifest or its golden tile. FAILED_PRECONDITION."""


class LimitError(IspError):
    """Too large, too many, no memory, no disk space, queue full. RESOURCE_EXHAUSTED."""


class JobCancelledError(IspError):
    """The caller went away or the deadline passed; raised by the engine between tiles. CANCELLED."""
