"""Strength after the fact: arithmetic on the residual that the network left, without running it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from plugin_core.errors import OptionError
from plugin_core.frame import CfaKind, CfaPattern, FloatArray, LinearImage, NoiseProfile, RawFrame, UInt16Array
from plugin_core.noise.profile import variance
from plugin_core.ops.denoise import Residual

__all__ = ["CHANGE_MAP_SIGMAS", "BlendOptions", "apply", "change_map", "full_mask", "parts", "remaining_noise"]

CHANGE_MAP_SIGMAS = 8.0  # what 65535 in a change map stands for
ROWS_AT_ONCE = 510  # arithmetic goes in strips, so that memory stays small; a multiple of every CFA's period


@dataclass(frozen=True)
class BlendOptions:
    """How much of the residual is taken out; each 0..1.

    strength: all of it. luma: the part that all colours share and the fine grain. chroma: the coarser part by which
    one colour departs from the others: colour blotches.
    """

    strength: float = 1.0
    luma: float = 1.0
    chroma: float = 1.0

    def __post_init__(self) -> None:
        for name in ("strength", "luma", "chroma"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise OptionError(f"{name} is {value:g}, expected 0 to 1", "OPTION_RANGE", {"option": name})

    @property
    def identity(self) -> bool:
        """True if nothing is taken out at all."""
        return self.strength == 0.0 or (self.luma == 0.0 and self.chroma == 0.0)


def _blurred(cells: FloatArray) -> FloatArray:
    """The 3x3 binomial mean of (h, w), edges repeated."""
    padded = np.pad(cells, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    blurred: FloatArray = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)
    return blurred


def _cell_means(residual: Residual, cfa: CfaPattern) -> list[FloatArray]:
    """The mean residual of each colour over cells that hold all three: 2x2 photosites for Bayer, 3x3 for X-Trans.

    Each (ceil(h / size), ceil(w / size)) float32. The last rows and columns that don't fill a whole period of the CFA
    take the means of their neighbours.
    """
    period, size = cfa.period, _cell_size(cfa)
    height, width = (side - side % period for side in residual.shape)
    step = period // size
    counts = np.zeros((3, step, step), dtype=np.float32)
    means = [np.zeros((height // size, width // size), dtype=np.float32) for _ in range(3)]
    for row in range(period):
        for column in range(period):
            color, cell = cfa.colors[row][column], (row // size, column // size)
            means[color][cell[0] :: step, cell[1] :: step] += residual[row:height:period, column:width:period]
            counts[color][cell] += 1
    missing = tuple(-(-side // size) - mean for side, mean in zip(residual.shape, means[0].shape, strict=True))
    for color in range(3):
        for cell in np.ndindex(step, step):
            means[color][cell[0] :: step, cell[1] :: step] /= counts[color][cell]
        means[color] = np.pad(means[color], ((0, missing[0]), (0, missing[1])), mode="edge")
    return means


def _cell_size(cfa: CfaPattern) -> int:
    return 2 if cfa.kind is CfaKind.BAYER else 3


class ChromaPart:
    """The coarse colour part of a mosaic's residual: each colour's local mean less the common one."""

    def __init__(self, residual: Residual, cfa: CfaPattern) -> None:
        self._cfa, self._shape = cfa, residual.shape
        self._coarse: list[FloatArray] = []
        if min(residual.shape) >= cfa.period:
            means = _cell_means(residual, cfa)
            common = 0.25 * means[0] + 0.5 * means[1] + 0.25 * means[2]
            self._coarse = [_blurred(mean - common) for mean in means]

    def rows(self, top: int, count: int) -> FloatArray:
        """Rows top .. top + count - 1, (count, w) float32; top is a multiple of the CFA's period."""
        part = np.zeros((count, self._shape[1]), dtype=np.float32)
        if not self._coarse:
            return part
        period, size = self._cfa.period, _cell_size(self._cfa)
        step = period // size
        for row in range(period):
            for column in range(period):
                place = part[row::period, column::period]
                coarse = self._coarse[self._cfa.colors[row][column]]
                place[:] = coarse[(top + row) // size :: step, column // size :: step][
                    : place.shape[0], : place.shape[1]
                ]
        return part


def full_mask(image: RawFrame | LinearImage, mask: FloatArray) -> FloatArray:
    """A mask of the active area's size from one of that size or of the default crop's. Raises OptionError."""
    crop = image.default_crop
    if isinstance(image, RawFrame):
        size = (image.active_area.height, image.active_area.width)
    else:
        size = (image.pixels.shape[0], image.pixels.shape[1])
    if mask.shape == size:
        return mask
    if mask.shape == (crop.height, crop.width):
        below, right = size[0] - crop.bottom, size[1] - crop.right
        return np.pad(mask, ((crop.top, below), (crop.left, right)), mode="edge")
    raise OptionError(
        f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the picture {crop.width} x {crop.height}"
        f" (or {size[1]} x {size[0]} with its margins)",
        "MASK_SIZE",
    )


def apply(
    image: RawFrame | LinearImage,
    residual: Residual,
    options: BlendOptions,
    mask: FloatArray | None = None,
) -> RawFrame | LinearImage:
    """The image with its noise taken out as far as `options` and `mask` say; float32 raw units, unrounded.

    residual: as ops.denoise.restore gives it. mask: (h, w) 0..1 over the active area or the default crop.
    Where nothing is to be done (strength 0) the image itself comes back, to the bit.
    Raises OptionError if the mask's size fits neither.
    """
    if options.identity:
        return image
    weights = full_mask(image, mask) if mask is not None else None
    if isinstance(image, RawFrame):
        samples = image.mosaic.astype(np.float32)
        target = samples[image.active_area.slices]
    else:
        samples = image.pixels.astype(np.float32)
        target = samples
    weigh = _weigher(image, residual, options)
    for top in range(0, target.shape[0], ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        change = weigh(rows, residual[rows].astype(np.float32))
        change *= np.float32(options.strength)
        if weights is not None:
            share = weights[rows]
            change *= share[..., None] if change.ndim == 3 else share
        target[rows] -= change
    if isinstance(image, RawFrame):
        return replace(image, mosaic=samples)
    return replace(image, pixels=samples)


def _weigher(
    image: RawFrame | LinearImage, residual: Residual, options: BlendOptions
) -> Callable[[slice, FloatArray], FloatArray]:
    """What applies the luma and chroma weights to a strip of the residual, in place."""
    luma, chroma = np.float32(options.luma), np.float32(options.chroma)

    def evenly(_rows: slice, change: FloatArray) -> FloatArray:
        change *= luma
        return change

    def by_channel(_rows: slice, change: FloatArray) -> FloatArray:
        common = change @ np.array([0.25, 0.5, 0.25], dtype=np.float32)
        change *= chroma
        change += (luma - chroma) * common[..., None]
        return change

    if luma == chroma or (isinstance(image, RawFrame) and image.cfa.kind is CfaKind.MONOCHROME):
        return evenly
    if isinstance(image, LinearImage):
        return by_channel
    part = ChromaPart(residual, image.cfa)

    def by_cell(rows: slice, change: FloatArray) -> FloatArray:
        change *= luma
        change += (chroma - luma) * part.rows(rows.start, change.shape[0])
        return change

    return by_cell


def parts(residual: Residual, cfa: CfaPattern) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The residual of a mosaic in strips of consecutive rows, as (luma part, chroma part), (n, w) float32 each.

    What `apply` takes out is strength * (luma * luma part + chroma * chroma part): a host can do that by itself.
    """
    chroma = ChromaPart(residual, cfa) if cfa.kind is not CfaKind.MONOCHROME else None
    for top in range(0, residual.shape[0], ROWS_AT_ONCE):
        change = residual[top : top + ROWS_AT_ONCE].astype(np.float32)
        colored = chroma.rows(top, len(change)) if chroma else np.zeros_like(change)
        change -= colored
        yield change, colored


def change_map(image: RawFrame | LinearImage, residual: Residual, profile: NoiseProfile) -> UInt16Array:
    """|residual| / sigma, (h, w) uint16, 65535 = CHANGE_MAP_SIGMAS; the largest channel of a linear image.

    sigma is the noise that the profile gives at the restored level. Values near 1 (8192) are noise taken out; larger
    ones mark where more than noise was changed.
    """
    if isinstance(image, RawFrame):
        samples = image.mosaic[image.active_area.slices]
        black, white = image.black_map(), image.white_map()
        colors = image.cfa.color_map(*samples.shape)
    else:
        samples, colors = image.pixels, None
        black = np.broadcast_to(np.array(image.black_level, dtype=np.float32), samples.shape)
        white = np.broadcast_to(np.array(image.white_level, dtype=np.float32), samples.shape)
    result = np.empty(samples.shape[:2], dtype=np.uint16)
    for top in range(0, samples.shape[0], ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        span = white[rows] - black[rows]
        change = residual[rows].astype(np.float32)
        level = (samples[rows] - change - black[rows]) / span
        here = colors[rows] if colors is not None else None
        sigma = np.sqrt(variance(level, profile, here)) * span
        sigmas = np.abs(change) / np.maximum(sigma, 1e-6)
        if sigmas.ndim == 3:
            sigmas = sigmas.max(axis=-1)
        result[rows] = np.round(np.minimum(sigmas / CHANGE_MAP_SIGMAS, 1.0) * 65535)
    return result


def remaining_noise(profile: NoiseProfile, options: BlendOptions, left_share: float) -> NoiseProfile | None:
    """The noise profile of the result, or None where it isn't known (a mask is the caller's to know).

    left_share: the share of sigma that the model leaves on a flat field at full strength (Manifest.remaining_noise).
    Luma and chroma set apart leave noise that no (a, b) describes; then None.
    """
    if options.identity:
        return profile
    if options.luma != options.chroma:
        return None
    taken = options.strength * options.luma
    share = (1.0 - taken * (1.0 - left_share)) ** 2
    return replace(
        profile,
        a=tuple(v * share for v in profile.a),
        b=tuple(v * share for v in profile.b),
        detail=f"{profile.detail}; {100 * share**0.5:.0f} % of its sigma left".lstrip("; "),
    )
