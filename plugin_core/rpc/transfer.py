"""Files over the stream, the same for every op: inputs in by chunks or by path, results out in chunks.

Nothing is trusted: each limit is checked while bytes come in, and they go to a private folder, never all to memory.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

import grpc

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, JobCancelledError, LimitError, OptionError
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = [
    "CHUNK_BYTES",
    "InputPlace",
    "ReceivedFile",
    "first_message",
    "progress",
    "receive",
    "returned",
    "send",
    "stall_guard",
]

CHUNK_BYTES = 1 << 20  # the contract's largest chunk
STALL_S = 60.0  # a client that owes bytes has that long, and a second more per SLOWEST bytes
SLOWEST = 100_000
NAME_BYTES = 200  # of a name that is kept; file systems take 255
REPORT_EVERY = 8 << 20  # bytes between two progress events


class Message(Protocol):
    """DenoiseRequest and its like: a oneof called "message" of a header and chunks."""

    @property
    def chunk(self) -> pb.Chunk: ...

    def WhichOneof(self, oneof_group: str) -> str | None: ...


M = TypeVar("M", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True)
class ReceivedFile:
    """An input, whole, on this machine. name: what the caller calls it; local: read in place, never to be touched."""

    role: str
    name: str
    path: Path
    size_bytes: int
    sha256: str
    local: bool


@dataclass(frozen=True)
class InputPlace:
    """Where inputs may come from and where they go. paths_allowed: the caller is on the Unix socket."""

    folder: Path
    limits: Limits
    paths_allowed: bool


@dataclass
class _Arriving:
    """One input while its bytes come in."""

    declared: pb.InputFile
    name: str
    path: Path
    stream: FileIO
    size_bytes: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self, data: bytes) -> None:
        if self.size_bytes + len(data) > self.declared.size_bytes:
            raise _size_error(self.name, f"more than {self.declared.size_bytes}", self.declared.size_bytes)
        self.size_bytes += len(data)
        self.digest.update(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self.stream.write(rest) :]
        except OSError as error:
            raise _spool_error(self.name, error) from error

    def finish(self) -> ReceivedFile:
        if self.size_bytes != self.declared.size_bytes:
            raise _size_error(self.name, str(self.size_bytes), self.declared.size_bytes)
        sha256 = self.digest.hexdigest()
        _check_digest(self.declared, self.name, sha256)
        return ReceivedFile(self.declared.role, self.name, self.path, self.size_bytes, sha256, local=False)


def first_message(requests: Iterator[M], kind: str) -> M:
    """The stream's first message, which must hold `kind` ("header" or "input").

    Raises OptionError if it doesn't, JobCancelledError if the client went away.
    """
    message = _next(requests)
    found = message.WhichOneof("message") if message is not None else None
    if message is None or found != kind:
        raise OptionError(f"the first message holds {found or 'nothing'}, expected {kind}", "HEADER_MISSING")
    return message


def receive(
    declared: Sequence[pb.InputFile], requests: Iterator[M], place: InputPlace
) -> Generator[pb.JobEvent, None, list[ReceivedFile]]:
    """Yields progress, returns the files in the header's order, each as large and with the digest declared.

    Raises OptionError, LimitError, FileFormatError (an empty file), JobCancelledError (the client went away).
    """
    total = sum(one.size_bytes for one in declared) or 1
    done = reported = 0
    with ExitStack() as stack:
        arriving: dict[int, _Arriving] = {}
        files: dict[int, ReceivedFile] = {}
        for index, one in enumerate(declared):
            name = _base_name(one)
            if one.local_path:
                files[index] = _local_file(one, name, place)
            else:
                arriving[index] = _open(one, index, name, place, stack)
        for chunk in _chunks(requests):
            if len(chunk.data) > CHUNK_BYTES:
                raise LimitError(f"a chunk of {len(chunk.data)} bytes, the limit is {CHUNK_BYTES}", "CHUNK_TOO_LARGE")
            if chunk.input not in arriving:
                raise OptionError(f"a chunk for input {chunk.input}, which expects none", "UNEXPECTED_CHUNK")
            arriving[chunk.input].take(chunk.data)
            done += len(chunk.data)
            if done - reported >= REPORT_EVERY:
                reported = done
                yield progress(pb.STAGE_RECEIVE, done / total)
        files.update({index: one.finish() for index, one in arriving.items()})
    return [files[index] for index in sorted(files)]


def returned(generator: Generator[object, None, T]) -> T:
    """What a generator returns, its yields unread: for calls that stream nothing back."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            value: T = end.value
            return value


def progress(stage: pb.Stage, fraction: float = 0.0, eta_s: float = 0.0, ahead: int = 0) -> pb.JobEvent:
    """A progress event."""
    return pb.JobEvent(progress=pb.Progress(stage=stage, fraction=fraction, eta_s=eta_s, queue_position=ahead))


def send(role: str, path: Path) -> Iterator[pb.JobEvent]:
    """A result file in chunks of at most 1 MiB, in order, the last one marked."""
    with path.open("rb") as stream:
        data = stream.read(CHUNK_BYTES)
        while True:
            following = stream.read(CHUNK_BYTES)
            yield pb.JobEvent(result=pb.ResultChunk(role=role, data=data, last=not following))
            if not following:
                return
            data = following


@contextmanager
def stall_guard(context: grpc.ServicerContext, expected_bytes: int = 0) -> Iterator[None]:
    """Ends the call of a client that stops sending in the middle of its files."""
    timer = threading.Timer(STALL_S + expected_bytes / SLOWEST, context.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _next(requests: Iterator[M]) -> M | None:
    try:
        return next(requests, None)
    except grpc.RpcError as error:
        raise JobCancelledError("the client went away while sending", "CANCELLED") from error


def _chunks(requests: Iterator[M]) -> Iterable[pb.Chunk]:
    while (message := _next(requests)) is not None:
        found = message.WhichOneof("message")
        if found != "chunk":
            raise OptionError(
                f"after the first message comes {found or 'an empty one'}, expected chunks", "NOT_A_CHUNK"
            )
        yield message.chunk


def _base_name(one: pb.InputFile) -> str:
    """What messages and OriginalRawFileName call the file: no folders, nothing a terminal acts on, fit for a disk."""
    path = PurePath((one.name or one.local_path).replace("\\", "/"))
    name = "".join(c if c.isprintable() else "_" for c in path.name)
    if len(name.encode()) > NAME_BYTES:
        suffix = path.suffix if path.suffix.isascii() and len(path.suffix) < 8 else ""
        name = name.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix
    return name if name not in ("", ".", "..") else "input"


def _open(one: pb.InputFile, index: int, name: str, place: InputPlace, stack: ExitStack) -> _Arriving:
    if one.size_bytes == 0:
        raise FileFormatError(f"{name}: is empty, or its size was not declared", "EMPTY_FILE")
    _check_size(name, one.size_bytes, place.limits)
    path = place.folder / f"input-{index}" / name
    try:
        path.parent.mkdir(mode=0o700)
        stream = path.open("xb", buffering=0)  # chunks are large, and a full disk shows at once
    except OSError as error:
        raise _spool_error(name, error) from error
    return _Arriving(one, name, path, stack.enter_context(stream))


def _local_file(one: pb.InputFile, name: str, place: InputPlace) -> ReceivedFile:
    if not place.paths_allowed:
        raise OptionError(f"{name}: local_path is honoured on the Unix socket only; send chunks", "LOCAL_PATH_REFUSED")
    path = Path(one.local_path)
    if not path.is_absolute():
        raise OptionError(f"{one.local_path}: expected an absolute path", "PATH_NOT_ABSOLUTE")
    try:
        with open(path, "rb", opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OptionError(f"{path}: is no file", "INPUT_NOT_FOUND")
            if status.st_size == 0:
                raise FileFormatError(f"{name}: is empty", "EMPTY_FILE")
            _check_size(name, status.st_size, place.limits)
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | ValueError)
        reason = "INPUT_NOT_FOUND" if missing else "INPUT_UNREADABLE"
        raise OptionError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}", reason) from error
    if one.size_bytes not in (0, status.st_size):
        raise _size_error(name, str(status.st_size), one.size_bytes)
    _check_digest(one, name, sha256)
    return ReceivedFile(one.role, name, path, status.st_size, sha256, local=True)


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; a named pipe too, whose plain opening would wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_size(name: str, size: int, limits: Limits) -> None:
    if size > limits.file_bytes:
        raise LimitError(
            f"{name}: {size} bytes, the limit is {limits.file_bytes}",
            "FILE_TOO_LARGE",
            {"limit": str(limits.file_bytes)},
        )


def _check_digest(one: pb.InputFile, name: str, found: str) -> None:
    if one.sha256 and one.sha256.lower() != found:
        raise OptionError(
            f"{name}: sha256 is {found[:12]}..., declared {one.sha256[:12]}...",
            "SHA256_MISMATCH",
            {"found": found, "expected": one.sha256},
        )


def _size_error(name: str, found: str, expected: int) -> IspError:
    return OptionError(
        f"{name}: {found} bytes came, {expected} were declared",
        "SIZE_MISMATCH",
        {"found": found, "expected": str(expected)},
    )


def _spool_error(name: str, error: OSError) -> IspError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = f"{name}: no room for it in the server's temporary folder: {error.strerror}"
    return LimitError(text, "DISK_FULL" if full else "SPOOL_FAILED")
