"""One exit code for each class of error, and which one counts when several files failed in different ways."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from plugin_core.client.errors import ServerFault, ServerLost
from plugin_core.errors import (
    FileFormatError,
    IspError,
    JobCancelledError,
    LimitError,
    ModelPackageError,
    NoModelError,
    OptionError,
)

__all__ = ["ExitCode", "exit_code", "worst"]


class ExitCode(IntEnum):
    """What the shell is told."""

    OK = 0
    INTERNAL = 1  # a bug, here or in the server
    USAGE = 2  # a wrong option, a path that can't be used, a result that exists already
    BAD_FILE = 3  # damaged, or no RAW file
    NO_MODEL = 4  # a good file that can't be restored, an unknown model, a damaged model package
    LIMIT = 5  # too large, too long, disk full, queue full
    SERVER = 6  # nobody answers, or the server went away
    LOSSES = 7  # verify found something missing
    INTERRUPTED = 130  # Ctrl-C


_BY_CLASS: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (OptionError, ExitCode.USAGE),
    (FileFormatError, ExitCode.BAD_FILE),
    (NoModelError, ExitCode.NO_MODEL),
    (ModelPackageError, ExitCode.NO_MODEL),
    (LimitError, ExitCode.LIMIT),
    (ServerLost, ExitCode.SERVER),
    (ServerFault, ExitCode.INTERNAL),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)
# What the caller most needs to know first: first come, first told.
_PRIORITY = (
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.SERVER,
    ExitCode.LIMIT,
    ExitCode.NO_MODEL,
    ExitCode.BAD_FILE,
    ExitCode.USAGE,
    ExitCode.LOSSES,
)


def exit_code(error: BaseException) -> ExitCode:
    """The code for an error; a cancelled job is a limit if its time ran out, else the server's doing."""
    if isinstance(error, JobCancelledError):
        return ExitCode.LIMIT if error.reason == "DEADLINE_EXCEEDED" else ExitCode.SERVER
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), ExitCode.INTERNAL)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The code of a whole batch: the most urgent one found, 0 if none failed."""
    found = set(codes)
    return next((code for code in _PRIORITY if code in found), ExitCode.OK)


assert set(_PRIORITY) | {ExitCode.OK} == set(ExitCode)
assert {kind for kind, _ in _BY_CLASS} >= set(IspError.__subclasses__()) - {JobCancelledError}
