"""Whether two decoded images agree in geometry, levels and pixels, as far as restoring leaves those alone."""

from __future__ import annotations

import numpy as np

from plugin_core.frame import FloatArray, LinearImage, RawFrame, Rect
from plugin_core.io.source_file import Check, CheckGroup

__all__ = ["check_geometry", "check_levels", "check_pixels"]

MEAN_TOLERANCE = 0.005  # of white: restoring keeps means far better; another picture doesn't
UNSATURATED_TOLERANCE = 0.001  # share of the saturated photosites that may fall below white


def _area(image: RawFrame | LinearImage) -> Rect:
    if isinstance(image, RawFrame):
        return image.active_area
    return Rect(0, 0, *image.pixels.shape[:2])


def check_geometry(before: RawFrame | LinearImage, after: RawFrame | LinearImage) -> CheckGroup:
    """Sizes of the active area, the default crop and the CFA's phase; masked borders may have been left out."""
    lost, detail, state = [], "", Check.KEPT
    one, other = _area(before), _area(after)
    if (one.height, one.width) != (other.height, other.width):
        lost.append(f"active area: {one.height}x{one.width} became {other.height}x{other.width}")
    if before.default_crop != after.default_crop:
        lost.append(f"default crop: {before.default_crop} became {after.default_crop}")
    if isinstance(before, RawFrame) and isinstance(after, RawFrame):
        if before.cfa != after.cfa:
            lost.append(f"CFA: {before.cfa.name} became {after.cfa.name}")
        if before.mosaic.shape != after.mosaic.shape:
            state, detail = Check.CHANGED, "masked borders left out"
    elif isinstance(before, RawFrame):
        state, detail = Check.CHANGED, "demosaiced"
    elif isinstance(after, RawFrame):
        lost.append("a linear picture became a mosaic")
    size = f"{other.height}x{other.width}"
    return CheckGroup("Geometry", Check.LOST if lost else state, f"{size}, {detail}" if detail else size, tuple(lost))


def _levels(image: RawFrame | LinearImage) -> str:
    rows = image.black_level if isinstance(image, RawFrame) else (image.black_level,)
    blacks = sorted({value for row in rows for value in row})
    whites = sorted(set(image.white_level))
    return f"black {'-'.join(f'{v:g}' for v in blacks)}, white {'-'.join(f'{v:g}' for v in whites)}"


def check_levels(before: RawFrame | LinearImage, after: RawFrame | LinearImage) -> CheckGroup:
    """Black and white as numbers: other numbers are fine, the samples moved with them (the pixel check proves it)."""
    one, other = _levels(before), _levels(after)
    if one == other:
        return CheckGroup("Levels", Check.KEPT, one)
    return CheckGroup("Levels", Check.CHANGED, f"{one} became {other}")


def _planes(image: RawFrame | LinearImage) -> list[FloatArray]:
    """Signals of each colour, every fourth row and column of cells: enough for means, and light on memory."""
    if isinstance(image, LinearImage):
        signal = image.signal() if image.pixels.size < 3_000_000 else _thinned(image).signal()
        return [signal[..., c] for c in range(3)]
    n = image.cfa.period
    black = image.black_map()[:n, :n]
    area = image.mosaic[image.active_area.slices]
    found: list[list[FloatArray]] = [[] for _ in range(image.cfa.plane_count)]
    for i in range(min(n, area.shape[0])):
        for j in range(min(n, area.shape[1])):
            color = image.cfa.colors[i][j]
            white = image.white_level[color]
            values = area[i :: 2 * n, j :: 2 * n].astype(np.float32)
            found[color].append(((values - black[i, j]) / np.float32(white - black[i, j])).ravel())
    return [np.concatenate(parts) for parts in found]


def _thinned(image: LinearImage) -> LinearImage:
    return LinearImage(image.pixels[::4, ::4], image.black_level, image.white_level, image.default_crop)


def check_pixels(before: RawFrame | LinearImage, after: RawFrame | LinearImage) -> CheckGroup:
    """Means of each colour within 0.5 % of white, and saturated photosites still saturated."""
    one, other = _area(before), _area(after)
    if (one.height, one.width) != (other.height, other.width):
        return CheckGroup("Pixels", Check.LOST, "", ("not comparable: the sizes differ",))
    lost = []
    old, new = _planes(before), _planes(after)
    shift = 0.0
    for color, (a, b) in enumerate(zip(old, new, strict=False)):
        difference = float(np.clip(b, None, 1).mean() - np.clip(a, None, 1).mean())
        shift = max(shift, abs(difference))
        if abs(difference) > MEAN_TOLERANCE:
            lost.append(f"mean of plane {color}: moved by {100 * difference:+.2f} % of white")
    if isinstance(before, RawFrame) and isinstance(after, RawFrame):
        clipped = before.saturated()
        total = int(clipped.sum())
        fallen = int((clipped & ~after.saturated()).sum())
        if fallen > UNSATURATED_TOLERANCE * total:
            lost.append(f"{fallen} of {total} saturated photosites are below white")
    return CheckGroup(
        "Pixels", Check.LOST if lost else Check.KEPT, f"means within {100 * shift:.3f} % of white", tuple(lost)
    )
