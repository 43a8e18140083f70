"""plugin_core.client.connection: which addresses there are, and what is never sent in the clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.client.connection import Connection
from plugin_core.errors import OptionError


@pytest.mark.parametrize(
    "address", ["", "nonsense", "host:", "host:0", "host:99999", ":50051", "unix:relative", f"unix:///{'x' * 108}"]
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(OptionError) as caught:
        Connection(address)
    assert caught.value.reason == "BAD_ADDRESS"


@pytest.mark.parametrize("address", ["unix:///run/s", "unix:/run/s", "localhost:1", "127.0.0.1:1", "[::1]:1"])
def test_loopback(address: str) -> None:
    assert Connection(address).is_loopback


@pytest.mark.parametrize("address", ["example.org:1", "127.example.org:1", "localhost.example.org:1", "10.0.0.1:1"])
def test_beyond_loopback(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel in the clear is not even asked for."""
    monkeypatch.setattr("grpc.insecure_channel", lambda *_, **__: pytest.fail("in the clear"))
    connection = Connection(address)
    assert not connection.is_loopback
    connection.open_channel().close()


def test_certificate_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.pem") as caught:
        Connection("localhost:1", tmp_path / "none.pem").open_channel()
    assert caught.value.reason == "BAD_CERTIFICATE"


def test_token_must_be_sendable() -> None:
    with pytest.raises(OptionError):
        Connection("localhost:1", token="two words")
