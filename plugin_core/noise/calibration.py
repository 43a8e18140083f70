"""A camera's noise as its owner measured it, by ISO, with its broken photosites; and what that says of a file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import NoiseProfile, NoiseSource, RawFrame
from plugin_core.noise.table import camera_key, log_mix

__all__ = ["Applied", "Calibration", "IsoCalibration", "Method", "applied", "with_black_offset"]

SAME_ISO = 0.02  # relative: cameras write 800 or 799
INTERPOLATED = 0.9  # of the confidence of the worse neighbour
LEAST_B = 1e-12  # for the logarithm, where no read noise was found; signal units squared

Sites = tuple[tuple[int, int], ...]


class Method(Enum):
    """How an ISO was measured."""

    PHOTON_TRANSFER = "photon_transfer"  # pairs of darks and flats
    SINGLE = "single"  # the flat places of one picture


@dataclass(frozen=True)
class IsoCalibration:
    """One ISO of one camera. Signal units: white above black is 1.

    a, b: per colour plane, variance = a * signal + b; b holds row and column noise and rounding, too.
    row_sigma, column_sigma: the parts of sqrt(b) that whole rows and columns share from frame to frame.
    black_offset: rows per CFA position from the active area's origin: how far black lies above the file's BlackLevel.
    hot, dead: (row, column) in the whole sensor frame, from 0. points: (plane, signal, variance) of the fit.
    """

    iso: float
    method: Method
    a: tuple[float, ...]
    b: tuple[float, ...]
    confidence: float
    row_sigma: float = 0.0
    column_sigma: float = 0.0
    black_offset: tuple[tuple[float, ...], ...] = ((0.0,),)
    hot: Sites = ()
    dead: Sites = ()
    detail: str = ""
    points: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True)
class Calibration:
    """A camera with the size and CFA of its sensor frame (masked borders included), and its ISOs, rising."""

    make: str
    model: str
    height: int
    width: int
    cfa: str  # CfaPattern.name
    isos: tuple[IsoCalibration, ...]

    @property
    def key(self) -> str:
        """What two spellings of one camera have in common."""
        return camera_key(self.make, self.model)


@dataclass(frozen=True)
class Applied:
    """What a calibration says of one file. sites (N, 2): hot and dead photosites; none if the sizes differ."""

    profile: NoiseProfile
    sites: NDArray[np.intp]
    black_offset: tuple[tuple[float, ...], ...]


def applied(calibrations: Iterable[Calibration], frame: RawFrame, iso: float | None) -> Applied | None:
    """What these calibrations of the frame's camera say at an ISO; None if that is not among theirs or between two.

    ISOs of all calibrations count together; of the same ISO the one of higher confidence. Nothing is extrapolated: the
    file's own pixels are then the better witness.
    """
    mine = [one for one in calibrations if one.cfa == frame.cfa.name]
    found = at_iso([entry for one in mine for entry in one.isos if len(entry.a) == frame.cfa.plane_count], iso)
    if found is None:
        return None
    sizes = {(one.height, one.width) for one in mine if any(entry.iso in found.sources for entry in one.isos)}
    fits = sizes == {frame.mosaic.shape}
    entry = found.entry
    places = sorted({*entry.hot, *entry.dead}) if fits else []
    notes = [found.how, entry.detail]
    if entry.hot or entry.dead:
        listed = len({*entry.hot, *entry.dead})
        notes.append(
            f"{listed} hot and dead photosites interpolated"
            if fits
            else f"its {listed} hot and dead photosites are for another size and not used"
        )
    profile = NoiseProfile(
        entry.a, entry.b, NoiseSource.CALIBRATION, entry.confidence, "; ".join(note for note in notes if note)
    )
    return Applied(profile, np.array(places, dtype=np.intp).reshape(-1, 2), entry.black_offset)


def with_black_offset(frame: RawFrame, offset: tuple[tuple[float, ...], ...]) -> RawFrame:
    """The frame with its black level moved by `offset` (signal units, per CFA position): what the network is shown."""
    if not any(value for row in offset for value in row):
        return frame
    black = np.array(frame.black_level)
    shift = np.array(offset)
    rows, columns = (math.lcm(one, other) for one, other in zip(black.shape, shift.shape, strict=True))
    side = max(rows, columns)  # 1, 2 or 6
    span = np.min(frame.white_level) - black.mean()
    moved = _tiled(black, side) + _tiled(shift, side) * span
    return replace(frame, black_level=tuple(tuple(float(v) for v in row) for row in moved))


def _tiled(pattern: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    return np.tile(pattern, (side // pattern.shape[0], side // pattern.shape[1]))


@dataclass(frozen=True)
class _Found:
    entry: IsoCalibration
    sources: tuple[float, ...]  # the ISOs that it rests on
    how: str


def at_iso(entries: list[IsoCalibration], iso: float | None) -> _Found | None:
    """The entry at an ISO, or one between its neighbours, log-log; a file without ISO only fits a single entry."""
    best: dict[float, IsoCalibration] = {}
    for entry in sorted(entries, key=lambda one: one.confidence):
        best[entry.iso] = entry
    if iso is None or not math.isfinite(iso) or iso <= 0:
        return None
    isos = sorted(best)
    for known in isos:
        if abs(known / iso - 1) <= SAME_ISO:
            return _Found(best[known], (known,), f"calibrated at ISO {known:g}")
    above = next((index for index, known in enumerate(isos) if known > iso), 0)
    if above == 0:
        return None
    low, high = best[isos[above - 1]], best[isos[above]]
    share = math.log(iso / low.iso) / math.log(high.iso / low.iso)
    how = f"between the calibrations at ISO {low.iso:g} and {high.iso:g}"
    return _Found(between(low, high, share, iso), (low.iso, high.iso), how)


def between(low: IsoCalibration, high: IsoCalibration, share: float, iso: float) -> IsoCalibration:
    """Between two ISOs, `share` of the way in the logarithm; a photosite that is broken at either counts as broken."""

    def mixed(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(log_mix(max(x, LEAST_B), max(y, LEAST_B), share) for x, y in zip(one, other, strict=True))

    same = np.shape(low.black_offset) == np.shape(high.black_offset)
    offset = (
        (1 - share) * np.array(low.black_offset) + share * np.array(high.black_offset) if same else np.zeros((1, 1))
    )
    return IsoCalibration(
        iso=iso,
        method=low.method if low.method is high.method else Method.SINGLE,
        a=mixed(low.a, high.a),
        b=mixed(low.b, high.b),
        confidence=INTERPOLATED * min(low.confidence, high.confidence),
        row_sigma=(1 - share) * low.row_sigma + share * high.row_sigma,
        column_sigma=(1 - share) * low.column_sigma + share * high.column_sigma,
        black_offset=tuple(tuple(float(v) for v in row) for row in offset),
        hot=tuple(sorted({*low.hot, *high.hot})),
        dead=tuple(sorted({*low.dead, *high.dead})),
    )
