"""Servers that are killed and clients that vanish, crowd in, are in a hurry or don't know the word."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from plugin_core.client import Client, ServerLost
from plugin_core.config import ServerConfig
from plugin_core.errors import IspError, JobCancelledError, LimitError, OptionError
from plugin_core.rpc.server import RestorationServer
from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1.restoration_pb2_grpc import RestorationStub
from tests.abuse.place import Place, assert_one_clear_line, eventually, place_of_its_own
from tests.builders import make_frame, write_cfa_dng

KILLS = 20
CLIENTS = 50


@pytest.fixture(scope="module")
def long_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DNG that takes the network a second or more."""
    return write_cfa_dng(tmp_path_factory.mktemp("long") / "long.dng", make_frame(1200, 1600))


@pytest.mark.slow
def test_a_server_killed_at_any_moment_leaves_no_trace(long_job: Path, good_file: Path, tmp_path: Path) -> None:
    draw = random.Random(20)
    output = tmp_path / "out.dng"
    lost: list[ServerLost] = []
    with place_of_its_own() as own:
        for kill in range(KILLS):
            with own.connect() as client:
                process = client.server_info().pid
                timer = threading.Timer(draw.uniform(0.0, 2.0), os.kill, (process, signal.SIGKILL))
                timer.start()
                try:
                    client.denoise(long_job, output)
                    output.unlink()
                except ServerLost as error:
                    lost.append(error)
                timer.join()
            assert not list(tmp_path.iterdir()), f"after kill {kill}"
            assert eventually(lambda: not own.processes()), own.processes()  # the decoder goes with its server
        with own.connect() as client:
            client.denoise(good_file, output)
            assert eventually(lambda: not own.leftovers()), own.leftovers()
    for error in lost:
        assert_one_clear_line(error)
    assert {error.reason for error in lost} <= {"SERVER_LOST", "SERVER_UNREACHABLE"}
    assert len(lost) >= KILLS // 2
    assert [path.name for path in tmp_path.iterdir()] == ["out.dng"]


def test_a_client_gone_in_the_middle_of_its_upload_is_forgotten(
    place: Place, client: Client, good_file: Path, unharmed: Callable[[], None]
) -> None:
    sent = threading.Event()
    content = good_file.read_bytes()

    def half() -> Iterator[pb.DenoiseRequest]:
        header = pb.JobHeader(inputs=[pb.InputFile(role="raw", name="half.dng", size_bytes=len(content))])
        yield pb.DenoiseRequest(header=header)
        yield pb.DenoiseRequest(chunk=pb.Chunk(input=0, data=content[: len(content) // 2]))
        sent.set()
        threading.Event().wait(30)

    channel = grpc.insecure_channel(ServerConfig().address)
    RestorationStub(channel).Denoise(half())  # type: ignore[no-untyped-call]
    assert sent.wait(10)
    assert eventually(place.leftovers)  # half a file is there
    channel.close()
    assert eventually(lambda: not place.leftovers())
    assert eventually(lambda: client.server_info().queue_length == 0)


def test_a_client_gone_in_the_middle_of_its_job_frees_the_lane(
    place: Place, client: Client, long_job: Path, unharmed: Callable[[], None]
) -> None:
    request = pb.JobHeader(
        inputs=[pb.InputFile(role="raw", name="long.dng", local_path=str(long_job))],
        denoise=pb.DenoiseOptions(no_cache=True),
    )
    channel = grpc.insecure_channel(ServerConfig().address)
    events = RestorationStub(channel).Denoise(iter([pb.DenoiseRequest(header=request)]))  # type: ignore[no-untyped-call]
    for event in events:
        if event.progress.stage == pb.STAGE_RESTORE:
            break
    channel.close()
    assert eventually(lambda: client.server_info().queue_length == 0)
    assert eventually(lambda: not place.leftovers())


@pytest.mark.slow
def test_fifty_clients_at_once_all_get_a_result_or_a_clear_refusal(
    place: Place, good_file: Path, tmp_path: Path, unharmed: Callable[[], None]
) -> None:
    ready = threading.Barrier(CLIENTS)

    def call(number: int) -> LimitError | None:
        with Client() as own:
            ready.wait(60)
            try:
                own.denoise(good_file, tmp_path / f"{number}.dng", timeout_s=120)
            except LimitError as error:
                return error
            return None

    with ThreadPoolExecutor(CLIENTS) as crowd:
        refused = [error for error in crowd.map(call, range(CLIENTS)) if error]
    for error in refused:
        assert_one_clear_line(error)
        assert error.reason == "QUEUE_FULL"
        assert float(error.metadata["retry_after_s"]) > 0
    assert CLIENTS - len(refused) >= 16  # what the queue holds
    written = [path for path in tmp_path.glob("*.dng") if path.stem.isdecimal()]
    assert len(written) == CLIENTS - len(refused)
    assert len({path.read_bytes()[:64] for path in written}) == 1


def test_a_deadline_that_is_too_short_cancels_the_job(
    client: Client, long_job: Path, tmp_path: Path, unharmed: Callable[[], None]
) -> None:
    began = time.monotonic()
    with pytest.raises(JobCancelledError) as refusal:
        client.denoise(long_job, tmp_path / "out.dng", timeout_s=0.15)
    assert time.monotonic() - began < 5
    assert_one_clear_line(refusal.value)
    assert not (tmp_path / "out.dng").exists()
    assert eventually(lambda: client.server_info().queue_length == 0)


@pytest.mark.parametrize("token", ["", "wrong", "secret-but-longer"])
def test_a_wrong_token_is_turned_away(token: str, good_file: Path, tmp_path: Path) -> None:
    with (
        place_of_its_own(),
        RestorationServer(ServerConfig(address="127.0.0.1:0", token="secret")) as server,
        Client(server.address, token=token) as stranger,
        Client(server.address, token="secret") as friend,
    ):
        with pytest.raises(OptionError) as refusal:
            stranger.denoise(good_file, tmp_path / "out.dng")
        assert_one_clear_line(refusal.value, "token")
        assert refusal.value.reason == "UNAUTHENTICATED"
        assert not (tmp_path / "out.dng").exists()
        with pytest.raises(IspError):
            stranger.server_info()
        friend.denoise(good_file, tmp_path / "friend.dng")
