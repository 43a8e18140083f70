"""Turns a gRPC status back into the exception that the server raised."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.rpc import error_details_pb2, status_pb2

from plugin_core.client.errors import ServerFault, ServerLost
from plugin_core.errors import (
    FileFormatError,
    IspError,
    JobCancelledError,
    LimitError,
    ModelPackageError,
    NoModelError,
    OptionError,
)

__all__ = ["ERROR_DOMAIN", "error_info", "exception_of"]

ERROR_DOMAIN = "neural-isp"
_NEVER_CONNECTED = ("failed to connect", "connection refused", "no such file", "resolution", "handshake")
_DETAILS_KEY = "grpc-status-details-bin"  # where gRPC carries google.rpc.Status in the trailing metadata
_CLASSES: dict[str, type[IspError]] = {
    kind.__name__: kind
    for kind in (FileFormatError, OptionError, NoModelError, ModelPackageError, LimitError, JobCancelledError)
}
# Two classes share a code; the server names the class in ErrorInfo.metadata["class"], these are for one that doesn't.
_BY_CODE: dict[grpc.StatusCode, type[IspError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: OptionError,
    grpc.StatusCode.NOT_FOUND: OptionError,
    grpc.StatusCode.ALREADY_EXISTS: OptionError,
    grpc.StatusCode.OUT_OF_RANGE: OptionError,
    grpc.StatusCode.UNAUTHENTICATED: OptionError,
    grpc.StatusCode.PERMISSION_DENIED: OptionError,
    grpc.StatusCode.FAILED_PRECONDITION: NoModelError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitError,
    grpc.StatusCode.CANCELLED: JobCancelledError,
    grpc.StatusCode.DEADLINE_EXCEEDED: JobCancelledError,
}


def error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo | None:
    """The ErrorInfo of our domain that came with a status; None where it has none."""
    for entry in error.trailing_metadata() or ():
        if entry.key == _DETAILS_KEY and isinstance(entry.value, bytes):
            for detail in status_pb2.Status.FromString(entry.value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
                    return info
    return None


def exception_of(error: grpc.RpcError, address: str) -> IspError | ServerLost | ServerFault:
    """The exception to raise for a failed call: the IspError child the server raised, ServerLost or ServerFault.

    address: the server's, for messages about the way to it.
    """
    code: grpc.StatusCode = error.code()
    text: str = error.details() or ""
    info = error_info(error)
    reason = info.reason if info else ""
    metadata: Mapping[str, str] = dict(info.metadata) if info else {}
    kind = _CLASSES.get(metadata.get("class", "")) or _BY_CODE.get(code)
    if info is None and code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(text, address)
    if kind is None:
        if code is grpc.StatusCode.UNAVAILABLE:
            return ServerLost(text, reason or "SERVER_LOST")
        if code is grpc.StatusCode.UNIMPLEMENTED:
            text = f"the server at {address} does not know this request; it is another version ({text})"
        return ServerFault(text or f"the server at {address} failed with {code.name}", reason or code.name)
    return kind(text or code.name, reason or code.name, metadata)


def _unavailable(text: str, address: str) -> ServerLost:
    """A connection that could not be made, told apart from one that broke."""
    lowered = text.lower()
    if any(words in lowered for words in _NEVER_CONNECTED):
        return ServerLost(f"no neural-isp server answers at {address} ({_short(text)})", "SERVER_UNREACHABLE")
    return ServerLost(f"the server at {address} went away ({_short(text)}); nothing was written", "SERVER_LOST")


def _short(text: str) -> str:
    """The telling end of gRPC's long texts: 'failed to connect to all addresses; last error: X: Y' is Y."""
    tail = text.rsplit("last error:", 1)[-1].strip()
    return tail.removeprefix("UNKNOWN:").removeprefix("UNAVAILABLE:").strip() or "no reason given"
