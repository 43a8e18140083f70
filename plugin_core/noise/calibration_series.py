"""Darks and flats as they come, in any order: checked against each other, sorted by ISO, paired, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from plugin_core.errors import NoModelError, OptionError
from plugin_core.frame import LinearImage, RawFrame
from plugin_core.noise.calibration import Calibration, IsoCalibration, Method
from plugin_core.noise.calibration_frames import PhotonTransfer, mean_signal
from plugin_core.noise.estimate import measure
from plugin_core.noise.table import camera_key

__all__ = ["Kind", "Series", "from_single"]

SAME_LIGHT = 0.10  # relative difference of two flats' means that still makes a pair
DIM = 0.01  # of white: below that a relative difference says nothing


class Kind(Enum):
    """What a frame shows."""

    DARK = "dark"
    FLAT = "flat"


@dataclass(frozen=True)
class _Waiting:
    """A frame whose partner has not come yet."""

    frame: RawFrame
    level: float


class Series:
    """Takes frames one by one and holds only those that wait for their partner; gives one calibration of all ISOs."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._first: RawFrame | None = None
        self._waiting: dict[tuple[object, ...], _Waiting] = {}
        self._by_iso: dict[float, PhotonTransfer] = {}

    def add(self, kind: Kind, image: RawFrame | LinearImage) -> None:
        """One frame. Raises NoModelError for a demosaiced one, OptionError for another camera's or one without ISO."""
        frame = mosaic_of(image)
        if self._first is None:
            self._first = frame
        check_alike(self._first, frame)
        iso = iso_of(frame)
        level = mean_signal(frame)
        key = (kind, iso, *((frame.exposure.time_s, frame.exposure.f_number) if kind is Kind.FLAT else ()))
        waiting = self._waiting.pop(key, None)
        if waiting is not None and kind is Kind.FLAT and abs(level - waiting.level) > SAME_LIGHT * max(level, DIM):
            self._left_over(waiting, "the light had changed in the next one")
            waiting = None
        if waiting is None:
            self._waiting[key] = _Waiting(frame, level)
            return
        if np.array_equal(waiting.frame.mosaic, frame.mosaic):
            raise OptionError(f"{frame.source.name}: the same frame as {waiting.frame.source.name}", "FRAMES_EQUAL")
        transfer = self._by_iso.setdefault(iso, PhotonTransfer(iso, frame))
        (transfer.add_darks if kind is Kind.DARK else transfer.add_flats)(waiting.frame, frame)

    def result(self) -> Calibration:
        """The calibration of all ISOs. Raises OptionError naming what is missing."""
        for waiting in self._waiting.values():
            self._left_over(waiting, "there is no second one like it")
        if self._first is None or not self._by_iso:
            left = f" ({self.warnings[0]})" if self.warnings else ""
            raise OptionError(
                f"no pairs: two darks and two flats of one ISO and exposure are the least{left}", "FRAMES_MISSING"
            )
        isos = tuple(self._by_iso[iso].result() for iso in sorted(self._by_iso))
        return calibration_of(self._first, isos)

    def _left_over(self, waiting: _Waiting, why: str) -> None:
        self.warnings.append(f"{waiting.frame.source.name}: not used, {why}")


def from_single(image: RawFrame | LinearImage) -> Calibration:
    """What one ordinary picture shows of its camera's noise: no broken photosites, no black, less to be trusted.

    Raises NoModelError for a demosaiced one, OptionError if it shows no noise to measure or names no ISO.
    """
    frame = mosaic_of(image)
    found = measure(frame)
    if found is None:
        raise OptionError(f"{frame.source.name}: shows no noise that could be measured", "NOTHING_MEASURED")
    entry = IsoCalibration(
        iso_of(frame),
        Method.SINGLE,
        found.a,
        found.b,
        round(found.confidence, 3),
        detail=f"one picture: {found.detail}",
    )
    return calibration_of(frame, (entry,))


def calibration_of(frame: RawFrame, isos: tuple[IsoCalibration, ...]) -> Calibration:
    """With the frame's camera, size and CFA."""
    height, width = frame.mosaic.shape
    return Calibration(frame.source.make, frame.source.model, height, width, frame.cfa.name, isos)


def mosaic_of(image: RawFrame | LinearImage) -> RawFrame:
    """The image, if it is a mosaic. Raises NoModelError otherwise."""
    if isinstance(image, LinearImage):
        raise NoModelError(f"{image.source.name}: is demosaiced; only mosaics can be calibrated", "KIND_NOT_SUPPORTED")
    return image


def iso_of(frame: RawFrame) -> float:
    """The frame's ISO. Raises OptionError if it names none."""
    if not frame.exposure.iso or frame.exposure.iso < 1:
        raise OptionError(f"{frame.source.name}: names no ISO, by which its calibration could be found", "NO_ISO")
    return float(frame.exposure.iso)


def check_alike(first: RawFrame, frame: RawFrame) -> None:
    """Raises OptionError if the two are not of one camera, size and CFA."""
    for what, one, other in (
        ("camera", *(camera_key(each.source.make, each.source.model) for each in (first, frame))),
        ("size", *(" x ".join(map(str, each.mosaic.shape[::-1])) for each in (first, frame))),
        ("CFA", first.cfa.name, frame.cfa.name),
    ):
        if one != other:
            raise OptionError(
                f"{frame.source.name}: {what} {other}, but {first.source.name} has {one}", "FRAMES_DIFFER"
            )
