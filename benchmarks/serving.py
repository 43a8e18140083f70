"""A real server in a process of its own, and what its process tree holds in memory while it works."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from plugin_core.client import Client
from plugin_core.client.local import health

START_TIMEOUT_S = 120.0
SERVING = 1  # grpc.health.v1 HealthCheckResponse.SERVING
SAMPLE_S = 0.05


@dataclass(frozen=True)
class Server:
    """A warm server: its process and a client of it."""

    process: subprocess.Popen[bytes]
    client: Client


@contextmanager
def serving(threads: int = 0, cache: bool = False) -> Iterator[Server]:
    """A server on a private socket until the block ends. Raises RuntimeError with its log if it doesn't come up."""
    with tempfile.TemporaryDirectory(prefix="neural-isp-benchmark-") as folder:
        address = f"unix://{folder}/server.sock"
        command = [sys.executable, "-m", "plugin_core.cli", "serve", "--address", address, "--threads", str(threads)]
        log = Path(folder) / "server.log"
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "NEURAL_ISP_CACHE": f"{folder}/cache"}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--cache-size", "8" if cache else "0"], stdout=stream, stderr=stream, env=environment
            )
        client = Client(address)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while health(client.connection.open_channel()) != SERVING:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.1)
            yield Server(process, client)
        finally:
            client.close()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class PeakMemory:
    """The largest memory of a process tree while the block ran, bytes.

    pss: every shared page counted once (Linux smaps_rollup; 0 elsewhere). rss: the sum of resident sizes, shared pages
    counted in each process.
    """

    root: int
    pss: int = 0
    rss: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> PeakMemory:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            try:
                root = psutil.Process(self.root)
                tree = [root, *root.children(recursive=True)]
            except psutil.Error:
                return
            self.rss = max(self.rss, sum(resident(process) for process in tree))
            self.pss = max(self.pss, sum(proportional(process.pid) for process in tree))


def resident(process: psutil.Process) -> int:
    """Resident bytes; 0 for a process that is gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def proportional(pid: int) -> int:
    """Proportional set size in bytes; 0 where the system doesn't tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
