"""Arrays that two processes share without a name in any file system: nothing can be left behind, nothing is copied."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SharedPixels", "map_pixels"]


def _anonymous_file(size: int) -> int:
    """A descriptor of `size` bytes that vanishes with its last holder: memory on Linux, an unlinked file elsewhere."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("neural-isp", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as f:
            fd = os.dup(f.fileno())
    try:
        os.ftruncate(fd, size)
        if hasattr(fcntl, "F_ADD_SEALS") and hasattr(os, "memfd_create"):
            # The receiver maps what it was promised: a file that shrinks later would kill it (SIGBUS).
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except OSError:
        os.close(fd)
        raise
    return fd


class SharedPixels:
    """Allocates arrays in shareable memory; the sender's side. A context manager: leaving it closes its descriptor."""

    def __init__(self) -> None:
        self.fd = -1

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A zeroed array of this shape; one per object."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self.fd >= 0:
            os.close(self.fd)
        try:
            self.fd = _anonymous_file(size)
            memory = mmap.mmap(self.fd, size)
        except OSError as error:
            raise MemoryError(f"{size} bytes of shared memory: {error}") from error
        return np.ndarray(shape, dtype, buffer=memory)

    def __enter__(self) -> SharedPixels:
        return self

    def __exit__(self, *_: object) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def map_pixels(fd: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """The sender's array, read-only, without a copy; closes fd. The memory goes when the array does.

    Raises ValueError if the descriptor holds less than the array needs.
    """
    try:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if os.fstat(fd).st_size < size or size <= 0:
            raise ValueError(f"{os.fstat(fd).st_size} bytes of pixels, expected {size}")
        return np.ndarray(shape, dtype, buffer=mmap.mmap(fd, size, access=mmap.ACCESS_READ))
    finally:
        os.close(fd)
