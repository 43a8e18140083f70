"""Photon transfer: shot, read, row and column noise, black and broken photosites from pairs of darks and of flats.

Only differences of two equal frames enter the noise, so uneven light, dust and the sensor's fixed pattern cancel.
Source: Janesick, Photon Transfer (2007): the variance of a difference is twice the noise's; EMVA 1288 does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from plugin_core.errors import OptionError
from plugin_core.frame import CfaKind, FloatArray, RawFrame
from plugin_core.noise.calibration import IsoCalibration, Method, Sites
from plugin_core.noise.calibration_file import MAX_SITES
from plugin_core.noise.calibration_fit import PlaneFit, fit_plane
from plugin_core.noise.fit import Float64, undo_clipping

__all__ = ["PhotonTransfer", "mean_signal"]

CELLS = {CfaKind.BAYER: 8, CfaKind.XTRANS: 4, CfaKind.MONOCHROME: 16}  # of the CFA along a block's side
TAIL = 8.0  # sigmas: differences beyond that are broken photosites, not noise
HOT = 5.0  # sigmas above black in every single dark
DEAD = 0.5  # of the light that its block gets, in every single flat
DEAD_LEVEL = 10.0  # sigmas of signal that a flat needs to tell a dead photosite
BRIGHTEST = 0.9  # of white: above that sensors bend
DARKEST_WHITE = 0.02  # of white: a "dark" above that saw light
PILE = 0.2  # share of photosites at the lowest value from which on black counts as clipped there


@dataclass
class _PlaneSums:
    """What the pairs say of one colour plane; signal units."""

    dark_variance: list[tuple[float, int]] = field(default_factory=list)  # with its samples
    clipped: bool = False
    level: list[FloatArray] = field(default_factory=list)  # of blocks, above the file's black
    variance: list[FloatArray] = field(default_factory=list)
    samples: int = 0  # photosites in a block


class PhotonTransfer:
    """One camera at one ISO: takes pairs, gives the calibration. All frames of one size, CFA and levels."""

    def __init__(self, iso: float, first: RawFrame) -> None:
        self._iso = iso
        self._cfa, self._area, self._shape = first.cfa, first.active_area, first.mosaic.shape
        self._planes = [_PlaneSums() for _ in range(first.cfa.plane_count)]
        self._offsets: list[Float64] = []
        self._bands: list[tuple[float, float]] = []
        self._hot: NDArray[np.bool_] | None = None
        self._dead = np.ones((first.active_area.height, first.active_area.width), dtype=bool)
        self._judged = np.zeros_like(self._dead)
        self._flat_pairs = 0

    def add_darks(self, one: RawFrame, other: RawFrame) -> None:
        """Two frames without light. Raises OptionError if they saw some."""
        period = self._cfa.period
        first, second = one.signal(), other.signal()
        hot = np.zeros(first.shape, dtype=bool)
        noise = np.zeros_like(first)
        offsets = np.zeros((period, period))
        for row, column in product(range(period), repeat=2):
            place = slice(row, None, period), slice(column, None, period)
            plane = self._planes[self._cfa.colors[row][column]]
            found = _dark_phase(first[place], second[place], 1.0 / _span(one))
            if found.offset > DARKEST_WHITE:
                raise OptionError(
                    f"{one.source.name}: no dark frame: {100 * found.offset:.1f} % of white above black", "NO_DARK"
                )
            hot[place], noise[place] = found.hot, found.noise
            plane.dark_variance.append((found.variance, found.noise.size))
            plane.clipped |= found.clipped
            offsets[row, column] = 0.0 if found.clipped else found.offset
        self._hot = hot if self._hot is None else self._hot & hot
        self._offsets.append(offsets)
        self._bands.append(_bands(noise))

    def add_flats(self, one: RawFrame, other: RawFrame) -> None:
        """Two frames of the same evenly lit surface at the same exposure."""
        period, cells = self._cfa.period, CELLS[self._cfa.kind]
        first, second = one.signal(), other.signal()
        for row, column in product(range(period), repeat=2):
            place = slice(row, None, period), slice(column, None, period)
            plane = self._planes[self._cfa.colors[row][column]]
            pair = [_blocks(signal[place], cells) for signal in (first, second)]
            level, variance, usable = _flat_phase(pair[0], pair[1])
            plane.level.append(level[usable])
            plane.variance.append(variance[usable])
            plane.samples = cells * cells
            lit = usable & (level > DEAD_LEVEL * np.sqrt(variance))
            dead = _unblocked((pair[0] < DEAD * level[:, None, :, None]) & (pair[1] < DEAD * level[:, None, :, None]))
            judged = _unblocked(np.broadcast_to(lit[:, None, :, None], pair[0].shape))
            rows, columns = dead.shape
            target = (slice(row, row + rows * period, period), slice(column, column + columns * period, period))
            self._dead[target] &= dead | ~judged
            self._judged[target] |= judged
        self._flat_pairs += 1

    def result(self) -> IsoCalibration:
        """The calibration. Raises OptionError naming what is missing, or why these can't be darks and flats."""
        if self._hot is None or not self._flat_pairs:
            have = f"{len(self._bands)} pairs of darks and {self._flat_pairs} of flats"
            raise OptionError(
                f"ISO {self._iso:g}: {have}; two darks and two flats of one exposure are the least", "FRAMES_MISSING"
            )
        offset = np.mean(self._offsets, axis=0)
        fits = [self._fit(index, offset) for index in range(len(self._planes))]
        scatter = sqrt(float(np.mean([fit.scatter**2 for fit in fits])))
        rows, columns = (sqrt(max(float(np.mean(part)), 0.0)) for part in zip(*self._bands, strict=True))
        dim = any(fit.a * fit.brightest < fit.b for fit in fits)
        notes = [f"photon transfer, {len(self._bands)} pairs of darks, {self._flat_pairs} of flats"]
        notes.append(f"scatter {100 * scatter:.1f} %")
        notes += ["flats are so dark that read noise outweighs shot noise"] if dim else []
        notes += ["black is clipped in the file"] if any(plane.clipped for plane in self._planes) else []
        return IsoCalibration(
            iso=self._iso,
            method=Method.PHOTON_TRANSFER,
            a=tuple(fit.a for fit in fits),
            b=tuple(fit.b for fit in fits),
            confidence=round(float(0.97 * np.exp(-3.0 * scatter)) * (0.5 if dim else 1.0), 3),
            row_sigma=rows,
            column_sigma=columns,
            black_offset=tuple(tuple(float(v) for v in row) for row in offset),
            hot=self._sites(self._hot, "hot"),
            dead=self._sites(self._dead & self._judged & ~self._hot, "dead"),
            detail=", ".join(notes),
            points=tuple(
                (index, float(s), float(v))
                for index, fit in enumerate(fits)
                for s, v in zip(fit.signal, fit.variance, strict=True)
            ),
        )

    def _fit(self, index: int, offset: Float64) -> PlaneFit:
        plane = self._planes[index]
        mine = [
            float(offset[r, c])
            for r, c in product(range(self._cfa.period), repeat=2)
            if self._cfa.colors[r][c] == index
        ]
        values, weights = zip(*plane.dark_variance, strict=True)
        dark = None if plane.clipped and not all(np.isfinite(values)) else float(np.average(values, weights=weights))
        level = np.concatenate([part.ravel() for part in plane.level]).astype(np.float64) - float(np.mean(mine))
        variance = np.concatenate([part.ravel() for part in plane.variance]).astype(np.float64)
        fit = fit_plane(level, variance, plane.samples, dark, sum(weights))
        if fit is None:
            raise OptionError(
                f"ISO {self._iso:g}: the flats have too few places that are neither black nor near white; "
                "expose them to a quarter to half of white",
                "FLATS_UNUSABLE",
            )
        return fit

    def _sites(self, broken: NDArray[np.bool_], kind: str) -> Sites:
        """In the whole sensor frame. Raises OptionError for more than a sensor can have."""
        places = np.argwhere(broken) + np.array([self._area.top, self._area.left])
        if len(places) > min(MAX_SITES, broken.size // 100):
            raise OptionError(
                f"ISO {self._iso:g}: {len(places)} {kind} photosites: these are no darks and flats", "NO_DARK"
            )
        return tuple((int(r), int(c)) for r, c in places)


@dataclass(frozen=True)
class _Dark:
    """One phase of a pair of darks, signal units. noise: difference / sqrt 2, centred, 0 at broken photosites."""

    offset: float
    variance: float  # nan where clipping hid it
    clipped: bool
    hot: NDArray[np.bool_]
    noise: FloatArray


def _dark_phase(first: FloatArray, second: FloatArray, quantum: float) -> _Dark:
    """quantum: one raw unit in signal units; sigmas below half of it are not believed."""
    difference = (first - second) * np.float32(sqrt(0.5))
    difference -= np.median(difference)
    sigma = max(1.4826 * float(np.median(np.abs(difference))), 0.5 * quantum)
    centre = [float(np.median(one)) for one in (first, second)]
    hot = (first - centre[0] > HOT * sigma) & (second - centre[1] > HOT * sigma)
    sound = (np.abs(difference) < TAIL * sigma) & ~hot & (np.abs(first - centre[0]) < TAIL * sigma)
    noise = np.where(sound, difference, np.float32(0.0))
    variance = float(difference[sound].var(dtype=np.float64))
    offset = 0.5 * float(first[sound].mean(dtype=np.float64) + second[sound].mean(dtype=np.float64))
    lowest = float(first.min())
    clipped = float(np.count_nonzero(first == lowest)) / first.size > PILE and variance > quantum**2
    if clipped:
        _, undone, known = undo_clipping(np.array([offset - lowest]), np.array([variance]))
        variance = float(undone[0]) if known[0] else float("nan")
    return _Dark(offset, variance, clipped, hot, noise)


def _bands(noise: FloatArray) -> tuple[float, float]:
    """Variance that whole rows, and whole columns, share; below what white noise would show by chance it is 0."""
    total = float(noise.var(dtype=np.float64))
    found = []
    for axis in (1, 0):
        means = noise.mean(axis=axis, dtype=np.float64)
        share = float(means.var()) - total / noise.shape[axis]
        chance = 3.0 * total / noise.shape[axis] * sqrt(2.0 / len(means))
        found.append(share if share > chance else 0.0)
    return found[0], found[1]


def _blocks(plane: FloatArray, cells: int) -> FloatArray:
    """(h, w) to (rows of blocks, cells, columns of blocks, cells); what does not fill a block is left out."""
    rows, columns = (side // cells for side in plane.shape)
    return plane[: rows * cells, : columns * cells].reshape(rows, cells, columns, cells)


def _unblocked(blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The inverse of `_blocks`."""
    return blocks.reshape(blocks.shape[0] * blocks.shape[1], -1)


def _flat_phase(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Level, variance and whether to use them, (rows, columns) of blocks.

    The second frame is brought to the first one's brightness, r times its own, so that the fixed pattern cancels though
    the light flickered; the difference then has a * level * (1 + r) + b * (1 + r^2), which the two returned put right.
    """
    axes = (1, 3)
    mean, other = first.mean(axis=axes), second.mean(axis=axes)
    usable = (first.max(axis=axes) < BRIGHTEST) & (second.max(axis=axes) < BRIGHTEST)
    total = float(other[usable].sum(dtype=np.float64)) if usable.any() else 0.0
    ratio = float(mean[usable].sum(dtype=np.float64)) / total if total > 0 else 1.0
    difference = first - np.float32(ratio) * second
    variance = difference.var(axis=axes, ddof=1) / np.float32(1 + ratio**2)
    return mean * np.float32((1 + ratio) / (1 + ratio**2)), variance, usable


def _span(frame: RawFrame) -> float:
    """White above black, raw units."""
    return float(min(frame.white_level)) - float(np.mean(frame.black_level))


def mean_signal(frame: RawFrame) -> float:
    """The mean of the active area, signal units; from every seventh row, to tell one exposure from another."""
    return float(frame.signal()[::7].mean(dtype=np.float64))
