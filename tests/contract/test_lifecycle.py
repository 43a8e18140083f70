"""Starting, stopping, being killed, and who is let in."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from plugin_core.rpc.v1 import restoration_pb2 as pb
from tests.server_fixture import LiveServer, denoise, details_of, live_server, requests, start

TOKEN = "s3cret-token"


def info(stub: Any, **call: Any) -> pb.GetServerInfoResponse:
    answer: pb.GetServerInfoResponse = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=20, **call)
    return answer


def test_socket_is_private(server: LiveServer) -> None:
    path = Path(server.address.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(next((server.folder / "tmp").glob("neural-isp-spool-*")).stat().st_mode) == 0o700


def test_second_server_is_refused_and_the_first_goes_on(server: LiveServer, tmp_path: Path) -> None:
    second = start(tmp_path, wait=False, address=server.address)
    assert second.process.wait(60) != 0
    assert second.log.startswith("SERVER_RUNNING: ")
    with server.stub() as stub:
        assert info(stub).pid == server.process.pid


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"address": "0.0.0.0:0", "token": TOKEN}, "INSECURE_ADDRESS"),
        ({"address": "127.0.0.1:0", "device": "abacus"}, "NO_SUCH_DEVICE"),
        ({"address": "127.0.0.1:0", "model_directories": ["/nonexistent"]}, "MODEL_FOLDER_MISSING"),
    ],
)
def test_does_not_start(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    refused = start(tmp_path, wait=False, **config)
    assert refused.process.wait(60) == 1
    assert refused.log.splitlines()[-1].startswith(f"{reason}: ")
    assert refused.leftovers() == []


def test_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused = start(tmp_path, wait=False, address=f"127.0.0.1:{other.getsockname()[1]}")
        assert refused.process.wait(60) == 1
        assert refused.log.splitlines()[-1].startswith("ADDRESS_UNUSABLE: ")


def test_sigterm_lets_the_running_job_end(large_raw: Path) -> None:
    with live_server(tiling={"inner": 128}) as server, server.stub() as stub:
        call = stub.Denoise(requests(large_raw.read_bytes(), chunk_bytes=1 << 20), timeout=60)
        for event in call:
            if event.progress.stage == pb.STAGE_RESTORE:
                break
        server.process.send_signal(signal.SIGTERM)
        assert list(call)[-1].WhichOneof("event") == "summary"
        assert server.process.wait(30) == 0
        assert list((server.folder / "tmp").iterdir()) == []


def test_killed_in_the_middle_then_started_again_then_left_alone(large_raw: Path, raw: Path) -> None:
    with live_server(tiling={"inner": 128}) as server:
        with server.stub() as stub:
            call = stub.Denoise(requests(large_raw.read_bytes(), chunk_bytes=1 << 20), timeout=60)
            for event in call:
                if event.progress.stage == pb.STAGE_RESTORE:
                    break
            family = server.family()
            server.stop(signal.SIGKILL)
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == [], "the worker ends with its server"
        assert server.leftovers() != []
        again = start(server.folder, idle_exit_s=1.0)
        try:
            with again.stub() as stub:
                assert denoise(stub, requests(raw.read_bytes())).summary.job_id
            assert again.leftovers() == []
            family = again.family()
            assert again.process.wait(30) == 0, "it leaves when idle"
        finally:
            again.process.kill()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
        assert {path.name for path in server.folder.iterdir()} == {"log", "tmp", "cache"}
        assert list((server.folder / "tmp").iterdir()) == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "c.pem", folder / "k.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", *kind, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def remote(certificate: tuple[Path, Path]) -> Iterator[LiveServer]:
    """A server beyond loopback: TLS and a token."""
    path, key = certificate
    config = {"address": "0.0.0.0:0", "token": TOKEN, "tls_certificate": str(path), "tls_key": str(key)}
    with live_server(**config) as running:
        running.address = running.address.replace("0.0.0.0", "localhost")
        yield running


def secure(server: LiveServer, certificate: Path) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    return grpc.secure_channel(server.address, credentials, options=[("grpc.enable_http_proxy", 0)])


def test_tls_and_token_let_in(remote: LiveServer, certificate: tuple[Path, Path], raw: Path) -> None:
    with remote.stub(secure(remote, certificate[0])) as stub:
        right = [("authorization", f"Bearer {TOKEN}")]
        assert info(stub, metadata=right).pid == remote.process.pid
        events = list(stub.Denoise(requests(raw.read_bytes()), timeout=60, metadata=right))
        assert events[-1].summary.job_id


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer wrong", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x"])
def test_wrong_token_is_let_into_nothing(
    remote: LiveServer, certificate: tuple[Path, Path], raw: Path, sent: str | None
) -> None:
    metadata = [("authorization", sent)] if sent is not None else []
    with remote.stub(secure(remote, certificate[0])) as stub:
        for ask in (
            lambda: stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=20, metadata=metadata),
            lambda: stub.ListModels(pb.ListModelsRequest(), timeout=20, metadata=metadata),
            lambda: list(stub.Denoise(requests(raw.read_bytes()), timeout=20, metadata=metadata)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                ask()
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert details_of(caught.value)["ErrorInfo"].reason == "UNAUTHENTICATED"
            assert TOKEN not in caught.value.details()


def test_health_needs_no_token(remote: LiveServer, certificate: tuple[Path, Path]) -> None:
    with secure(remote, certificate[0]) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_plain_text_is_not_answered(remote: LiveServer) -> None:
    with remote.stub(grpc.insecure_channel(remote.address, options=[("grpc.enable_http_proxy", 0)])) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize("what", ["local_path", "output_path", "change_map_path"])
def test_paths_are_for_the_unix_socket_only(
    remote: LiveServer, certificate: tuple[Path, Path], raw: Path, tmp_path: Path, what: str
) -> None:
    if what == "local_path":
        messages = requests(local_path=str(raw))
    else:
        messages = requests(raw.read_bytes(), pb.DenoiseOptions(**{what: str(tmp_path / "x.tif")}))
    with remote.stub(secure(remote, certificate[0])) as stub, pytest.raises(grpc.RpcError) as caught:
        list(stub.Denoise(messages, timeout=20, metadata=[("authorization", f"Bearer {TOKEN}")]))
    assert details_of(caught.value)["ErrorInfo"].reason in ("LOCAL_PATH_REFUSED", "OUTPUT_PATH_REFUSED")
    assert list(tmp_path.iterdir()) == []


def test_ready_means_warmed_up(server: LiveServer) -> None:
    assert "loading model" in server.log.split("ready on")[0]
