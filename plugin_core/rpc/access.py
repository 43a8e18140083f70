"""Who may call, and over what: addresses, the Unix socket's lock and mode, TLS, and the token."""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.rpc import code_pb2

from plugin_core.config import ServerConfig, runtime_directory
from plugin_core.errors import OptionError
from plugin_core.rpc.errors import refuse
from plugin_core.rpc.workspace import private_directory

__all__ = ["SocketLock", "TokenInterceptor", "bind", "check_address", "socket_path"]

UNIX_PATH_BYTES = 107  # sun_path less its final zero, unix(7)
LEAVING_S = 10.0  # what a server that no longer listens gets to free its socket
HEALTH = "/grpc.health.v1.Health/"  # open to load balancers, which hold no token; says nothing but "serving"


def socket_path(address: str) -> Path | None:
    """The Unix socket of an address, None for TCP. Raises OptionError if the path can't be one."""
    if not address.startswith("unix:"):
        return None
    path = Path(address.removeprefix("unix:").removeprefix("//"))
    if not path.is_absolute():
        raise OptionError(f"address {address}: expected unix:///absolute/path", "BAD_ADDRESS")
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise OptionError(
            f"address {address}: the path has {len(os.fsencode(path))} bytes, a socket's at most {UNIX_PATH_BYTES}",
            "BAD_ADDRESS",
        )
    return path


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name may resolve to anything


def check_address(config: ServerConfig) -> None:
    """Raises OptionError for an address that is none, and for one beyond loopback without TLS and a token."""
    if bool(config.tls_certificate) != bool(config.tls_key):
        raise OptionError("TLS needs a certificate and its key, only one of them was given", "TLS_INCOMPLETE")
    if any(not 32 < ord(c) < 127 for c in config.token):
        raise OptionError("the token holds a blank or a character beyond ASCII", "BAD_TOKEN")
    if socket_path(config.address) is not None:
        if config.tls_certificate:
            raise OptionError("TLS is for TCP addresses; a Unix socket needs none", "BAD_ADDRESS")
        return
    host, colon, port = config.address.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        raise OptionError(f"address {config.address}: expected unix:///path or host:port", "BAD_ADDRESS")
    if not _is_loopback(host):
        missing = [name for name, there in (("TLS", config.tls_certificate), ("a token", config.token)) if not there]
        if missing:
            raise OptionError(
                f"address {config.address} is beyond this machine, which needs TLS and a token;"
                f" {' and '.join(missing)} is missing",
                "INSECURE_ADDRESS",
            )


class SocketLock:
    """The right to serve on a Unix socket, held by one process; a socket without a living holder is stale.

    A file lock beside the socket: unlike the socket itself it can't outlive a killed server.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock and removes a stale socket. Raises OptionError if a server is alive there."""
        self._socket = path
        self._lock = path.with_name(path.name + ".lock")
        if path.parent == runtime_directory() or not path.parent.exists():
            private_directory(path.parent)
        self._file = _locked(self._lock, path)
        if path.exists() and not path.is_socket():
            self.release()
            raise OptionError(f"{path}: exists and is no socket", "SOCKET_UNUSABLE")
        path.unlink(missing_ok=True)

    def release(self) -> None:
        """Removes the socket and the lock."""
        if self._socket.is_socket():
            self._socket.unlink(missing_ok=True)
        self._lock.unlink(missing_ok=True)
        os.close(self._file)


def _locked(lock: Path, socket_: Path) -> int:
    """The open lock file, locked. A holder that doesn't answer is starting or leaving: it is given a moment."""
    import fcntl  # Unix only, like the sockets

    give_up_s = time.monotonic() + LEAVING_S
    while True:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise OptionError(f"{lock}: cannot be made: {error.strerror}", "SOCKET_UNUSABLE") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), os.stat(lock)):
                return file
        except FileNotFoundError:
            pass  # its last holder removed the file between our open and our lock
        except BlockingIOError as error:
            if _answers(socket_) or time.monotonic() > give_up_s:
                os.close(file)
                raise OptionError(f"a server is running on {socket_} already", "SERVER_RUNNING") from error
            time.sleep(0.05)
        os.close(file)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(os.fspath(path))
        except OSError:
            return False
    return True


def bind(server: grpc.Server, config: ServerConfig) -> str:
    """Opens the server's port; the address it answers on. Raises OptionError if it can't be had."""
    path = socket_path(config.address)
    try:
        if path is not None:
            before = os.umask(0o177)  # the socket is never there with a wider mode, not even for a moment
            try:
                server.add_insecure_port(f"unix:{path}")
            finally:
                os.umask(before)
            path.chmod(0o600)
            return config.address
        if config.tls_certificate and config.tls_key:
            port = server.add_secure_port(config.address, _credentials(config.tls_certificate, config.tls_key))
        else:
            port = server.add_insecure_port(config.address)
    except (RuntimeError, OSError) as error:
        raise OptionError(
            f"address {config.address}: cannot be served on: {_short(error)}", "ADDRESS_UNUSABLE"
        ) from error
    return f"{config.address.rpartition(':')[0]}:{port}"


def _short(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split("; please")[0]


def _credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    try:
        return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    except OSError as error:
        raise OptionError(f"{error.filename}: cannot be read: {error.strerror}", "TLS_UNREADABLE") from error


class TokenInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Lets nobody in who doesn't send "authorization: Bearer <token>"."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The method's own handler, or one that refuses."""
        sent = dict(handler_call_details.invocation_metadata).get("authorization", "")
        sent_bytes = sent if isinstance(sent, bytes) else sent.encode()
        if hmac.compare_digest(sent_bytes, self._expected) or handler_call_details.method.startswith(HEALTH):
            handler: grpc.RpcMethodHandler[Any, Any] = continuation(handler_call_details)
            return handler
        return grpc.stream_stream_rpc_method_handler(_refuse_caller)


def _refuse_caller(requests: object, context: grpc.ServicerContext) -> None:
    refuse(context, code_pb2.UNAUTHENTICATED, "wrong or missing token", "UNAUTHENTICATED")
