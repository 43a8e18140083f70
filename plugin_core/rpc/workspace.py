"""Where jobs keep their files: one private folder per server process, and the removal of those that crashes left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from plugin_core.errors import LimitError, OptionError
from plugin_core.io.atomic import remove_stale

__all__ = ["Workspace", "private_directory"]


NOTE = "outputs.json"


def private_directory(path: Path) -> Path:
    """`path`, made if missing, for its owner only. Raises OptionError if it is a link or somebody else's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
        if path.is_symlink() or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
            raise OptionError(
                f"{path}: is a link or belongs to another user; it must be yours", "DIRECTORY_NOT_PRIVATE"
            )
        path.chmod(0o700)
    except OSError as error:
        raise OptionError(f"{path}: cannot be used as a folder: {error.strerror}", "DIRECTORY_UNUSABLE") from error
    return path


def _own_name() -> str:
    return f"{os.getpid()}-{int(psutil.Process().create_time())}"


def _is_stale(name: str) -> bool:
    """True if the process that a folder is named after has ended; names that are not ours are left alone."""
    pid, _, started = name.partition("-")
    if not (pid.isdecimal() and started.isdecimal()):
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - int(started)) > 2
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _remove_unfinished(left: Path) -> None:
    """Removes the temporary files that a dead server left beside the results it was writing."""
    for note in left.glob(f"*/{NOTE}"):
        with contextlib.suppress(OSError, ValueError):  # a note that was cut off itself
            for folder in json.loads(note.read_text(encoding="utf-8")):
                remove_stale(Path(folder))


class Workspace:
    """A folder for the files of running jobs; a context manager.

    Lies in the temp directory, not the runtime directory: uploads of hundreds of megabytes don't fit a small tmpfs.
    """

    def __init__(self, base: Path | None = None) -> None:
        """Cleans up after servers that were killed, then makes this process's folder. Raises OptionError."""
        user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
        self._base = private_directory(base or Path(tempfile.gettempdir()) / f"neural-isp-spool-{user}")
        for left in self._base.iterdir():
            if _is_stale(left.name):
                _remove_unfinished(left)
                shutil.rmtree(left, ignore_errors=True)
        self.path = private_directory(self._base / _own_name())

    @contextmanager
    def job(self, job_id: str) -> Iterator[Path]:
        """A folder for one job, gone when the block ends. Raises LimitError when the disk is full."""
        path = self.path / job_id
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise LimitError(f"no room for temporary files: {error.strerror}", "DISK_FULL") from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @staticmethod
    def note_outputs(folder: Path, outputs: Iterable[Path]) -> None:
        """Remembers in a job's folder where it will write, so that a killed server's half-written files are found."""
        (folder / NOTE).write_text(json.dumps([str(path.parent) for path in outputs]), encoding="utf-8")

    def close(self) -> None:
        """Removes this process's folder, and the base if no other server uses it."""
        shutil.rmtree(self.path, ignore_errors=True)
        try:
            self._base.rmdir()
        except OSError:
            return  # another server's folder is in it

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
