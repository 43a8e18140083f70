"""From an address to a gRPC channel: Unix socket, plain loopback, or TLS."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from plugin_core.errors import OptionError

__all__ = ["CHUNK_BYTES", "Connection"]

CHUNK_BYTES = 1 << 20  # the contract's largest chunk
_KEEPALIVE_MS = 310_000  # notices a machine that vanished; servers refuse pings more often than every 5 minutes
_UNIX_PATH_BYTES = 107  # sun_path less its final zero, unix(7)


@dataclass(frozen=True)
class Connection:
    """Where a server is and how to get in.

    address: "unix:///path" or "host:port".
    root_certificates: PEM file of the authority that signed the server's certificate; None: the system's.
        Beyond loopback the connection is always TLS; on loopback only if this is given.
    token: sent as "authorization: Bearer TOKEN"; "" sends none.
    """

    address: str
    root_certificates: Path | None = None
    token: str = ""

    def __post_init__(self) -> None:
        if self.is_unix:
            path = self.address.removeprefix("unix:").removeprefix("//")
            if not path.startswith("/"):
                raise OptionError(f"server address {self.address}: expected unix:///absolute/path", "BAD_ADDRESS")
            if len(path.encode()) > _UNIX_PATH_BYTES:
                found = f"{len(path.encode())} bytes long, a Unix socket's path has at most {_UNIX_PATH_BYTES}"
                raise OptionError(f"server address {self.address} is {found}", "BAD_ADDRESS")
            return
        host, colon, port = self.address.rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
            raise OptionError(f"server address {self.address!r}: expected unix:///path or host:port", "BAD_ADDRESS")
        if any(ord(c) <= 32 or ord(c) > 126 for c in self.token):
            raise OptionError("the token holds a blank or a character beyond ASCII", "BAD_TOKEN")

    @property
    def is_unix(self) -> bool:
        """True for a Unix socket: the server may read files by their path."""
        return self.address.startswith("unix:")

    @property
    def is_loopback(self) -> bool:
        """True where the bytes never leave this machine."""
        host = self.address.rpartition(":")[0]
        if self.is_unix or host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False  # a name may resolve to anything

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def open_channel(self) -> grpc.Channel:
        """A channel that connects on its first call. Raises OptionError if the certificate file can't be read."""
        options: list[tuple[str, int]] = [
            ("grpc.max_receive_message_length", 64 << 20),  # a maker note's tags come in one message
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        if self.is_loopback:
            options.append(("grpc.enable_http_proxy", 0))
            if self.root_certificates is None:
                return grpc.insecure_channel(self.address, options=options)
        else:
            options += [("grpc.keepalive_time_ms", _KEEPALIVE_MS), ("grpc.keepalive_timeout_ms", 20_000)]
        roots: bytes | None = None
        if self.root_certificates is not None:
            try:
                roots = self.root_certificates.read_bytes()
            except OSError as error:
                text = f"{self.root_certificates}: root certificate can't be read ({error.strerror})"
                raise OptionError(text, "BAD_CERTIFICATE") from error
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(roots), options=options)
