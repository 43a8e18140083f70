"""Each device with its lane and the sessions that are loaded on it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.lanes import Lane, Ticket
from plugin_core.engine.session import Session, open_session
from plugin_core.errors import OptionError
from plugin_core.frame import BAYER_PATTERNS, LinearImage, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.models import ModelPackage
from plugin_core.ops.denoise import Residual, restore

__all__ = ["Device", "open_devices", "picture_size"]

SESSIONS_KEPT = 2  # per device: the two models that ship; a third pushes the least recently used out
WARM_UP_SIDE = 64  # photosites

log = logging.getLogger("neural_isp")


def picture_size(image: RawFrame | LinearImage) -> int:
    """Photosites of the active area, or pixels of a linear image."""
    if isinstance(image, RawFrame):
        return image.active_area.height * image.active_area.width
    height, width, _ = image.pixels.shape
    return int(height * width)


class Device:
    """One lane and its sessions; sessions are opened and used on the lane's own thread only."""

    def __init__(self, name: str, threads: int, waiting_limit: int, tile_side: int) -> None:
        self.name = name
        self.lane = Lane(name, waiting_limit)
        self._threads = threads
        self._tile_side = tile_side
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def restore(
        self, image: RawFrame | LinearImage, profile: NoiseProfile, package: ModelPackage, token: CancelToken
    ) -> Ticket[Residual]:
        """Queues the network's work on one image; the caller holds a reservation of the lane."""

        def work(report: Callable[[float], None], token: CancelToken) -> Residual:
            inner = round(self._tile_side * package.manifest.tile_ratio)
            return restore(image, profile, self._session(package), inner, report, token)

        return self.lane.submit(work, token, picture_size(image))

    def warm_up(self, package: ModelPackage, token: CancelToken) -> None:
        """Loads a model and runs one small tile through it. Raises ModelPackageError, OptionError, LimitError."""
        side = WARM_UP_SIDE
        area = Rect(0, 0, side, side)
        mosaic = np.full((side, side), 1000, dtype=np.uint16)
        frame = RawFrame(mosaic, BAYER_PATTERNS["RGGB"], ((512.0,),), (16383.0,) * 3, area, area)
        profile = NoiseProfile((1e-4,) * 3, (1e-6,) * 3, NoiseSource.DEFAULT)
        ticket = self.restore(frame, profile, package, token)
        for _ in ticket.updates():
            pass
        ticket.result()

    def _session(self, package: ModelPackage) -> Session:
        key = str(package.directory)
        session = self._sessions.pop(key, None)
        if session is None:
            log.info("loading model %s %s on %s", package.manifest.id, package.manifest.version, self.name)
            session = open_session(package, self.name, self._threads)
        self._sessions[key] = session
        for other in self._sessions.values():
            if other is not session:
                other.rest()
        while len(self._sessions) > SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        return session


def open_devices(names: str, threads: int, waiting_limit: int, tile_side: int) -> list[Device]:
    """A device per name of a comma-separated list. Raises OptionError for an empty list or a name given twice."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted or len(set(wanted)) != len(wanted):
        raise OptionError(f'device "{names}": expected one or more different devices', "BAD_DEVICE")
    return [Device(name, threads, waiting_limit, tile_side) for name in wanted]
