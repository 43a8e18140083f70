"""A corner of the machine for one server: its socket, spool and cache, and whether anything is left behind in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from plugin_core.client import Client, connect_local
from plugin_core.errors import IspError

IDLE_EXIT_S = 900.0  # should a test run be killed, its servers leave by themselves
OWN_FILES = {"server.sock", "server.sock.lock", "server.log", "start.lock"}


@dataclass(frozen=True)
class Place:
    """Folders of one server. A short path: a socket's may have 107 bytes."""

    folder: Path

    @property
    def runtime(self) -> Path:
        """XDG_RUNTIME_DIR."""
        return self.folder / "run"

    @property
    def spool(self) -> Path:
        """TMPDIR: where uploads and results in transit lie."""
        return self.folder / "tmp"

    @property
    def cache(self) -> Path:
        """Kept results."""
        return self.folder / "cache"

    def connect(self) -> Client:
        """A client of this place's server, started if it isn't there."""
        return connect_local(idle_exit_s=IDLE_EXIT_S)

    def processes(self) -> list[psutil.Process]:
        """The server and what it started, found by their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get("XDG_RUNTIME_DIR") == str(self.runtime):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    def leftovers(self) -> list[Path]:
        """Files that no running server or kept result accounts for."""
        files = [path for path in self.spool.rglob("*") if path.is_file()]
        return files + [path for path in self.runtime.rglob("*") if path.is_file() and path.name not in OWN_FILES]

    def end_server(self) -> None:
        """Ends this place's processes, politely first."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # the worker leaves by itself when its server has gone
                process.terminate()
        _, alive = psutil.wait_procs(self.processes(), timeout=10)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def place_of_its_own() -> Iterator[Place]:
    """A new place whose folders the environment points to; its server is ended and its files removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="isp-") as folder, pytest.MonkeyPatch.context() as patch:
        place = Place(Path(folder))
        for path in (place.runtime, place.spool, place.cache):
            path.mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(place.runtime))
        patch.setenv("TMPDIR", str(place.spool))
        patch.setenv("NEURAL_ISP_CACHE", str(place.cache))
        patch.setenv("NEURAL_ISP_PROFILES", str(place.folder / "profiles"))
        try:
            yield place
        finally:
            place.end_server()


def eventually(condition: Callable[[], object], timeout_s: float = 15.0) -> bool:
    """True as soon as the condition holds, False if it doesn't within the time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def assert_one_clear_line(error: BaseException, *words: str) -> None:
    """The message is one line of a readable length that holds these words and no Python type or traceback."""
    text = error.message if isinstance(error, IspError) else str(error)
    assert "\n" not in text
    assert 10 < len(text) < 300, text
    for word in words:
        assert word in text, text
    for noise in ("Traceback", "Error(", "b'", "<class", "None"):
        assert noise not in text, text
