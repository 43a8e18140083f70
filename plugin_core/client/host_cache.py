"""The folder through which a host's module and its helper talk: residuals, what became of them, and room for both.

<cache>/hosts/<key>.residual  the picture's residual, as io/residual_file.py lays it out; its time is that of last use
<cache>/hosts/<key>.status    what the helper is doing or has done, an INI file of one section
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plugin_core.config import cache_directory

__all__ = ["CONTRACT", "HostCache", "write_status"]

CONTRACT = 1  # version of the helper's arguments and of the status file; a module built for another one says so
SIZE_BYTES = 6 << 30  # about 60 pictures of 24 megapixels
ABANDONED_S = 86_400.0  # temporary and status files that old are nobody's


def write_status(path: Path, entries: Mapping[str, str]) -> None:
    """Replaces the status file in one step. Values become one line; GLib's key files escape backslashes."""
    lines = [f"{key}={' '.join(value.split())}".replace("\\", "\\\\") for key, value in entries.items()]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text("\n".join(["[neural-isp]", f"contract={CONTRACT}", *lines, ""]), encoding="utf-8")
    part.replace(path)


@dataclass(frozen=True)
class HostCache:
    """The folder, bounded in size, least recently used out first. Any number of processes may share it."""

    folder: Path
    limit_bytes: int = SIZE_BYTES

    @classmethod
    def default(cls) -> HostCache:
        """The one that the modules look into."""
        return cls(cache_directory() / "hosts")

    def residuals(self) -> list[tuple[float, int, Path]]:
        """(time of last use, size in bytes, path) of what is kept, least recently used first."""
        found = []
        for path in self.folder.glob("*.residual"):
            with contextlib.suppress(OSError):  # another process was quicker
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return sorted(found)

    def size(self) -> int:
        """Bytes that all residuals take on the disk."""
        return sum(size for _, size, _ in self.residuals())

    def make_room(self, needed: int) -> None:
        """Removes the least recently used residuals until `needed` bytes fit, and what killed processes left."""
        entries = self.residuals()
        total = needed + sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.limit_bytes:
                break
            self._remove(path)
            total -= size
        for path in (*self.folder.glob(".*part"), *self.folder.glob("*.samples"), *self.folder.glob("*.status")):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def clear(self) -> int:
        """Removes every residual; how many there were."""
        entries = self.residuals()
        for _, _, path in entries:
            self._remove(path)
        return len(entries)

    @staticmethod
    def _remove(path: Path) -> None:
        for one in (path, path.with_suffix(".status")):
            with contextlib.suppress(OSError):
                one.unlink()
