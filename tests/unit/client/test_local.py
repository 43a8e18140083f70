"""plugin_core.client.local: one server per user, started when none answers, with a clear word when it can't be."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from plugin_core.client import ServerLost, connect_local, local
from plugin_core.config import ServerConfig, runtime_directory
from plugin_core.errors import OptionError
from tests.unit.client.serving import Service, serving


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "neural-isp"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _process(code: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen([sys.executable, "-c", code], stdout=stream, stderr=stream)


def test_uses_the_server_that_answers(stack: ExitStack, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_start", lambda *_: pytest.fail("started another"))
    runtime.mkdir()
    stack.enter_context(serving(Service(), ServerConfig().address))
    notes: list[str] = []
    with connect_local(note=notes.append) as client:
        assert client.server_info().pid == 4711
    assert notes == []
    assert runtime.stat().st_mode & 0o777 == 0o700


def test_says_when_the_server_is_another_version(stack: ExitStack, runtime: Path) -> None:
    runtime.mkdir()
    stack.enter_context(serving(Service(version="0.0.9"), ServerConfig().address))
    notes: list[str] = []
    connect_local(note=notes.append).close()
    assert len(notes) == 1
    assert "0.0.9" in notes[0]
    assert "4711" in notes[0]


def test_last_words_of_a_server_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; print('loading'); sys.exit('model standard: checksum differs')"
    monkeypatch.setattr(local, "_start", lambda address, idle_s, log: _process(code, log))
    with pytest.raises(ServerLost, match="model standard: checksum differs") as caught:
        connect_local()
    assert caught.value.reason == "SERVER_START"
    assert "server.log" in caught.value.message


def test_server_that_never_gets_ready(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(address: str, idle_s: float, log: Path) -> subprocess.Popen[bytes]:
        process = _process("import time; print('thinking', flush=True); time.sleep(60)", log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    monkeypatch.setattr(local, "_start", start)
    with pytest.raises(ServerLost, match="not ready after 1 s"):
        connect_local(start_timeout_s=1.0)


def test_two_at_once_start_one_server(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[float] = []

    def start(address: str, idle_s: float, log: Path) -> subprocess.Popen[bytes]:
        starts.append(idle_s)
        stack.enter_context(serving(Service(), address))
        process = _process("import time; time.sleep(60)", log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    monkeypatch.setattr(local, "_start", start)
    threads = [threading.Thread(target=lambda: connect_local(idle_exit_s=7.0).close()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert starts == [7.0]


def test_a_folder_that_others_can_read_is_closed(runtime: Path, stack: ExitStack) -> None:
    runtime.mkdir(mode=0o755)
    stack.enter_context(serving(Service(), ServerConfig().address))
    connect_local().close()
    assert runtime.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_folder_s_place_is_refused(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    runtime.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OptionError) as caught:
        connect_local()
    assert caught.value.reason == "BAD_RUNTIME_DIR"
    assert runtime_directory() == runtime
