"""Read noise from the masked photosites around the active area, which never saw light."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import CfaKind, RawFrame

__all__ = ["masked_variance"]

GUARD = 4  # photosites next to the active area may see some light
EDGE = 2  # the outermost ones are often not read out like the rest
LEAST_SAMPLES = 2000
TAIL = 5.0  # sigmas; beyond lie defects


def masked_variance(frame: RawFrame) -> float | None:
    """The variance of dark photosites, signal units squared, a mean over the borders that look sane, or None.

    A border counts if it is thick enough, lies at the black level, is not constant, not clipped, and its tails are a
    sensor's, not a header's. Row and column offsets do not enter (diagonal Haar).
    """
    weights, values = [], []
    for border in borders(frame):
        found = border_variance(border, frame)
        if found is not None:
            weights.append(border.size)
            values.append(found)
    return float(np.average(values, weights=weights)) if values else None


def borders(frame: RawFrame) -> list[NDArray[Any]]:
    """The four strips outside the active area, guards cut off."""
    raw, area = frame.mosaic, frame.active_area
    height, width = raw.shape
    inside = slice(area.top, area.bottom)
    return [
        raw[EDGE : max(area.top - GUARD, 0), area.left : area.right],
        raw[area.bottom + GUARD : height - EDGE, area.left : area.right],
        raw[inside, EDGE : max(area.left - GUARD, 0)],
        raw[inside, area.right + GUARD : width - EDGE],
    ]


def border_variance(border: NDArray[Any], frame: RawFrame) -> float | None:
    """One border's variance in signal units squared, or None if it is not to be trusted."""
    lag = {CfaKind.MONOCHROME: 1, CfaKind.BAYER: 2, CfaKind.XTRANS: 6}[frame.cfa.kind]
    rows, columns = (n // (2 * lag) * 2 * lag for n in border.shape)
    if rows * columns < 4 * LEAST_SAMPLES:
        return None
    raw = border[:rows, :columns].astype(np.float32)
    pairs = raw.reshape(rows // (2 * lag), 2, lag, columns // (2 * lag), 2, lag)
    down = pairs[:, 0] - pairs[:, 1]
    twist = (down[:, :, :, 0] - down[:, :, :, 1]) * np.float32(0.5)
    spread = float(np.median(np.abs(twist))) * 1.4826
    squares = np.minimum(twist * twist, (TAIL * max(spread, 0.5)) ** 2)
    variance = float(squares.mean(dtype=np.float64))
    sigma = variance**0.5
    black = float(np.mean(frame.black_level))
    scale = 1.0 / (frame.white_level[0] - black)
    off = abs(float(np.mean(raw)) - black)
    clipped = float(np.count_nonzero(raw <= 0)) / raw.size > 1e-3
    whole_noise = float(np.median(np.abs(raw - np.median(raw)))) * 1.4826
    if sigma == 0 or clipped or off > 4 * sigma + 0.005 / scale or whole_noise > 2.5 * sigma + 1.0:
        return None
    return variance * scale * scale
