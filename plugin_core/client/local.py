"""The server on this machine: found on the user's private socket, or started there and left to itself."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import plugin_core
from plugin_core.client.client import Client
from plugin_core.client.errors import ServerLost
from plugin_core.config import ServerConfig, runtime_directory
from plugin_core.errors import OptionError

__all__ = ["IDLE_EXIT_S", "connect_local", "health"]

IDLE_EXIT_S = 300.0  # a server that was started here leaves after that long without a job
START_TIMEOUT_S = 90.0  # load the model and run a warm-up tile, on a slow machine with other work to do
_POLL_S = 0.05

Note = Callable[[str], None]


def connect_local(
    idle_exit_s: float = IDLE_EXIT_S, start_timeout_s: float = START_TIMEOUT_S, note: Note | None = None
) -> Client:
    """A client of the server on this user's private socket; starts one, detached, if none answers.

    idle_exit_s: for a server started here. note: told in one line what is worth knowing (another version, a start).
    Raises ServerLost (SERVER_START) with the last line of the server's log if it doesn't come up.
    """
    tell = note or (lambda _: None)
    _private_folder()
    client = Client(ServerConfig().address)
    try:
        if health(client.connection.open_channel()) != _SERVING:
            with _one_at_a_time(start_timeout_s):
                _start_and_wait(client, idle_exit_s, start_timeout_s, tell)
        version, own = client.server_info(), plugin_core.__version__
    except BaseException:
        client.close()
        raise
    if version.version != own:
        tell(
            f"the running server (process {version.pid}) is version {version.version}, this program is {own}; "
            "it is used as it is; end that process to have the right one started"
        )
    return client


_SERVING = int(health_pb2.HealthCheckResponse.SERVING)
_SILENT = -1  # nobody there


def health(channel: grpc.Channel, timeout_s: float = 2.0) -> int:
    """The server's HealthCheckResponse status; -1 if nobody answers. Closes the channel."""
    try:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s).status)
    except grpc.RpcError as error:
        # A server that is busy starting may take longer than timeout_s: it is there.
        slow = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return int(health_pb2.HealthCheckResponse.NOT_SERVING) if slow else _SILENT
    finally:
        channel.close()


def _start_and_wait(client: Client, idle_exit_s: float, timeout_s: float, tell: Note) -> None:
    """Starts a server unless one is on its way, and returns once it serves."""
    log = runtime_directory() / "server.log"
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + timeout_s
    while (status := health(client.connection.open_channel())) != _SERVING:
        if status == _SILENT and process is None:
            tell("starting the local server")
            process = _start(client.connection.address, idle_exit_s, log)
        elif status == _SILENT and process is not None and process.poll() is not None:
            raise ServerLost(f"the local server ended at its start: {_last_line(log)} (log: {log})", "SERVER_START")
        if time.monotonic() > deadline:
            raise ServerLost(
                f"the local server was not ready after {timeout_s:.0f} s: {_last_line(log)} (log: {log})",
                "SERVER_START",
            )
        time.sleep(_POLL_S)


def _start(address: str, idle_exit_s: float, log: Path) -> subprocess.Popen[bytes]:
    """The server's process, in a session of its own so that Ctrl-C here doesn't end it."""
    command = [
        sys.executable,
        "-m",
        "plugin_core.cli",
        "serve",
        "--address",
        address,
        "--idle-exit",
        f"{idle_exit_s:g}",
    ]
    home = Path(plugin_core.__file__).parent.parent  # where -m finds plugin_core, and no folder of the user's is held
    with log.open("wb") as stream:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=home, start_new_session=True
        )


def _private_folder() -> None:
    """Makes the folder of the socket, readable by this user only; OptionError if it belongs to somebody else."""
    folder = runtime_directory()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise OptionError(
            f"{folder}: can't be made ({error.strerror}); set XDG_RUNTIME_DIR", "BAD_RUNTIME_DIR"
        ) from error
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode)):
        raise OptionError(
            f"{folder}: belongs to another user; set XDG_RUNTIME_DIR to a folder of yours", "BAD_RUNTIME_DIR"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


@contextmanager
def _one_at_a_time(timeout_s: float) -> Iterator[None]:
    """Holds the start lock, so that two programs at once start one server; the system frees it if we die."""
    try:
        import fcntl
    except ImportError:  # no such locks there: the second server finds the socket taken and leaves
        yield
        return
    deadline = time.monotonic() + timeout_s
    with (runtime_directory() / "start.lock").open("wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    text = f"another program has been starting the server for {timeout_s:.0f} s ({lock.name})"
                    raise ServerLost(text, "SERVER_START") from None
                time.sleep(_POLL_S)
        yield


def _last_line(log: Path) -> str:
    """The last line of the log that says something."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
