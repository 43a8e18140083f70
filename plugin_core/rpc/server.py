"""Builds the server from its configuration, runs it, and takes it down without leaving anything behind."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from plugin_core.cache import ResultCache
from plugin_core.config import ServerConfig
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.lanes import Turnstile
from plugin_core.errors import NoModelError
from plugin_core.io.worker import DecodeWorker
from plugin_core.models import Registry
from plugin_core.noise.user_profiles import UserProfiles
from plugin_core.rpc.access import SocketLock, TokenInterceptor, bind, check_address, socket_path
from plugin_core.rpc.activity import Activity
from plugin_core.rpc.devices import open_devices
from plugin_core.rpc.run import Rooms
from plugin_core.rpc.service import RestorationService
from plugin_core.rpc.v1 import restoration_pb2 as pb
from plugin_core.rpc.v1 import restoration_pb2_grpc
from plugin_core.rpc.workspace import Workspace

__all__ = ["RestorationServer", "serve"]

SERVICE = pb.DESCRIPTOR.services_by_name["Restoration"].full_name
SPARE_THREADS = 48  # beyond one per place in a lane: for refusals, descriptions, health
IN_MEMORY = 3  # jobs that hold a picture: one computing, one decoding ahead, one writing
DRAIN_S = 30.0  # what running jobs get to end after SIGTERM
POLL_S = 0.2
LAST_WORDS_S = 5.0  # what cancelled jobs get to reach their next tile

log = logging.getLogger("neural_isp")


class RestorationServer:
    """A server on one address; a context manager. Entering it binds, loads the default model and runs a tile."""

    def __init__(self, config: ServerConfig) -> None:
        """Checks the configuration. Raises OptionError if this address must not be served so."""
        check_address(config)
        self.config = config
        self.address = config.address
        self.activity = Activity()
        self._stack = ExitStack()
        self._stopped = False

    def __enter__(self) -> RestorationServer:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop(0.0)

    def _start(self, stack: ExitStack) -> None:
        config = self.config
        path = socket_path(config.address)
        if path is not None:
            stack.callback(SocketLock(path).release)
        workspace = stack.enter_context(Workspace())
        registry = Registry(config.model_directories)
        devices = open_devices(config.device, config.threads, config.limits.queue, config.tiling.inner)
        for device in devices:
            stack.callback(device.lane.close)
        threads = ThreadPoolExecutor(SPARE_THREADS + config.limits.queue * len(devices), thread_name_prefix="rpc")
        stack.callback(threads.shutdown)
        worker = stack.enter_context(DecodeWorker(config.limits))  # closed before the threads, which may wait for it
        rooms = Rooms(
            worker, registry, devices, ResultCache(config.cache), Turnstile(IN_MEMORY), UserProfiles(config.profiles)
        )
        self._server = grpc.server(
            threads,
            interceptors=[TokenInterceptor(config.token)] if config.token else [],
            options=[
                ("grpc.so_reuseport", 0),  # or a second server could share the port unseen
                ("grpc.keepalive_time_ms", 60_000),  # a client whose machine vanished is noticed
                ("grpc.keepalive_timeout_ms", 20_000),
            ],
        )
        service = RestorationService(config, rooms, workspace, self.activity)
        restoration_pb2_grpc.add_RestorationServicer_to_server(service, self._server)  # type: ignore[no-untyped-call]
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self.address = bind(self._server, config)
        self._server.start()
        stack.callback(lambda: self._server.stop(None).wait())
        self._warm_up(rooms)
        self._set_health(health_pb2.HealthCheckResponse.SERVING)

    def _warm_up(self, rooms: Rooms) -> None:
        try:
            package = rooms.registry.get()
        except NoModelError as error:
            log.warning("%s; serving without it", error.message)
            return
        for device in rooms.devices:
            device.warm_up(package, CancelToken())

    def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", SERVICE):
            self._health.set(name, status)

    def stop(self, grace_s: float, hurry: threading.Event | None = None) -> None:
        """Takes no new calls, lets running ones end for `grace_s` or until `hurry`, cancels the rest, and cleans up."""
        if self._stopped:
            return
        self._stopped = True
        self._health.enter_graceful_shutdown()
        ended = self._server.stop(grace_s + LAST_WORDS_S)
        give_up_s = time.monotonic() + grace_s
        while time.monotonic() < give_up_s and not (hurry and hurry.is_set()) and not ended.wait(POLL_S):
            pass
        self.activity.cancel_all()
        self._server.stop(LAST_WORDS_S).wait()
        self._stack.close()


def serve(config: ServerConfig) -> int:
    """Runs a server until SIGTERM, SIGINT or its idle time is over; the process's exit code.

    Prints one line to stderr when ready. A first signal lets running jobs end, a second cancels them.
    Raises OptionError and ModelPackageError if it can't start.
    """
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s neural-isp %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    stopping, hurry = threading.Event(), threading.Event()

    def on_signal(number: int, frame: object) -> None:
        (hurry if stopping.is_set() else stopping).set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with RestorationServer(config) as server:
            print(f"neural-isp ready on {server.address} (pid {os.getpid()})", file=sys.stderr, flush=True)
            while not stopping.wait(POLL_S):
                if 0 < config.idle_exit_s < server.activity.idle_s():
                    log.info("no job for %g s: leaving", config.idle_exit_s)
                    break
            server.stop(DRAIN_S, hurry)
    finally:
        for number, former in previous.items():
            signal.signal(number, former)
    return 0
