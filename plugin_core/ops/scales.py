"""Restoring at a coarser scale too, so that no blotches are left.

A network sees some hundred photosites far: what noise has in means over more than that it can't tell from the picture,
and keeps. But a mosaic of means over windows is a mosaic again, with less noise, whose parameters are known; the same
network restores it, and only the low frequencies of that are used. Where the two results differ by more than noise
explains there is structure, which the finer scale knows better.

            fine mosaic ----------- network ----------> residual  - - - - - - -(-)- - > residual
                 |                                          |                   |
         means over windows                         means over windows    smooth, weighed, enlarged
                 v                                          v                   |
           coarse mosaic ---------- network ----------> residual ------(-)------+

Source: Facciolo, Pierazzo & Morel, Conservative Scale Recomposition for Multiscale Denoising (The Devil is in the High
Frequency Detail), SIAM Journal on Imaging Sciences 10(3), 2017. Cells of colour means and the weight are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from plugin_core.frame import BAYER_PATTERNS, CfaKind, CfaPattern, FloatArray, NoiseProfile, Rect
from plugin_core.ops.mosaic import Mosaic, read, shuffle, unshuffle

__all__ = ["SHIPPED", "Recomposition", "Windows", "add_coarse", "coarse_mosaic", "coarse_profile", "windows_of"]

SMALLEST = 16  # coarse photosites along a side, below which there is no coarser scale
STRIP = 32  # windows above one another that are worked on at a time


@dataclass(frozen=True)
class Recomposition:
    """The choices; `python -m benchmarks.scales` measures others.

    sides: of the windows of each coarser scale in turn, in photosites of the scale before; multiples of 4, the first
    one of 12 for X-Trans. smooth: sigma of what is kept of a coarse scale's answer, in windows. doubt: the mean squared
    difference, in the coarse noise's sigmas, at which it counts 1/e; it counts in full at much smaller ones.
    """

    sides: tuple[int, ...] = (12, 4, 4, 4)
    smooth: float = 1.5
    doubt: float = 0.35


SHIPPED = Recomposition()


@dataclass(frozen=True)
class Windows:
    """How a mosaic becomes a coarser one: window (i, j) becomes the cell of 2x2 coarse photosites there.

    side: of a window, in photosites. members (p, p): which of the four a photosite counts to, as 2 * row + column, by
    its place in the period. cfa: of the coarse mosaic; X-Trans becomes RGGB, whose two greens share the 20 of a period.

    A coarse photosite lies where it belongs, a quarter of a window from the middle: its mean is over a whole window
    around there. So no photosite counts twice, and the coarse noise is as white as the fine.
    """

    side: int
    members: NDArray[np.intp]
    cfa: CfaPattern

    @property
    def period(self) -> int:
        """Rows, and columns, after which the members repeat."""
        return int(self.members.shape[0])

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Photosites in the mean of each of the four."""
        repeats = (self.side // self.period) ** 2
        first, second, third, fourth = (int(np.count_nonzero(self.members == k)) * repeats for k in range(4))
        return first, second, third, fourth

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Windows below and beside one another that cover a mosaic."""
        return -(-height // self.side), -(-width // self.side)

    def places(self, member: int) -> list[tuple[int, int]]:
        """Row and column in the period of what counts to a coarse photosite."""
        return [(int(row), int(column)) for row, column in np.argwhere(self.members == member)]


def windows_of(cfa: CfaPattern, side: int) -> Windows:
    """The windows of a mosaic; side: a multiple of 4, of 12 for X-Trans."""
    if cfa.kind is not CfaKind.XTRANS:
        return Windows(side, np.arange(4).reshape(2, 2), cfa)
    colors = np.array(cfa.colors)
    greens = 1 + np.add.outer(np.arange(6), np.arange(6)) % 2
    return Windows(side, np.select([colors == 0, colors == 2], [0, 3], greens), BAYER_PATTERNS["RGGB"])


def _colors(cfa: CfaPattern) -> list[int]:
    """The colour plane of each of the four photosites of a coarse cell."""
    return [cfa.colors[row % cfa.period][column % cfa.period] for row in (0, 1) for column in (0, 1)]


def coarse_profile(profile: NoiseProfile, windows: Windows) -> NoiseProfile:
    """The noise of the means: both parameters over the number of photosites, colour by colour."""
    count = dict(zip(_colors(windows.cfa), windows.counts, strict=True))
    a, b = (tuple(v / count[color] for color, v in enumerate(given)) for given in (profile.a, profile.b))
    return NoiseProfile(a, b, profile.source)


def _means(values: Callable[[Rect], FloatArray], height: int, width: int, windows: Windows) -> FloatArray:
    """Means over the windows of a mosaic, (4, rows, columns) float32, by member; values reads a rectangle of it."""
    side, period, shift = windows.side, windows.period, windows.side // 4
    rows, columns = windows.size(height, width)
    means = np.zeros((4, rows, columns), dtype=np.float32)
    across = columns * side
    for first in range(0, rows, STRIP):
        below = min(first + STRIP, rows) - first
        strip = values(Rect(first * side - shift, -shift, below * side + 2 * shift, across + 2 * shift))
        for member, count in enumerate(windows.counts):
            down, right = 2 * shift * (member // 2), 2 * shift * (member % 2)
            own = strip[down : down + below * side, right : right + across]
            for row in range(period):
                sums = own[(row + shift - down) % period :: period].reshape(below, side // period, across).sum(axis=1)
                for column in np.flatnonzero(windows.members[row] == member):
                    places = sums[:, (column + shift - right) % period :: period]
                    means[member, first : first + below] += places.reshape(below, columns, -1).sum(axis=2)
            means[member, first : first + below] /= count
    return means


def coarse_mosaic(mosaic: Mosaic, windows: Windows) -> Mosaic | None:
    """The mosaic of means, in signal units; None if it would be too small to say anything."""
    height, width = mosaic.samples.shape
    rows, columns = windows.size(height, width)
    if 2 * min(rows, columns) < SMALLEST:
        return None
    samples = shuffle(_means(mosaic.signal, height, width, windows))
    black, white = (np.broadcast_to(np.float32(level), samples.shape) for level in (0, 1))
    return Mosaic(samples, black, white, windows.cfa)


def _doubted(
    difference: FloatArray, signal: FloatArray, profile: NoiseProfile, cfa: CfaPattern, how: Recomposition
) -> FloatArray:
    """(4, h, w) differences, smoothed, less where their size says that there is structure."""
    a, b = (np.array(v, dtype=np.float32)[_colors(cfa)].reshape(4, 1, 1) for v in (profile.a, profile.b))
    variance = a * np.maximum(signal, 0) + np.maximum(b, np.float32(1e-30))

    def smoothed(values: FloatArray) -> FloatArray:
        return np.asarray(gaussian_filter(values, how.smooth, mode="nearest", axes=(1, 2)))

    size = np.minimum(smoothed(difference**2 / variance).max(axis=0), np.float32(1e6))
    return np.asarray(smoothed(difference) * np.exp(-((size / how.doubt) ** 2)), dtype=np.float32)


def _between(values: FloatArray, start: float, steps: int, count: int) -> FloatArray:
    """Linear interpolation along the last axis, at start, start + 1 / steps and so on."""
    found = np.empty((*values.shape[:-1], count), dtype=np.float32)
    for k in range(min(steps, count)):
        first, share = divmod(start + k / steps, 1)
        place = found[..., k::steps]
        here, there = (values[..., i : i + place.shape[-1]] for i in (int(first), int(first) + 1))
        place[:] = here + np.float32(share) * (there - here)
    return found


def _enlarged(coarse: FloatArray, windows: Windows, area: Rect) -> FloatArray:
    """(4, rows, columns) values of windows, linear between them, at the photosites of a rectangle of whole periods."""
    side, period = windows.side, windows.period
    fine = np.empty((area.height, area.width), dtype=np.float32)
    for member in range(4):
        padded = np.pad(coarse[member], 1, mode="edge")
        middle = side * (0.25 + 0.5 * (member // 2)), side * (0.25 + 0.5 * (member % 2))
        for row, column in windows.places(member):
            part = fine[row::period, column::period]
            top = 1 + (area.top + row + 0.5 - middle[0]) / side
            left = 1 + (area.left + column + 0.5 - middle[1]) / side
            below = _between(padded.T, top, side // period, part.shape[0]).T
            part[:] = _between(below, left, side // period, part.shape[1])
    return fine


def add_coarse(
    residual: NDArray[np.floating],
    mosaic: Mosaic,
    windows: Windows,
    coarse: Mosaic,
    coarse_residual: FloatArray,
    profile: NoiseProfile,
    how: Recomposition = SHIPPED,
) -> None:
    """Changes a residual (H, W), in the mosaic's units, so that its low frequencies are the coarse residual's.

    coarse: the mosaic of means; coarse_residual: source minus restored of it, signal units; profile: its noise.
    Clipped photosites keep their residual of 0.
    """
    height, width = mosaic.samples.shape

    def changed(area: Rect) -> FloatArray:
        return read(residual, area, mosaic.cfa.period) / mosaic.levels(area)[1]

    difference = _means(changed, height, width, windows) - unshuffle(coarse_residual)
    kept = _doubted(difference, unshuffle(coarse.samples - coarse_residual), profile, coarse.cfa, how)
    for top in range(0, height, STRIP * windows.side):
        area = Rect(top, 0, min(STRIP * windows.side, height - top), width)
        change = _enlarged(kept, windows, area)
        change *= mosaic.levels(area)[1]
        np.subtract(residual[area.slices], change, out=change)
        change[mosaic.clipped(area)] = 0.0
        residual[area.slices] = np.clip(change, -65504.0, 65504.0, out=change)
