"""Results by content: what was computed once is found again by the digest of everything it depends on.

One file per entry, <directory>/<2 digits>/<key>.npy: a plain .npy array with its CRC-32 behind it, so that a damaged
file counts as absent. Files appear by renaming, so readers in other processes see whole entries only. The file's time
of modification is that of its last use.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from plugin_core.config import CacheConfig

__all__ = ["CacheEntry", "ResultCache", "cache_key"]

CRC_BYTES = 4
PIECE = 1 << 22  # bytes that are summed or written at a time
ABANDONED_S = 3600.0  # a temporary file that old belongs to a process that was killed


def cache_key(parts: Mapping[str, object]) -> str:
    """64 hex digits that change with any part; parts are JSON values, floats to their last bit."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


@dataclass(frozen=True)
class CacheEntry:
    """One result that is kept. last_used: seconds since the epoch."""

    key: str
    size_bytes: int
    last_used: float


class ResultCache:
    """A folder of arrays, bounded in size, least recently used out first; any number of processes may share it.

    Never raises for what other processes or a full disk do: a result that can't be kept is not kept.
    """

    def __init__(self, config: CacheConfig) -> None:
        """config.size_bytes 0 keeps nothing."""
        self.directory = config.directory
        self.limit_bytes = config.size_bytes

    def get(self, key: str) -> NDArray[np.generic] | None:
        """The array kept under `key`, read-only and memory-mapped, or None; counts as use."""
        path = self._path(key)
        try:
            with path.open("rb") as stream:
                stream.seek(-CRC_BYTES, os.SEEK_END)
                end, expected = stream.tell(), stream.read()
                stream.seek(0)
                if self._crc(stream, end).to_bytes(CRC_BYTES, "little") != expected:
                    raise ValueError("damaged")
            array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError):
            self._remove(path)
            return None
        return array

    def put(self, key: str, array: NDArray[np.generic]) -> bool:
        """Keeps a copy of the array, making room first. False if it can't be kept (too large, disk full)."""
        if array.nbytes + 4096 > self.limit_bytes:
            return False
        path = self._path(key)
        temporary = path.with_name(f".{key}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(array.nbytes)
            with temporary.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
            with temporary.open("r+b") as stream:
                crc = self._crc(stream, temporary.stat().st_size)
                stream.seek(0, os.SEEK_END)
                stream.write(crc.to_bytes(CRC_BYTES, "little"))
            temporary.replace(path)
        except OSError:
            self._remove(temporary)
            return False
        return True

    def entries(self) -> list[CacheEntry]:
        """What is kept, the least recently used first."""
        found = []
        for path in self._files("*.npy"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append(CacheEntry(path.stem, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: (entry.last_used, entry.key))

    def size(self) -> int:
        """Bytes that all entries take on the disk."""
        return sum(entry.size_bytes for entry in self.entries())

    def clear(self) -> int:
        """Removes every entry; how many there were."""
        entries = self.entries()
        for entry in entries:
            self._remove(self._path(entry.key))
        for path in self._files(".*.tmp"):
            self._remove(path)
        return len(entries)

    def _make_room(self, needed: int) -> None:
        """Removes the least recently used entries until `needed` bytes fit, and what killed processes left."""
        entries = self.entries()
        total = sum(entry.size_bytes for entry in entries) + needed
        for entry in entries:
            if total <= self.limit_bytes:
                break
            self._remove(self._path(entry.key))
            total -= entry.size_bytes
        for path in self._files(".*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.npy"

    def _files(self, pattern: str) -> Iterator[Path]:
        return self.directory.glob(f"[0-9a-f][0-9a-f]/{pattern}")

    @staticmethod
    def _remove(path: Path) -> None:
        with contextlib.suppress(OSError):  # gone already, or open elsewhere on Windows: the next one tries again
            path.unlink()

    @staticmethod
    def _crc(stream: BinaryIO, length: int) -> int:
        crc = 0
        while length > 0:
            piece = stream.read(min(PIECE, length))
            if not piece:
                raise EOFError
            crc = zlib.crc32(piece, crc)
            length -= len(piece)
        return crc
