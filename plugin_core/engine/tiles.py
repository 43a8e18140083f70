"""Tile geometry: where each tile reads and writes. Pure integers; no pixels, no model.

<--------- outer --------->
+-------------------------+   outer: what the network reads
|  halo                   |   inner: what the tile contributes to the result
|    +---- inner ----+    |
|    |               |    |   Inner rectangles cover the frame without overlap. Outer ones start and end on
|    +---------------+    |   multiples of the alignment, so that the network's own grid never shifts
|                         |   between tiles. Beyond the frame, which is continued there, they reach by one
+-------------------------+   more of it: that spares the edge most of what a network's own padding costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import Rect

__all__ = ["Tile", "continued", "plan_tiles"]


@dataclass(frozen=True)
class Tile:
    """One tile, in photosites of the frame; `outer` may reach past it by less than twice the alignment."""

    inner: Rect
    outer: Rect

    @property
    def inner_in_outer(self) -> tuple[slice, slice]:
        """Where the inner rectangle lies inside the outer one, as slices."""
        top, left = self.inner.top - self.outer.top, self.inner.left - self.outer.left
        return slice(top, top + self.inner.height), slice(left, left + self.inner.width)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _spans(length: int, inner: int, alignment: int) -> list[tuple[int, int]]:
    """Equal aligned pieces, (start, stop), of which the last may be shorter."""
    count = max(1, -(-length // inner))
    size = _up(-(-length // count), alignment)
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def plan_tiles(
    height: int, width: int, inner: int, halo: int, alignment: int, lead: tuple[int, int] = (0, 0)
) -> list[Tile]:
    """The tiles that cover a frame of height x width photosites, row by row.

    inner: the largest side of an inner rectangle (rounded up to the alignment); halo is rounded up likewise.
    lead: rows and columns, less than the alignment, by which the tiles' grid starts above and left of the frame.
    """
    halo = _up(halo, alignment)
    rows, columns = (
        [(start - before, stop - before) for start, stop in _spans(length + before, inner, alignment)]
        for length, before in ((height, lead[0]), (width, lead[1]))
    )
    margin = min(alignment, halo)
    below, right = (
        _up(length + before, alignment) - before + margin for length, before in ((height, lead[0]), (width, lead[1]))
    )
    tiles = []
    for start, stop in rows:
        top, bottom = max(start - halo, -lead[0] - margin), min(start + _up(stop - start, alignment) + halo, below)
        for first, last in columns:
            left, end = max(first - halo, -lead[1] - margin), min(first + _up(last - first, alignment) + halo, right)
            inside = Rect(max(start, 0), max(first, 0), stop - max(start, 0), last - max(first, 0))
            tiles.append(Tile(inside, Rect(top, left, bottom - top, end - left)))
    return tiles


def continued(start: int, count: int, length: int, period: int) -> NDArray[np.intp]:
    """Indices start .. start + count - 1 of rows or columns, those beyond the frame folded into 0 .. length - 1.

    period: of the CFA. By reflection about the end photosites, which keeps a Bayer phase; an X-Trans pattern would come
    out mirrored, so it is moved by whole periods where the frame holds one.
    """
    indices = np.arange(start, start + count, dtype=np.intp)
    if length == 1:
        return np.zeros(count, dtype=np.intp)
    if period > 2 and length >= period:
        before, behind = -indices.clip(max=0), (indices - length + 1).clip(min=0)
        indices += -(-before // period) * period
        indices -= -(-behind // period) * period
        return indices
    folded = indices % (2 * (length - 1))
    return np.minimum(folded, 2 * (length - 1) - folded)
