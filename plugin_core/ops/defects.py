"""Known hot and dead photosites: replaced by their same-colour neighbours before anything else looks at the mosaic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import CfaPattern, RawFrame
from plugin_core.ops.denoise import Residual

__all__ = ["NO_SITES", "Photosites", "repair", "with_repairs"]

Photosites = NDArray[np.intp]  # (N, 2): row and column in the whole sensor frame, from 0
NO_SITES: Photosites = np.empty((0, 2), dtype=np.intp)

NEIGHBOURS = 4  # the mean of these is taken: on X-Trans and Bayer the nearest ring of one colour
REACH = 6  # rows and columns in which neighbours are looked for: a whole period of X-Trans


def repair(frame: RawFrame, sites: Photosites) -> RawFrame:
    """The frame with the photosites `sites` interpolated, also clipped ones; of the same dtype, the rest to the bit.

    Each becomes the mean of its NEIGHBOURS nearest sound photosites of its colour in the active area. Sites outside of
    that area stay as they are, and so does one that has no sound neighbour within REACH.
    """
    area = frame.active_area
    inside = sites - (area.top, area.left)
    inside = inside[((inside >= 0) & (inside < (area.height, area.width))).all(axis=1)]
    if not len(inside):
        return frame
    sound = np.ones((area.height, area.width), dtype=bool)
    sound[inside[:, 0], inside[:, 1]] = False
    mosaic = frame.mosaic.copy()
    target, samples = mosaic[area.slices], frame.mosaic[area.slices]
    phases = inside % frame.cfa.period
    for row, column in np.unique(phases, axis=0):
        mine = inside[(phases == (row, column)).all(axis=1)]
        values, known = neighbour_means(samples, sound, mine, same_colour(frame.cfa, int(row), int(column)))
        if np.issubdtype(mosaic.dtype, np.integer):
            values = np.rint(values)
        target[mine[known, 0], mine[known, 1]] = values[known]
    return replace(frame, mosaic=mosaic)


def with_repairs(residual: Residual, frame: RawFrame, sites: Photosites) -> Residual:
    """A repaired frame's residual as that of the frame itself: what interpolating changed is a change, too."""
    if not len(sites):
        return residual
    before, after = (one.mosaic[frame.active_area.slices] for one in (frame, repair(frame, sites)))
    touched = before != after
    whole = residual.copy()
    whole[touched] += before[touched].astype(np.float32) - after[touched]
    return whole


def same_colour(cfa: CfaPattern, row: int, column: int) -> Photosites:
    """Steps (K, 2) from a photosite of this phase to those of its colour, the nearest first."""
    n = cfa.period
    color = cfa.colors[row][column]
    reach = range(-REACH, REACH + 1)
    steps = [(r, c) for r in reach for c in reach if (r, c) != (0, 0)]
    steps = [(r, c) for r, c in steps if cfa.colors[(row + r) % n][(column + c) % n] == color]
    return np.array(sorted(steps, key=lambda step: (step[0] ** 2 + step[1] ** 2, step)), dtype=np.intp)


def neighbour_means(
    samples: NDArray[np.generic], sound: NDArray[np.bool_], sites: Photosites, steps: Photosites
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean of each site's first NEIGHBOURS sound neighbours (N,), and where there is one (N,)."""
    places = sites[:, None] + steps
    within: NDArray[np.bool_] = np.all((places >= 0) & (places < sound.shape), axis=-1)
    rows, columns = np.where(within[..., None], places, 0).transpose(2, 0, 1)
    usable = within & sound[rows, columns]
    chosen = usable & (np.cumsum(usable, axis=1) <= NEIGHBOURS)
    counts = chosen.sum(axis=1)
    total = np.where(chosen, samples[rows, columns].astype(np.float64), 0.0).sum(axis=1)
    return total / np.maximum(counts, 1), counts > 0
