"""plugin_core.client.client: what is sent, what is written, and what is left when something goes wrong."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from plugin_core.client import Client, Compression, DenoiseOptions, Output, Progress, ServerFault, ServerLost, Stage
from plugin_core.errors import JobCancelledError, OptionError
from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.unit.client.serving import CHANGE_MAP, DNG, Seen, Service, restore, result_chunks, serving, summary

RAW = b"raw bytes " * 200_001  # two chunks


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture(params=["unix", "tcp"])
def client(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Iterator[Client]:
    address = f"unix://{tmp_path}/s" if request.param == "unix" else "127.0.0.1:0"
    with serving(service, address) as reached, Client(reached) as made:
        yield made


@pytest.fixture
def tcp(service: Service) -> Iterator[Client]:
    with serving(service, "127.0.0.1:0") as reached, Client(reached) as made:
        yield made


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "IMG_1.CR3"
    path.write_bytes(RAW)
    return path


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_result_is_written_and_described(client: Client, service: Service, raw: Path, tmp_path: Path) -> None:
    target, change = tmp_path / "out.dng", tmp_path / "change.png"
    steps: list[Progress] = []
    restored = client.denoise(raw, target, change_map=change, progress=steps.append)
    assert target.read_bytes() == DNG
    assert change.read_bytes() == CHANGE_MAP
    assert service.seen[0].content() == RAW
    assert (restored.path, restored.dng, restored.change_map) == (target, None, change)
    assert restored.sha256 == hashlib.sha256(DNG).hexdigest()
    assert restored.size_bytes == len(DNG)
    assert restored.source_sha256 == hashlib.sha256(RAW).hexdigest()
    assert restored.seconds == {Stage.RESTORE: 1.5}
    assert restored.warnings == ("levels were rescaled",)
    assert restored.noise.source == "measured"
    assert [step.stage for step in steps] == [Stage.DECODE] * 3 + [Stage.RESTORE] * 3
    assert steps[1] == Progress(Stage.DECODE, 0.5, 3.0, 0)


def test_socket_gets_the_path_and_tcp_the_bytes(client: Client, service: Service, raw: Path) -> None:
    client.denoise(raw)
    declared = service.seen[0].header.inputs[0]
    assert declared.name == "IMG_1.CR3"
    if client.connection.is_unix:
        assert (declared.local_path, declared.size_bytes, service.seen[0].chunks) == (str(raw), 0, [])
    else:
        assert (declared.local_path, declared.size_bytes) == ("", len(RAW))
        assert [len(chunk.data) for chunk in service.seen[0].chunks] == [1 << 20, len(RAW) - (1 << 20)]


@pytest.mark.parametrize("kind", ["bytes", "file", "pipe"])
def test_bytes_and_file_objects(client: Client, service: Service, kind: str) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    source = RAW if kind == "bytes" else Pipe(RAW) if kind == "pipe" else io.BytesIO(b"skip" + RAW)
    if kind == "file":
        source.seek(4)  # type: ignore[union-attr]
    restored = client.denoise(source, name="a.nef", mask=b"mask bytes")
    assert restored.dng == DNG
    assert restored.path is None
    inputs = service.seen[0].header.inputs
    assert [(one.role, one.name, one.size_bytes) for one in inputs] == [
        ("raw", "a.nef", len(RAW)),
        ("mask", "mask", 10),
    ]
    assert service.seen[0].content(0) == RAW
    assert service.seen[0].content(1) == b"mask bytes"


def test_options_arrive(client: Client, service: Service, raw: Path, tmp_path: Path) -> None:
    options = DenoiseOptions(
        "fast", 0.0, 0.5, 0.25, Output.LINEAR, Compression.NONE, ((1e-3,), (1e-6,)), use_cache=False
    )
    client.denoise(raw, options=options, change_map=tmp_path / "c.tif")
    sent = service.seen[0].header.denoise
    assert (sent.model, sent.strength, sent.luma, sent.chroma) == ("fast", 0.0, 0.5, 0.25)
    assert sent.HasField("strength")  # 0 is not "the default"
    assert (sent.output, sent.compression, sent.no_cache) == (pb.OUTPUT_LINEAR, pb.COMPRESSION_NONE, True)
    assert (list(sent.noise.a), list(sent.noise.b)) == (pytest.approx([1e-3]), pytest.approx([1e-6]))
    assert (sent.change_map, sent.change_map_format) == (True, pb.CHANGE_MAP_FORMAT_TIFF)


def test_token_goes_with_every_call(service: Service, raw: Path) -> None:
    with serving(service, "127.0.0.1:0") as address, Client(address, token="s3cret") as client:
        client.denoise(raw)
    assert service.seen[0].metadata["authorization"] == "Bearer s3cret"


def test_existing_file_stays_without_overwrite(client: Client, service: Service, raw: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.dng"
    target.write_bytes(b"precious")
    with pytest.raises(OptionError, match=r"out\.dng") as caught:
        client.denoise(raw, target)
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert target.read_bytes() == b"precious"
    assert service.seen == []  # asked before any work is done
    client.denoise(raw, target, overwrite=True)
    assert target.read_bytes() == DNG


@pytest.mark.parametrize(
    ("target", "reason"), [("none/out.dng", "OUTPUT_UNWRITABLE"), (".", "OUTPUT_EXISTS"), ("IMG_1.CR3/x.dng", None)]
)
def test_unusable_output(client: Client, raw: Path, tmp_path: Path, target: str, reason: str | None) -> None:
    with pytest.raises(OptionError) as caught:
        client.denoise(raw, tmp_path / target)
    assert reason in (None, caught.value.reason)


@pytest.mark.parametrize("source", ["missing.nef", "."])
def test_unusable_input(client: Client, tmp_path: Path, source: str) -> None:
    with pytest.raises(OptionError) as caught:
        client.denoise(tmp_path / source, tmp_path / "out.dng")
    assert caught.value.reason == "INPUT_NOT_FOUND"
    assert not (tmp_path / "out.dng").exists()


def test_change_map_ending(client: Client, raw: Path) -> None:
    with pytest.raises(OptionError, match="jpg"):
        client.denoise(raw, change_map="map.jpg")


def _fails_midway(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
    yield from list(result_chunks("dng", DNG))[:2]
    context.abort(grpc.StatusCode.INTERNAL, "internal error; the server's log has job 1")


def _short(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
    yield from result_chunks("dng", DNG[:-1])
    yield pb.JobEvent(summary=summary(seen, {"dng": DNG}))


def _no_summary(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
    yield from result_chunks("dng", DNG)


@pytest.mark.parametrize("answer", [_fails_midway, _short, _no_summary])
def test_no_partial_file_when_the_server_fails(
    client: Client, service: Service, raw: Path, tmp_path: Path, answer: object
) -> None:
    service.answer = answer  # type: ignore[assignment]
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ServerFault):
        client.denoise(raw, out / "x.dng")
    assert _names(out) == set()


def test_source_damaged_on_the_way(tcp: Client, service: Service, raw: Path, tmp_path: Path) -> None:
    def other_source(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
        for event in restore(seen, context):
            if event.WhichOneof("event") == "summary":
                event.summary.source_sha256 = "0" * 64
            yield event

    service.answer = other_source
    with pytest.raises(ServerFault, match="IMG_1"):
        tcp.denoise(raw, tmp_path / "x.dng")
    assert not (tmp_path / "x.dng").exists()


def test_source_that_fails_while_read(tcp: Client) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OptionError, match="Input/output error") as caught:
        tcp.denoise(Broken(RAW), name="card.nef")
    assert caught.value.reason == "INPUT_UNREADABLE"


def test_no_server(tmp_path: Path, raw: Path) -> None:
    for address in (f"unix://{tmp_path}/nobody", "127.0.0.1:1"):
        with Client(address) as client, pytest.raises(ServerLost) as caught:
            client.denoise(raw)
        assert caught.value.reason == "SERVER_UNREACHABLE"
        assert address in caught.value.message


def _waits(started: threading.Event, ended: threading.Event) -> object:
    def answer(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
        context.add_callback(ended.set)
        yield from list(result_chunks("dng", DNG))[:1]
        started.set()
        ended.wait(20)

    return answer


def test_server_that_goes_away(service: Service, raw: Path, tmp_path: Path) -> None:
    started, ended = threading.Event(), threading.Event()
    service.answer = _waits(started, ended)  # type: ignore[assignment]
    out = tmp_path / "out"
    out.mkdir()
    caught: list[BaseException] = []

    def work(address: str) -> None:
        with Client(address) as client:
            try:
                client.denoise(raw, out / "x.dng")
            except ServerLost as error:
                caught.append(error)

    with serving(service, "127.0.0.1:0") as address:
        thread = threading.Thread(target=work, args=(address,))
        thread.start()
        assert started.wait(20)
    thread.join(20)
    assert [type(error) for error in caught] == [ServerLost]
    assert _names(out) == set()


def test_deadline(client: Client, service: Service, raw: Path, tmp_path: Path) -> None:
    started, ended = threading.Event(), threading.Event()
    service.answer = _waits(started, ended)  # type: ignore[assignment]
    begin = time.monotonic()
    with pytest.raises(JobCancelledError) as caught:
        client.denoise(raw, tmp_path / "x.dng", timeout_s=0.5)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert time.monotonic() - begin < 10
    assert not (tmp_path / "x.dng").exists()


def test_interrupt_cancels_the_job(client: Client, service: Service, raw: Path, tmp_path: Path) -> None:
    ended = threading.Event()

    def answer(seen: Seen, context: grpc.ServicerContext) -> Iterator[pb.JobEvent]:
        context.add_callback(ended.set)
        yield pb.JobEvent(progress=pb.Progress(stage=pb.STAGE_RESTORE, fraction=0.1))
        ended.wait(20)

    def interrupt(step: Progress) -> None:
        raise KeyboardInterrupt

    service.answer = answer
    with pytest.raises(KeyboardInterrupt):
        client.denoise(raw, tmp_path / "x.dng", progress=interrupt)
    assert ended.wait(10)  # the server knows
    assert not (tmp_path / "x.dng").exists()


def test_describe_info_and_models(client: Client, raw: Path) -> None:
    described = client.describe(raw)
    assert (described.name, described.sha256) == ("IMG_1.CR3", hashlib.sha256(RAW).hexdigest())
    assert client.server_info().default_model == "standard"
    assert [model.id for model in client.models()] == ["standard", "fast"]


def test_two_jobs_at_once(client: Client, raw: Path, tmp_path: Path) -> None:
    threads = [threading.Thread(target=client.denoise, args=(raw, tmp_path / f"{i}.dng")) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all((tmp_path / f"{i}.dng").read_bytes() == DNG for i in range(4))
