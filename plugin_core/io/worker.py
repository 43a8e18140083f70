"""Decoding and metadata in a process of their own: LibRaw and exiv2 are C++ parsers, and files come from anywhere.

A crash, a hang or a full memory there is an error of one line here, and the next call finds a fresh worker.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import IO, Any, Self

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, LimitError
from plugin_core.frame import FloatArray, RawFrame, UInt16Array
from plugin_core.io.pixels import map_pixels
from plugin_core.io.source_file import FileDescription, Metadata, SourceFile, VerifyReport
from plugin_core.io.wire import decode, decode_error, encode

__all__ = ["DecodeWorker"]

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0  # importing rawpy, pyexiv2 and tifffile on a loaded machine


class _Process:
    """One running worker: the process, our end of the socket, and its stderr (LibRaw prints there) in a file."""

    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        self.log: IO[bytes] = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 - lives as long as the process
        values = (limits.file_bytes, limits.pixels, limits.side, limits.decode_memory_bytes, limits.decode_time_s)
        command = [sys.executable, "-m", "plugin_core.io.worker_main", str(theirs.fileno()), *map(str, values)]
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            )
        self.connection = Connection(ours.detach())
        self.ready = False

    def receive(self, timeout_s: float) -> Any:
        """The next message. Raises TimeoutError, EOFError (the process is gone) or UnpicklingError."""
        if not self.connection.poll(timeout_s):
            raise TimeoutError
        return decode(self.connection.recv_bytes())

    def await_ready(self) -> None:
        """Waits for the first sign of life. Raises RuntimeError with the worker's last words if there is none."""
        if self.ready:
            return
        try:
            self.receive(START_TIMEOUT_S)
        except (TimeoutError, EOFError, OSError) as error:
            raise RuntimeError(f"the decode worker does not start: {self.last_words()}") from error
        self.ready = True

    def last_words(self) -> str:
        """The last line that the process printed."""
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> int:
        """Ends the process and frees what it held. Returns its exit status, negative for a signal."""
        self.connection.close()
        try:
            status = self.process.wait(timeout=0.2)  # it leaves by itself when its socket closes, or has crashed
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.log.close()
        return status


class DecodeWorker:
    """The supervised decoder: one process, one request at a time, callable from any thread. A context manager."""

    def __init__(self, limits: Limits) -> None:
        """Starts the process; the first call waits for it to come up."""
        self._limits = limits
        self._lock = threading.Lock()
        self._closed = False
        self._process: _Process | None = _Process(limits)

    @property
    def pid(self) -> int | None:
        """The worker's process id; None between a crash and the next call."""
        process = self._process
        return process.process.pid if process else None

    def read(self, path: Path, name: str = "") -> SourceFile:
        """The decoded file; its pixels are shared memory, read-only.

        name: what the user calls the file, for messages and OriginalRawFileName.
        Raises FileFormatError, NoModelError, LimitError or OptionError, naming the file.
        """
        source: SourceFile
        source, pixels = self._call(name or path.name, "read", path, name)
        if isinstance(source.image, RawFrame):
            return replace(source, image=replace(source.image, mosaic=pixels))
        return replace(source, image=replace(source.image, pixels=pixels))

    def describe(self, path: Path, name: str = "") -> FileDescription:
        """Camera, lens and every tag by group, without decoding pixels. Raises as read does."""
        result: FileDescription = self._call(name or path.name, "describe", path, name)[0]
        return result

    def finish_dng(self, path: Path, metadata: Metadata, provenance: Mapping[str, str]) -> tuple[str, ...]:
        """Puts EXIF, GPS, XMP, IPTC and provenance into a DNG that tifffile wrote. Returns warnings."""
        result: tuple[str, ...] = self._call(path.name, "finish_dng", path, metadata, dict(provenance))[0]
        return result

    def verify(self, source: Path, result: Path) -> VerifyReport:
        """What of the source survived in the result, by group. Raises as read does, for either file."""
        report: VerifyReport = self._call(source.name, "verify", source, result)[0]
        return report

    def demosaic(self, dng: Path) -> UInt16Array:
        """Camera RGB of the active area, (h, w, 3) uint16, black 0, white 65535, by LibRaw, without white balance."""
        pixels: UInt16Array = self._call(dng.name, "demosaic", dng)[1]
        return pixels

    def read_mask(self, path: Path) -> FloatArray:
        """An 8- or 16-bit greyscale PNG or TIFF as (h, w) float32 in 0..1. Raises as io.picture.read_mask does."""
        mask: FloatArray = self._call(path.name, "read_mask", path)[1]
        return mask

    def close(self) -> None:
        """Ends the worker at once; a call that waits for it fails."""
        self._closed = True
        process = self._process
        if process is not None:
            process.process.kill()
        with self._lock:
            if self._process is not None:
                self._process.stop()
                self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, name: str, method: str, *arguments: object) -> tuple[Any, Any]:
        """One request and its answer: (value, pixels or None)."""
        with self._lock:
            if self._closed:
                raise IspError("the decode worker is closed", "WORKER_CLOSED")
            if self._process is not None and self._process.process.poll() is not None:
                self._restart(self._process)  # it died while idle, on nobody's file
            if self._process is None:
                self._process = _Process(self._limits)
            process = self._process
            try:
                process.await_ready()
                process.log.truncate(0)
                # absolute, for the process works in "/"
                request = [os.path.abspath(one) if isinstance(one, Path) else one for one in arguments]
                process.connection.send_bytes(encode((method, *request)))
                answer = process.receive(self._limits.decode_time_s)
                if answer[0] == "error":
                    raise decode_error(answer[1])
                if answer[0] == "bug":
                    raise RuntimeError(f"{name}: {answer[1]}")
                _, value, layout = answer
                pixels = map_pixels(recv_handle(process.connection), *layout) if layout else None
                return value, pixels
            except TimeoutError:
                self._restart(process)
                raise LimitError(
                    f"{name}: not decoded within {self._limits.decode_time_s:g} s",
                    "DECODE_TIMEOUT",
                    {"limit": f"{self._limits.decode_time_s:g}"},
                ) from None
            except (EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
                words = process.last_words()
                status = self._restart(process)
                _log.warning("decode worker ended with %s on %s: %s", status, name, words)
                raise self._crash(name, status) from error
            except BaseException as error:
                if not isinstance(
                    error, IspError
                ):  # interrupted or out of step: its next answer would be the wrong one
                    self._restart(process)
                raise

    def _restart(self, process: _Process) -> int:
        """Ends this process; the next call starts another."""
        if process.process.poll() is None:
            process.process.kill()
        self._process = None
        return process.stop()

    def _crash(self, name: str, status: int) -> IspError:
        if self._closed:
            return IspError("the decode worker was closed", "WORKER_CLOSED")
        if status == -signal.SIGXCPU:
            return LimitError(f"{name}: decoding used up its processor time", "DECODE_TIMEOUT")
        if status == -signal.SIGKILL:
            return LimitError(f"{name}: decoding was killed, most likely for its memory", "OUT_OF_MEMORY")
        cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return FileFormatError(f"{name}: the decoder crashed on this file ({cause})", "DECODER_CRASHED")
