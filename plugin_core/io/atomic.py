"""Files that appear whole or not at all: a temporary name beside the target, fsync, then a rename that asks first."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin_core.errors import IspError, LimitError, OptionError

__all__ = ["atomic_write", "remove_stale"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ETXTBSY),
}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
# .<target>.<host>.<pid>.<random>.nisp-part: whose it is, so that a dead process's can be told from a live one's.
_PART = re.compile(r"^\..+\.(?P<host>[0-9a-f]{8})\.(?P<pid>\d+)\.[0-9a-f]{8}\.nisp-part$")


def _host() -> str:
    return f"{_fnv(socket.gethostname()):08x}"


def _fnv(text: str) -> int:
    """A 32-bit number of the text that is the same in every process (FNV-1a)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove_stale(folder: Path) -> None:
    """Removes temporary files that processes of this host left in `folder` when they were killed."""
    host = _host()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _PART.match(entry.name)
            if match and match["host"] == host and not _is_alive(int(match["pid"])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _translated(error: OSError, path: Path) -> IspError:
    if error.errno in _FULL:
        return LimitError(f"{path}: the disk is full ({error.strerror})", "DISK_FULL", {"path": str(path)})
    return OptionError(
        f"{path}: can't be written ({error.strerror or error})", "OUTPUT_UNWRITABLE", {"path": str(path)}
    )


def _exists(path: Path) -> OptionError:
    return OptionError(f"{path}: exists already and is not overwritten", "OUTPUT_EXISTS", {"path": str(path)})


def _sync_folder(folder: Path) -> None:
    """Makes the rename last; some file systems know no fsync on folders."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _publish(part: Path, path: Path, overwrite: bool) -> None:
    """Gives the finished file its name. Without overwrite, a file that turned up meanwhile wins."""
    if overwrite:
        os.replace(part, path)
        return
    try:
        os.link(part, path)  # fails if the name is taken, unlike rename
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("xb"):  # no hard links here (FAT, some network drives): reserve the name, then replace it
            pass
        os.replace(part, path)
        return
    os.unlink(part)


@contextmanager
def atomic_write(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it gets its name when the block ends well, else it is removed.

    Raises OptionError (OUTPUT_EXISTS, OUTPUT_UNWRITABLE) or LimitError (DISK_FULL); other errors of the block pass.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OptionError(f"{path}: is a folder, expected a file name", "OUTPUT_UNWRITABLE", {"path": str(path)})
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    remove_stale(path.parent)
    part = path.parent / f".{path.name[:180]}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.nisp-part"
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise _translated(error, path) from error
    try:
        yield part
        fd = os.open(part, os.O_RDWR)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        _publish(part, path, overwrite)
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        if error.errno in _FULL | _UNWRITABLE:
            raise _translated(error, path) from error
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
