"""The decode worker's own program: python -m plugin_core.io.worker_main FD FILE_BYTES PIXELS SIDE MEMORY SECONDS.

Serves one request at a time from the socket FD and leaves when it closes. Not for people.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from plugin_core.config import Limits
from plugin_core.errors import IspError, LimitError
from plugin_core.frame import RawFrame
from plugin_core.io.describe import describe
from plugin_core.io.libraw import demosaic
from plugin_core.io.metadata import finish_dng
from plugin_core.io.picture import read_mask
from plugin_core.io.pixels import SharedPixels
from plugin_core.io.read_raw import read_raw
from plugin_core.io.source_file import Metadata
from plugin_core.io.verify import verify
from plugin_core.io.wire import decode, encode, encode_error

__all__ = ["main"]

_NOTHING: Any = None  # stands for the pixels while they travel beside the message


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system doesn't say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _limit_resources(limits: Limits) -> None:
    """What one request may add: address space, and processor time on all cores. Soft limits, set anew each time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limits.decode_time_s * (os.cpu_count() or 1)) + 1
    for kind, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, _address_space() + limits.decode_memory_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY or value <= hard:
            try:
                resource.setrlimit(kind, (value, hard))
            except (ValueError, OSError):
                print(f"limit {kind} can't be set on this system", file=sys.stderr)


def _leave_with_parent() -> None:
    """Ends this process soon after its owner died, also while LibRaw is busy and the socket is not looked at."""
    owner = os.getppid()

    def watch() -> None:
        while os.getppid() == owner:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


class _Service:
    """The requests by name. Each returns (value, pixels or None)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, shared: SharedPixels, path: str, name: str) -> tuple[Any, NDArray[Any] | None]:
        source = read_raw(Path(path), name, self._limits, shared.allocate)
        if isinstance(source.image, RawFrame):
            return replace(source, image=replace(source.image, mosaic=_NOTHING)), source.image.mosaic
        return replace(source, image=replace(source.image, pixels=_NOTHING)), source.image.pixels

    def describe(self, shared: SharedPixels, path: str, name: str) -> tuple[Any, NDArray[Any] | None]:
        return describe(Path(path), name, self._limits), None

    def finish_dng(
        self, shared: SharedPixels, path: str, metadata: Metadata, provenance: Mapping[str, str]
    ) -> tuple[Any, NDArray[Any] | None]:
        return finish_dng(Path(path), metadata, provenance), None

    def verify(self, shared: SharedPixels, source: str, result: str) -> tuple[Any, NDArray[Any] | None]:
        return verify(Path(source), Path(result), self._limits), None

    def read_mask(self, shared: SharedPixels, path: str) -> tuple[Any, NDArray[Any] | None]:
        mask = read_mask(Path(path), self._limits)
        pixels = shared.allocate(mask.shape, mask.dtype)
        pixels[:] = mask
        return None, pixels

    def demosaic(self, shared: SharedPixels, path: str) -> tuple[Any, NDArray[Any] | None]:
        return None, demosaic(Path(path), self._limits, shared.allocate)


def _answer(service: _Service, connection: Connection, request: Any) -> None:
    method, *arguments = request
    with SharedPixels() as shared:
        try:
            value, pixels = getattr(service, method)(shared, *arguments)
            layout = (pixels.shape, pixels.dtype.str) if pixels is not None else None
            reply = encode(("ok", value, layout))
        except IspError as error:
            connection.send_bytes(encode(("error", encode_error(error))))
            return
        except MemoryError:
            limit = LimitError("the file needs more memory to decode than allowed", "OUT_OF_MEMORY")
            connection.send_bytes(encode(("error", encode_error(limit))))
            return
        except Exception as error:
            traceback.print_exc()
            connection.send_bytes(encode(("bug", f"{type(error).__name__}: {error}")))
            return
        connection.send_bytes(reply)
        if pixels is not None:
            send_handle(connection, shared.fd, os.getppid())


def main(arguments: list[str]) -> None:
    """Serves until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    fd, file_bytes, pixels, side, memory = (int(v) for v in arguments[:5])
    limits = Limits(file_bytes, pixels, side, memory, float(arguments[5]))
    connection = Connection(fd)
    _leave_with_parent()
    service = _Service(limits)
    try:
        connection.send_bytes(encode("ready"))
        while True:
            request = decode(connection.recv_bytes())
            _limit_resources(limits)
            _answer(service, connection, request)
    except (EOFError, OSError):
        os._exit(0)  # the owner closed or is gone


if __name__ == "__main__":
    main(sys.argv[1:])
