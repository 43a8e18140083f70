"""What comes over the stream is whole, of the declared size and digest, or refused by name."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, JobCancelledError, LimitError, OptionError
from plugin_core.rpc import transfer
from plugin_core.rpc.transfer import CHUNK_BYTES, InputPlace, first_message, receive, returned, send, stall_guard
from plugin_core.rpc.v1 import restoration_pb2 as pb

CONTENT = bytes(range(256)) * 37


def place(folder: Path, paths_allowed: bool = True, **limits: int) -> InputPlace:
    return InputPlace(folder, Limits(**limits), paths_allowed)  # type: ignore[arg-type]


def declared(content: bytes = CONTENT, **changes: object) -> pb.InputFile:
    fields = {"role": "raw", "name": "a.dng", "size_bytes": len(content), **changes}
    return pb.InputFile(**fields)  # type: ignore[arg-type]


def chunks(*pieces: bytes, index: int = 0) -> Iterator[pb.DenoiseRequest]:
    for piece in pieces:
        yield pb.DenoiseRequest(chunk=pb.Chunk(input=index, data=piece))


def refusal(*arguments: object) -> IspError:
    with pytest.raises(IspError) as caught:
        returned(receive(*arguments))  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("size", [1, 4096, len(CONTENT)])
def test_file_arrives_whole(tmp_path: Path, size: int) -> None:
    pieces = [CONTENT[i : i + size] for i in range(0, len(CONTENT), size)]
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    (file,) = returned(receive([declared(sha256=sha256.upper())], chunks(*pieces), place(tmp_path)))
    assert file.path.read_bytes() == CONTENT
    assert file.path.parent.parent == tmp_path
    assert (file.name, file.role, file.size_bytes, file.sha256, file.local) == (
        "a.dng", "raw", len(CONTENT), sha256, False,
    )  # fmt: skip


def test_two_files_may_interleave(tmp_path: Path) -> None:
    both = [declared(b"aabb"), declared(b"xy", role="mask", name="m.png")]
    messages = [*chunks(b"aa"), *chunks(b"x", index=1), *chunks(b"bb"), *chunks(b"y", index=1)]
    first, second = returned(receive(both, iter(messages), place(tmp_path)))
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"aabb", b"xy")


@pytest.mark.parametrize(
    ("pieces", "changes", "kind", "reason"),
    [
        ([CONTENT[:-1]], {}, OptionError, "SIZE_MISMATCH"),
        ([], {}, OptionError, "SIZE_MISMATCH"),
        ([CONTENT, b"x"], {}, OptionError, "SIZE_MISMATCH"),
        ([CONTENT], {"sha256": "0" * 64}, OptionError, "SHA256_MISMATCH"),
        ([], {"size_bytes": 0}, FileFormatError, "EMPTY_FILE"),
        ([], {"size_bytes": 1 << 40}, LimitError, "FILE_TOO_LARGE"),
        ([bytes(CHUNK_BYTES + 1)], {"size_bytes": 1 << 22}, LimitError, "CHUNK_TOO_LARGE"),
    ],
)
def test_refuses_by_name(
    tmp_path: Path, pieces: list[bytes], changes: dict[str, object], kind: type[IspError], reason: str
) -> None:
    error = refusal([declared(**changes)], chunks(*pieces), place(tmp_path))
    assert (type(error), error.reason) == (kind, reason)
    assert "a.dng" in error.message or reason == "CHUNK_TOO_LARGE"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.DenoiseRequest(chunk=pb.Chunk(input=1, data=b"x")), "UNEXPECTED_CHUNK"),
        (pb.DenoiseRequest(header=pb.JobHeader()), "NOT_A_CHUNK"),
        (pb.DenoiseRequest(), "NOT_A_CHUNK"),
    ],
)
def test_refuses_messages_that_belong_nowhere(tmp_path: Path, message: pb.DenoiseRequest, reason: str) -> None:
    assert refusal([declared()], iter([message]), place(tmp_path)).reason == reason


def test_first_message_must_be_the_header() -> None:
    header = pb.DenoiseRequest(header=pb.JobHeader(inputs=[declared()]))
    assert first_message(iter([header]), "header") is header
    for messages in ([], [pb.DenoiseRequest()], list(chunks(b"x"))):
        with pytest.raises(OptionError) as caught:
            first_message(iter(messages), "header")
        assert caught.value.reason == "HEADER_MISSING"


def test_client_gone_is_a_cancelled_job(tmp_path: Path) -> None:
    def broken() -> Iterator[pb.DenoiseRequest]:
        yield from chunks(b"x")
        raise grpc.RpcError

    assert isinstance(refusal([declared()], broken(), place(tmp_path)), JobCancelledError)


def test_local_file_is_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "b.dng"
    path.write_bytes(CONTENT)
    entry = declared(size_bytes=0, name="", local_path=str(path))
    (file,) = returned(receive([entry], iter(()), place(tmp_path)))
    assert (file.path, file.name, file.local) == (path, "b.dng", True)
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "INPUT_NOT_FOUND"),
        (lambda path: path.mkdir(), "INPUT_NOT_FOUND"),
        (os.mkfifo, "INPUT_NOT_FOUND"),
        (lambda path: path.write_bytes(b""), "EMPTY_FILE"),
        (lambda path: path.write_bytes(bytes(5000)), "FILE_TOO_LARGE"),
    ],
    ids=["missing", "folder", "pipe", "empty", "large"],
)
def test_local_path_that_is_no_good_file(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "b.dng"
    make(path)  # type: ignore[operator]
    entry = declared(size_bytes=0, local_path=str(path))
    assert refusal([entry], iter(()), place(tmp_path, file_bytes=4000)).reason == reason


def test_local_path_needs_the_unix_socket_and_to_be_absolute(tmp_path: Path) -> None:
    entry = declared(size_bytes=0, local_path=str(tmp_path))
    assert refusal([entry], iter(()), place(tmp_path, paths_allowed=False)).reason == "LOCAL_PATH_REFUSED"
    entry = declared(size_bytes=0, local_path="b.dng")
    assert refusal([entry], iter(()), place(tmp_path)).reason == "PATH_NOT_ABSOLUTE"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("c:\\x\\y.nef", "y.nef"),
        ("a\x1b[2Jb\n.dng", "a_[2Jb_.dng"),
        ("..", "input"),
        ("", "input"),
        ("é" * 300 + ".dng", "é" * 98 + ".dng"),
    ],
)
def test_names_are_base_names_that_no_terminal_acts_on(tmp_path: Path, name: str, shown: str) -> None:
    (file,) = returned(receive([declared(name=name)], chunks(CONTENT), place(tmp_path)))
    assert file.name == shown
    assert file.path == tmp_path / "input-0" / shown, "who names the file by its path names it as the caller does"


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *arguments: object, **options: object) -> object:
        return io.FileIO("/dev/full", "w")

    monkeypatch.setattr(Path, "open", full)
    error = refusal([declared()], chunks(CONTENT), place(tmp_path))
    assert (type(error), error.reason) == (LimitError, "DISK_FULL")
    assert "a.dng" in error.message


def test_client_that_stalls_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "STALL_S", 0.05)
    cut = threading.Event()
    context = SimpleNamespace(cancel=cut.set)
    with stall_guard(context):  # type: ignore[arg-type]
        assert cut.wait(5)
    cut.clear()
    with stall_guard(context, expected_bytes=1 << 30):  # type: ignore[arg-type]
        assert not cut.wait(0.2)


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_sent_chunks_make_up_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "r"
    path.write_bytes(os.urandom(size))
    events = list(send("dng", path))
    assert b"".join(event.result.data for event in events) == path.read_bytes()
    assert [event.result.last for event in events] == [False] * (len(events) - 1) + [True]
    assert max(len(event.result.data) for event in events) <= CHUNK_BYTES
