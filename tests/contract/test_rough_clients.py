"""Clients that go away, ask for too much or don't wait: the server ends their jobs, and serves the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.server_fixture import LiveServer, denoise, details_of, requests


def eventually(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def queue_length(stub: Any) -> int:
    return int(stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=10).queue_length)


def assert_unharmed(server: LiveServer, stub: Any, raw: Path) -> None:
    assert eventually(lambda: queue_length(stub) == 0)
    assert eventually(lambda: server.leftovers() == [])
    assert denoise(stub, requests(raw.read_bytes())).summary.job_id


def first_tile(call: Any) -> None:
    """Reads events until the network has begun."""
    for event in call:
        if event.progress.stage == pb.STAGE_RESTORE:
            return
    raise AssertionError("the job ended before it was restored")


def test_progress_comes_tile_by_tile(stub: Any, large_raw: Path) -> None:
    outcome = denoise(stub, requests(large_raw.read_bytes(), pb.DenoiseOptions(no_cache=True), chunk_bytes=1 << 20))
    shares = [e.progress.fraction for e in outcome.events if e.progress.stage == pb.STAGE_RESTORE]
    assert shares == sorted(shares)
    assert len(set(shares)) >= 10
    assert shares[-1] == 1.0
    assert any(e.progress.eta_s > 0 for e in outcome.events)


def test_cancelled_in_the_middle(server: LiveServer, stub: Any, raw: Path, large_raw: Path) -> None:
    options = pb.DenoiseOptions(no_cache=True)
    call = stub.Denoise(requests(large_raw.read_bytes(), options, chunk_bytes=1 << 20), timeout=60)
    first_tile(call)
    begin = time.monotonic()
    call.cancel()
    assert eventually(lambda: queue_length(stub) == 0)
    assert time.monotonic() - begin < 5, "a cancelled job ends at its next tile"
    assert_unharmed(server, stub, raw)


def test_deadline_in_the_middle(server: LiveServer, stub: Any, raw: Path, large_raw: Path) -> None:
    for deadline_s in (0.001, 0.5):
        messages = requests(large_raw.read_bytes(), pb.DenoiseOptions(no_cache=True), chunk_bytes=1 << 20)
        with pytest.raises(grpc.RpcError) as caught:
            denoise(stub, messages, timeout=deadline_s)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert_unharmed(server, stub, raw)


def test_gone_while_sending(server: LiveServer, stub: Any, raw: Path) -> None:
    content, go = raw.read_bytes(), threading.Event()

    def half() -> Any:
        messages = list(requests(content, chunk_bytes=1024))
        yield from messages[:5]
        go.wait(20)

    with server.stub(grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])) as leaving:
        call = leaving.Denoise(half(), timeout=60)  # dropping it would cancel it
        assert eventually(lambda: server.leftovers() != [])
        assert call.is_active()
    go.set()
    assert_unharmed(server, stub, raw)


def test_gone_while_receiving(server: LiveServer, stub: Any, raw: Path, large_raw: Path) -> None:
    options = pb.DenoiseOptions(strength=0, compression=pb.COMPRESSION_NONE)
    call = stub.Denoise(requests(large_raw.read_bytes(), options, chunk_bytes=1 << 20), timeout=60)
    for event in call:
        if event.HasField("result"):
            break
    call.cancel()
    assert_unharmed(server, stub, raw)


def test_fifty_at_once(server: LiveServer, stub: Any, raw: Path) -> None:
    content = raw.read_bytes()
    gate = threading.Barrier(50)

    def ask(number: int) -> grpc.RpcError | None:
        gate.wait(30)
        try:
            denoise(stub, requests(content, pb.DenoiseOptions(no_cache=True)))
        except grpc.RpcError as error:
            return error
        return None

    with ThreadPoolExecutor(50) as clients:
        outcomes = list(clients.map(ask, range(50)))
    refused = [error for error in outcomes if error is not None]
    assert len(refused) < 50, "some must get through"
    assert refused, "the queue holds four"
    for error in refused:
        details = details_of(error)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details["ErrorInfo"].reason == "QUEUE_FULL"
        assert details["RetryInfo"].retry_delay.ToMilliseconds() >= 1000
    assert_unharmed(server, stub, raw)


def test_position_in_the_queue_is_told(server: LiveServer, stub: Any, raw: Path, large_raw: Path) -> None:
    options = pb.DenoiseOptions(no_cache=True)
    first = stub.Denoise(requests(large_raw.read_bytes(), options, chunk_bytes=1 << 20), timeout=60)
    first_tile(first)
    second = stub.Denoise(requests(large_raw.read_bytes(), options, chunk_bytes=1 << 20), timeout=60)
    waiting = next(event for event in second if event.progress.queue_position)
    assert (waiting.progress.stage, waiting.progress.queue_position) == (pb.STAGE_QUEUE, 1)
    small = denoise(stub, requests(raw.read_bytes(), options))  # passes between two tiles
    assert small.summary.job_id
    assert first.is_active()
    first.cancel()
    second.cancel()
    assert_unharmed(server, stub, raw)


def test_no_child_is_left_but_the_worker(server: LiveServer, stub: Any, raw: Path) -> None:
    assert_unharmed(server, stub, raw)
    assert len(server.family()) == 2


def test_worker_killed_in_the_middle_is_one_line_and_a_new_worker(server: LiveServer, stub: Any, raw: Path) -> None:
    for child in server.family()[1:]:
        child.kill()

    assert_unharmed(server, stub, raw)
