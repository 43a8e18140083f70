"""Who may call: what must not be served is not served, and a socket has one owner."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from plugin_core.config import ServerConfig
from plugin_core.errors import OptionError
from plugin_core.rpc.access import SocketLock, check_address, socket_path

TLS = {"tls_certificate": Path("c.pem"), "tls_key": Path("k.pem")}


@pytest.mark.parametrize(
    "config",
    [
        {"address": "unix:///run/x/server.sock"},
        {"address": "127.0.0.1:7000"},
        {"address": "localhost:0"},
        {"address": "[::1]:7000"},
        {"address": "127.0.0.1:7000", "token": "abc"},
        {"address": "127.0.0.1:7000", **TLS},
        {"address": "0.0.0.0:7000", "token": "abc", **TLS},
        {"address": "photos.example.org:7000", "token": "abc", **TLS},
    ],
)
def test_serves(config: dict[str, object]) -> None:
    check_address(ServerConfig(**config))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"address": "0.0.0.0:7000"}, "INSECURE_ADDRESS"),
        ({"address": "[::]:7000"}, "INSECURE_ADDRESS"),
        ({"address": "192.168.1.5:7000", "token": "abc"}, "INSECURE_ADDRESS"),
        ({"address": "192.168.1.5:7000", **TLS}, "INSECURE_ADDRESS"),
        ({"address": "localhost.evil.org:7000"}, "INSECURE_ADDRESS"),
        ({"address": "127.0.0.1:7000", "tls_key": Path("k.pem")}, "TLS_INCOMPLETE"),
        ({"address": "127.0.0.1:7000", "token": "a b"}, "BAD_TOKEN"),
        ({"address": "unix:server.sock"}, "BAD_ADDRESS"),
        ({"address": "unix:///" + "x" * 120}, "BAD_ADDRESS"),
        ({"address": "unix:///a.sock", **TLS}, "BAD_ADDRESS"),
        ({"address": "7000"}, "BAD_ADDRESS"),
        ({"address": ":7000"}, "BAD_ADDRESS"),
        ({"address": "localhost:http"}, "BAD_ADDRESS"),
        ({"address": "localhost:70000"}, "BAD_ADDRESS"),
    ],
)
def test_does_not_serve(config: dict[str, object], reason: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_address(ServerConfig(**config))  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_socket_path_of_both_spellings() -> None:
    assert socket_path("unix:///a/b.sock") == socket_path("unix:/a/b.sock") == Path("/a/b.sock")
    assert socket_path("localhost:7000") is None


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "private" / "s.sock"
    lock = SocketLock(path)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(OptionError) as caught:
            SocketLock(path)
    assert caught.value.reason == "SERVER_RUNNING"
    lock.release()
    SocketLock(path).release()
    assert list(path.parent.iterdir()) == []


def test_waits_for_one_that_is_leaving(tmp_path: Path) -> None:
    lock = SocketLock(tmp_path / "s.sock")
    leaving = threading.Timer(0.2, lock.release)
    leaving.start()
    SocketLock(tmp_path / "s.sock").release()
    leaving.join()
    assert list(tmp_path.iterdir()) == []


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    lock = SocketLock(path)
    assert not path.exists()
    lock.release()


def test_a_file_in_the_socket_s_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("a photograph")
    with pytest.raises(OptionError) as caught:
        SocketLock(path)
    assert caught.value.reason == "SOCKET_UNUSABLE"
    assert path.read_text() == "a photograph"
    assert os.listdir(tmp_path) == ["s.sock"]
