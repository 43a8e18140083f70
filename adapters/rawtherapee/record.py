"""What was attached to a photograph, in a small JSON file beside it: so that it can be changed and undone exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.rawtherapee.names import record_path
from plugin_core.config import runtime_directory
from plugin_core.errors import OptionError
from plugin_core.io.atomic import atomic_write

__all__ = [
    "Record",
    "SidecarState",
    "Wish",
    "locked",
    "read_file",
    "read_record",
    "sha256",
    "write_file",
    "write_record",
]

FORMAT = 1


@dataclass(frozen=True)
class Wish:
    """How a photograph is to be restored, as plugin_core.client.DenoiseOptions has it."""

    model: str = ""
    strength: float = 1.0
    luma: float = 1.0
    chroma: float = 1.0


@dataclass(frozen=True)
class SidecarState:
    """A sidecar that was changed. path: a name beside the photograph, or absolute.

    before: its content before the first change; None: there was none. written_sha256: of what it was changed to.
    """

    path: str
    before: str | None
    written_sha256: str

    @property
    def before_bytes(self) -> bytes | None:
        """The content to go back to."""
        return None if self.before is None else self.before.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Record:
    """kind: "residual", "restored" (DNG), or "art" (a mark for ART's loader, with no file of its own).

    result: the file's name beside the photograph. reason: why a restored DNG and no residual.
    """

    kind: str
    wish: Wish
    result: str = ""
    reason: str = ""
    sidecar: SidecarState | None = None
    format: int = field(default=FORMAT)


def read_record(source: Path) -> Record | None:
    """The record beside a photograph; None if there is none. Raises OptionError for one that can't be understood."""
    path = record_path(source)
    try:
        found: Any = json.loads(path.read_bytes())
        if found["format"] != FORMAT:
            raise OptionError(f"{path}: format {found['format']}, this version knows {FORMAT}", "BAD_RECORD")
        sidecar: Mapping[str, Any] | None = found["sidecar"]
        wish = Wish(**found["wish"])
        state = SidecarState(**sidecar) if sidecar else None
        return Record(found["kind"], wish, found["result"], found["reason"], state)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{path}: can't be read ({error}); remove it to start anew", "BAD_RECORD") from error


def write_record(source: Path, record: Record) -> None:
    """Puts the record beside the photograph. Raises OptionError or LimitError."""
    write_file(record_path(source), json.dumps(asdict(record), indent=1).encode() + b"\n")


def sha256(content: bytes) -> str:
    """Its digest in hex."""
    return hashlib.sha256(content).hexdigest()


def read_file(path: Path) -> bytes | None:
    """A file's content; None if there is none. Raises OptionError if it can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OptionError(f"{path}: can't be read ({error.strerror})", "INPUT_UNREADABLE") from error


def write_file(path: Path, content: bytes) -> None:
    """Writes a file that appears whole or not at all, over an older one. Raises OptionError or LimitError."""
    with atomic_write(path, overwrite=True) as part:
        if path.exists():
            part.chmod(path.stat().st_mode & 0o7777)
        part.write_bytes(content)


@contextmanager
def locked() -> Iterator[None]:
    """One program of this user's at a time changes sidecars; held for milliseconds, freed by the system if we die."""
    try:
        import fcntl
    except ImportError:  # no such locks there: renaming still keeps every file whole
        yield
        return
    folder = runtime_directory()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "rawtherapee.lock").open("wb")
    except OSError as error:
        raise OptionError(f"{folder}: can't be written ({error.strerror})", "BAD_RUNTIME_DIR") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
