"""Files over the stream: inputs out in chunks or by path, results back into files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from plugin_core.client.connection import CHUNK_BYTES
from plugin_core.client.errors import ServerFault
from plugin_core.errors import OptionError
from plugin_core.io.atomic import atomic_write
from plugin_core.rpc.v1 import restoration_pb2 as pb

__all__ = ["FileSource", "Input", "Received", "open_input"]

FileSource = Path | str | bytes | BinaryIO


@dataclass
class Input:
    """One input of a job: what the header says of it, and its bytes where the server can't read it by its path.

    digest: SHA-256 of what chunks() has read so far. failure: the error that ended chunks() early.
    """

    message: pb.InputFile
    stream: BinaryIO | None
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    failure: OptionError | None = None

    def chunks(self, index: int) -> Iterator[pb.Chunk]:
        """The bytes in pieces of at most 1 MiB, hashed on their way; nothing for an input that goes by its path."""
        while self.stream is not None:
            try:
                data = self.stream.read(CHUNK_BYTES)
            except OSError as error:
                self.failure = OptionError(f"{self.message.name}: can't be read ({error.strerror})", "INPUT_UNREADABLE")
                raise self.failure from error
            if not data:
                return
            self.digest.update(data)
            yield pb.Chunk(input=index, data=data)


def open_input(source: FileSource, role: str, name: str, by_path: bool, files: ExitStack) -> Input:
    """An input ready to be sent; what it opens is closed with `files`.

    by_path: send a path instead of bytes where source is one (Unix socket: the server reads the file itself).
    Raises OptionError if the path is not a readable file.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Input(pb.InputFile(role=role, name=name or role, size_bytes=len(source)), io.BytesIO(source))
    if isinstance(source, (str, Path)):
        path = Path(os.path.abspath(source))
        stream = files.enter_context(_open_file(path, source))
        message = pb.InputFile(role=role, name=name or path.name)
        if by_path:
            message.local_path = str(path)
            return Input(message, None)
        message.size_bytes = os.fstat(stream.fileno()).st_size
        return Input(message, stream)
    stream = source
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    own_name = getattr(source, "name", "")
    known = name or (os.path.basename(own_name) if isinstance(own_name, str) else "") or role
    return Input(pb.InputFile(role=role, name=known, size_bytes=size), stream)


def _open_file(path: Path, shown: Path | str) -> BinaryIO:
    try:
        if path.is_dir():
            raise OptionError(f"{shown}: is a folder, expected a file", "INPUT_NOT_FOUND")
        return path.open("rb")
    except FileNotFoundError as error:
        raise OptionError(f"{shown}: no such file", "INPUT_NOT_FOUND") from error
    except OSError as error:
        raise OptionError(f"{shown}: can't be read ({error.strerror})", "INPUT_UNREADABLE") from error


class Received(AbstractContextManager["Received"]):
    """One result as it comes in: to `path`, atomically, or to memory if that is None.

    The file is created with the first chunk and takes its name when the block ends without an exception.
    """

    def __init__(self, path: Path | None, overwrite: bool = False) -> None:
        self.path = path
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()
        self._overwrite = overwrite
        self._memory = io.BytesIO()
        self._stack = ExitStack()
        self._sink: BinaryIO | None = None

    def check_target(self) -> None:
        """Raises OptionError now, rather than after minutes of work, if the file can't be written."""
        if self.path is None:
            return
        if self.path.exists() and not self._overwrite:
            raise OptionError(f"{self.path}: exists already", "OUTPUT_EXISTS")
        if self.path.is_dir():
            raise OptionError(f"{self.path}: is a folder, expected a file name", "OUTPUT_UNWRITABLE")
        if not self.path.parent.is_dir():
            raise OptionError(f"{self.path}: there is no folder {self.path.parent}", "OUTPUT_UNWRITABLE")
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise OptionError(f"{self.path}: you may not write in {self.path.parent}", "OUTPUT_UNWRITABLE")

    def write(self, data: bytes) -> None:
        """Takes the next chunk. A full disk is a LimitError."""
        self.size_bytes += len(data)
        self.sha256.update(data)
        if self.path is None:
            self._memory.write(data)
            return
        if self._sink is None:
            temporary = self._stack.enter_context(atomic_write(self.path, self._overwrite))
            self._sink = self._stack.enter_context(temporary.open("wb"))
        self._sink.write(data)

    def check(self, result: pb.ResultFile | None, what: str) -> None:
        """Raises ServerFault unless all bytes of the result are here, and no other."""
        expected = (result.size_bytes, result.sha256) if result else (-1, "")
        if expected != (self.size_bytes, self.sha256.hexdigest()):
            text = f"the {what} arrived damaged: {self.size_bytes} bytes, expected {expected[0]}; nothing was written"
            raise ServerFault(text, "RESULT_DAMAGED")

    @property
    def data(self) -> bytes | None:
        """What came, where no path was asked for."""
        return self._memory.getvalue() if self.path is None else None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stack.__exit__(kind, error, trace)  # type: ignore[arg-type]
