"""A mosaic with its levels, read in rectangles that may reach beyond it; and its planes by place in the cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plugin_core.engine.tiles import continued
from plugin_core.frame import CfaPattern, FloatArray, Rect, UInt16Array

__all__ = ["Mosaic", "read", "shuffle", "unshuffle"]


def read(samples: UInt16Array | FloatArray | NDArray[np.float16], area: Rect, period: int) -> FloatArray:
    """A rectangle of (H, W) samples as float32, continued where it reaches beyond them; period: of the CFA."""
    if samples.strides == (0, 0):  # one level for all photosites
        return np.broadcast_to(np.float32(samples[0, 0]), (area.height, area.width))
    height, width = samples.shape
    if area.top >= 0 and area.bottom <= height:
        rows = samples[area.top : area.bottom]
    else:
        rows = samples[continued(area.top, area.height, height, period)]
    if area.left >= 0 and area.right <= width:
        return rows[:, area.left : area.right].astype(np.float32)
    columns = continued(area.left, area.width, width, period)
    before, behind = max(-area.left, 0), max(min(width - area.left, area.width), 0)
    values = np.empty((area.height, area.width), dtype=np.float32)
    values[:, before:behind] = rows[:, max(area.left, 0) : area.left + behind]
    values[:, :before] = rows[:, columns[:before]]
    values[:, behind:] = rows[:, columns[behind:]]
    return values


def unshuffle(mosaic: FloatArray) -> FloatArray:
    """(H, W) to (4, H/2, W/2), channel 2 * row + column of the 2x2 cell; H and W even."""
    height, width = mosaic.shape
    planes = mosaic.reshape(height // 2, 2, width // 2, 2).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(planes.reshape(4, height // 2, width // 2))


def shuffle(planes: FloatArray) -> FloatArray:
    """(4, h, w) to (2h, 2w): the inverse of `unshuffle`."""
    _, height, width = planes.shape
    cells = planes.reshape(2, 2, height, width).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(cells.reshape(2 * height, 2 * width))


@dataclass(frozen=True)
class Mosaic:
    """samples (H, W), and black and white, (H, W) maps or broadcasts of one level, all in the file's units."""

    samples: UInt16Array | FloatArray
    black: FloatArray
    white: FloatArray
    cfa: CfaPattern

    @cached_property
    def spans(self) -> FloatArray:
        """White less black, (H, W); a broadcast if they are."""
        if self.black.strides == self.white.strides == (0, 0):
            return np.broadcast_to(self.white[0, 0] - self.black[0, 0], self.black.shape)
        return self.white - self.black

    def levels(self, area: Rect) -> tuple[FloatArray, FloatArray]:
        """Black and span of a rectangle."""
        return read(self.black, area, self.cfa.period), read(self.spans, area, self.cfa.period)

    def signal(self, area: Rect) -> FloatArray:
        """A rectangle in signal units: 0 black, 1 white, negative values kept."""
        low, span = self.levels(area)
        return (read(self.samples, area, self.cfa.period) - low) / span

    def clipped(self, area: Rect) -> NDArray[np.bool_]:
        """Where a rectangle inside the mosaic is clipped at white."""
        return np.asarray(self.samples[area.slices] >= self.white[area.slices])
