"""A real server in a process of its own, for tests that talk to it over its socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1 import restoration_pb2_grpc

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 90.0
DEADLINE_S = 60.0  # of a call: a test fails rather than hangs
PROGRAM = """
import json, pathlib, sys
from plugin_core.config import CacheConfig, Limits, ServerConfig, TilingConfig
from plugin_core.errors import IspError
from plugin_core.rpc.server import serve
given = json.loads(sys.argv[1])
for name in ("tls_certificate", "tls_key"):
    if name in given:
        given[name] = pathlib.Path(given[name])
given["model_directories"] = tuple(map(pathlib.Path, given.get("model_directories", ())))
for name, kind in (("limits", Limits), ("tiling", TilingConfig), ("cache", CacheConfig)):
    given[name] = kind(**given.get(name, {}))
try:
    sys.exit(serve(ServerConfig(**given)))
except IspError as error:
    sys.exit(f"{error.reason}: {error.message}")
"""


@dataclass
class LiveServer:
    """One running server. folder holds its socket, spool, cache and log."""

    folder: Path
    address: str
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    @contextmanager
    def stub(self, channel: grpc.Channel | None = None) -> Iterator[restoration_pb2_grpc.RestorationStub]:
        """A stub on a channel of its own."""
        with channel or grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)]) as opened:
            yield restoration_pb2_grpc.RestorationStub(opened)  # type: ignore[no-untyped-call]

    def leftovers(self) -> list[str]:
        """Files of jobs in the spool."""
        return [str(path.relative_to(self.folder)) for path in (self.folder / "tmp").rglob("*") if path.is_file()]

    def family(self) -> list[psutil.Process]:
        """The server's process and its children."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """Signals the server; its exit code, negative for a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout_s)


def start(folder: Path, wait: bool = True, **config: Any) -> LiveServer:
    """A server with a folder of its own; by default on a Unix socket, and ready when this returns."""
    (folder / "tmp").mkdir(exist_ok=True)
    config.setdefault("address", f"unix://{folder}/s.sock")
    own = {"TMPDIR": folder / "tmp", "NEURAL_ISP_CACHE": folder / "cache", "NEURAL_ISP_PROFILES": folder / "profiles"}
    environment = {**os.environ, **{key: str(path) for key, path in own.items()}}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-c", PROGRAM, json.dumps(config, default=str)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    server = LiveServer(folder, config["address"], process)
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while wait and "ready on" not in server.log:
        if process.poll() is not None or time.monotonic() > give_up_s:
            process.kill()
            raise RuntimeError(f"the server did not start:\n{server.log}")
        time.sleep(0.05)
    if wait:
        server.address = server.log.split("ready on ")[1].split()[0]
    return server


@contextmanager
def live_server(**config: Any) -> Iterator[LiveServer]:
    """A server in a new short-named folder (a socket's path may have 107 bytes), gone with the block."""
    with tempfile.TemporaryDirectory(prefix="isp-") as folder:
        server = start(Path(folder), **config)
        try:
            yield server
        finally:
            try:
                server.stop()
            finally:
                server.process.kill()
                server.process.wait()


def requests(
    content: bytes = b"",
    options: pb.DenoiseOptions | None = None,
    *,
    chunk_bytes: int = 1 << 16,
    name: str = "a.dng",
    **declared: Any,
) -> Iterator[pb.DenoiseRequest]:
    """A Denoise stream: header, then the content in chunks. declared: other fields of the InputFile."""
    declared.setdefault("size_bytes", 0 if "local_path" in declared else len(content))
    entry = pb.InputFile(role=declared.pop("role", "raw"), name=name, **declared)
    yield pb.DenoiseRequest(header=pb.JobHeader(inputs=[entry], denoise=options or pb.DenoiseOptions()))
    for start_ in range(0, len(content), chunk_bytes):
        yield pb.DenoiseRequest(chunk=pb.Chunk(data=content[start_ : start_ + chunk_bytes]))


@dataclass
class Outcome:
    """A Denoise call that went well."""

    events: list[pb.JobEvent]

    @property
    def summary(self) -> pb.Summary:
        """The last event."""
        assert self.events[-1].WhichOneof("event") == "summary"
        return self.events[-1].summary

    def result(self, role: str = "dng") -> bytes:
        """What was sent in this role."""
        return b"".join(event.result.data for event in self.events if event.result.role == role)

    def stages(self) -> list[int]:
        """The stages in the order in which they were first seen."""
        return list(dict.fromkeys(event.progress.stage for event in self.events if event.HasField("progress")))


def denoise(stub: Any, messages: Iterable[pb.DenoiseRequest], timeout: float = DEADLINE_S) -> Outcome:
    """Runs a Denoise call to its end. Raises grpc.RpcError."""
    return Outcome(list(stub.Denoise(iter(messages), timeout=timeout)))


def details_of(error: grpc.RpcError) -> dict[str, Any]:
    """ErrorInfo and RetryInfo of a failed call, by class name."""
    status: status_pb2.Status | None = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"no details with {error}"
    found = {}
    for packed in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo):
            if packed.Is(kind.DESCRIPTOR):
                found[kind.__name__] = kind.FromString(packed.value)
    return found
