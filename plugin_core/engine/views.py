"""Self-ensemble: a model sees a tile in several equivalent positions, and its answers are averaged.

Turning a mosaic by half and moving it by one photosite, and transposing it, leave cells of RGGB cells of RGGB; so the
network is on ground it knows, and its mistakes differ. Source: Timofte, Rothe & Van Gool, CVPR 2016, section 3.7.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plugin_core.frame import FloatArray

__all__ = ["VIEWS", "averaged"]

View = tuple[bool, bool]  # (transposed, turned)
VIEWS: dict[int, tuple[View, ...]] = {
    1: ((False, False),),
    2: ((False, False), (False, True)),
    4: ((False, False), (True, False), (False, True), (True, True)),
}  # by how many; turned and moved, X-Trans also is what it was, while transposed it starts on its other kind of place


def transposed(planes: FloatArray) -> FloatArray:
    """Cell planes (1, C, h, w) of the transposed mosaics, (1, C, w, h); C is a multiple of 4."""
    groups = planes.reshape(-1, 4, *planes.shape[2:])[:, [0, 2, 1, 3]]
    return groups.swapaxes(2, 3).reshape(planes.shape[0], planes.shape[1], planes.shape[3], planes.shape[2])


def moved(planes: FloatArray, forth: bool) -> FloatArray:
    """Even rows and even columns of the mosaics, (1, C, h, w), moved by one cell, forth or back.

    The place that becomes free gets its neighbour of the same row or column parity: a reflection.
    """
    groups = planes.reshape(-1, 2, 2, *planes.shape[2:]).copy()
    here, there = (slice(1, None), slice(None, -1)) if forth else (slice(None, -1), slice(1, None))
    groups[:, 0, :, here] = groups[:, 0, :, there].copy()
    groups[:, :, 0, :, here] = groups[:, :, 0, :, there].copy()
    return groups.reshape(planes.shape)


def turned(planes: FloatArray) -> FloatArray:
    """The mosaics turned by 180 degrees and moved by one photosite down and right, (1, C, h, w)."""
    return moved(planes[..., ::-1, ::-1], forth=True)


def turned_back(planes: FloatArray) -> FloatArray:
    """The inverse of `turned`."""
    return np.ascontiguousarray(moved(planes, forth=False)[..., ::-1, ::-1])


def seen(planes: FloatArray, view: View) -> FloatArray:
    """(1, C, h, w) as the view shows them."""
    if view[0]:
        planes = transposed(planes)
    return np.ascontiguousarray(turned(planes) if view[1] else planes)


def unseen(planes: FloatArray, view: View) -> FloatArray:
    """The inverse of `seen`."""
    if view[1]:
        planes = turned_back(planes)
    return transposed(planes) if view[0] else planes


def averaged(
    run: Callable[[FloatArray, FloatArray, FloatArray, FloatArray], FloatArray],
    views: int,
    planes: FloatArray,
    colors: FloatArray,
    a: FloatArray,
    b: FloatArray,
) -> FloatArray:
    """Mean of `run` over 1, 2 or 4 views; arguments and result as in engine.session.Session.run.

    In turned views each photosite lies one further on, so halos are one alignment wider (Manifest.halo_of); the
    outermost rows and columns come back as their neighbours.
    """
    total: FloatArray | None = None
    for view in VIEWS[views]:
        answer = unseen(run(*(seen(given, view) for given in (planes, colors, a, b))), view)
        total = answer if total is None else total + answer
    assert total is not None
    return total if views == 1 else np.asarray(total / np.float32(views))
