"""Tile geometry: where each tile reads and writes. Pure integers; no pixels, no model.

<--------- outer --------->
+-------------------------+   outer: what the network reads; may reach beyond the frame, which is
|  halo                   |          then continued by reflection about its edge photosites
|    +---- inner ----+    |   inner: what the tile contributes to the result
|    |               |    |
|    +---------------+    |   Inner rectangles cover the frame without overlap. All outer rectangles have
|                         |   one size, and origins that are multiples of the alignment, so that the
+-------------------------+   network's own grid never shifts between tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import Rect

__all__ = ["Tile", "plan_tiles", "reflected"]


@dataclass(frozen=True)
class Tile:
    """One tile, in photosites of the frame; `outer` may have a negative origin or reach past the end."""

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
    rows = _spans(height + lead[0], inner, alignment)
    columns = _spans(width + lead[1], inner, alignment)
    tall = _up(rows[0][1] - rows[0][0], alignment) + 2 * halo
    wide = _up(columns[0][1] - columns[0][0], alignment) + 2 * halo
    tiles = []
    for start, stop in rows:
        for first, last in columns:
            top, left = max(start - lead[0], 0), max(first - lead[1], 0)
            inside = Rect(top, left, stop - lead[0] - top, last - lead[1] - left)
            tiles.append(Tile(inside, Rect(start - lead[0] - halo, first - lead[1] - halo, tall, wide)))
    return tiles


def reflected(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Indices start .. start + count - 1 folded into 0 .. length - 1 by reflection about the end photosites.

    Reflection about a photosite keeps parity, so a Bayer phase is unchanged; X-Trans comes out mirrored, and the CFA
    planes are folded by the same indices.
    """
    if length == 1:
        return np.zeros(count, dtype=np.intp)
    period = 2 * (length - 1)
    folded = np.arange(start, start + count, dtype=np.intp) % period
    return np.minimum(folded, period - folded)
