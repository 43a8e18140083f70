"""plugin_core.client.status: each error of the server's table comes back as what it was raised as."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from plugin_core.client.errors import ServerFault, ServerLost
from plugin_core.client.status import exception_of
from plugin_core.errors import IspError, JobCancelledError, LimitError, OptionError
from plugin_core.rpc.errors import translated_errors

METHOD = "/test/Fail"
ADDRESS = "unix:///nowhere"


class Raises(grpc.GenericRpcHandler):
    """One method that raises what it was told, through the server's own table."""

    error: Exception

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        def method(request: bytes, context: grpc.ServicerContext) -> bytes:
            with translated_errors(context):
                raise self.error

        return grpc.unary_unary_rpc_method_handler(method) if details.method == METHOD else None


@pytest.fixture(scope="module")
def handler() -> Raises:
    return Raises()


@pytest.fixture(scope="module")
def channel(handler: Raises) -> Iterator[grpc.Channel]:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(0).wait()


def _failure(channel: grpc.Channel, method: str = METHOD) -> Exception:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(method)(b"", timeout=10)
    return exception_of(caught.value, ADDRESS)


@pytest.mark.parametrize("kind", IspError.__subclasses__())
def test_every_class_comes_back(handler: Raises, channel: grpc.Channel, kind: type[IspError]) -> None:
    handler.error = kind("a.nef: found 3, expected 4", "SOME_REASON", {"found": "3"})
    error = _failure(channel)
    assert type(error) is kind
    assert isinstance(error, IspError)
    assert (error.message, error.reason, error.metadata["found"]) == ("a.nef: found 3, expected 4", "SOME_REASON", "3")


def test_a_bug_is_a_fault_that_names_its_job(handler: Raises, channel: grpc.Channel) -> None:
    handler.error = ZeroDivisionError("secret detail")
    error = _failure(channel)
    assert type(error) is ServerFault
    assert error.reason == "INTERNAL"
    assert "secret" not in error.message


def test_unknown_method_speaks_of_versions(channel: grpc.Channel) -> None:
    error = _failure(channel, "/test/Other")
    assert type(error) is ServerFault
    assert "another version" in error.message


class Bare(grpc.RpcError):
    """A status without details, as proxies and gRPC itself send it."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        self._code, self._text = code, text

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("code", "text", "kind", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "failed to connect; last error: no", ServerLost, "SERVER_UNREACHABLE"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", ServerLost, "SERVER_LOST"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", JobCancelledError, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large", LimitError, "RESOURCE_EXHAUSTED"),
        (grpc.StatusCode.UNAUTHENTICATED, "wrong or missing token", OptionError, "UNAUTHENTICATED"),
        (grpc.StatusCode.UNKNOWN, "", ServerFault, "UNKNOWN"),
    ],
)
def test_status_without_details(code: grpc.StatusCode, text: str, kind: type[Exception], reason: str) -> None:
    error = exception_of(Bare(code, text), ADDRESS)
    assert type(error) is kind
    assert getattr(error, "reason", None) == reason
    assert str(error)
