"""The values of a residual DNG, and what RawTherapee makes of them when it subtracts them as a dark frame.

RawTherapee computes max(raw + black - dark, 0) and takes its black off later. With dark = raw - s it goes on with the
signal s, whatever it thinks the black level is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from plugin_core.frame import CfaKind, CfaPattern, FloatArray, NoiseProfile, RawFrame, Rect
from plugin_core.io.levels import repeated

__all__ = ["Encoding", "HostResidual", "choose_encoding", "false_hot_pixels", "make_residual", "refusal"]

ROWS_AT_ONCE = 512  # arithmetic goes in strips, so that memory stays small
HOT_FACTOR = 1.25  # RawTherapee 5.9 and 5.11, rtengine/dfmanager.cc: hot where above this share of 8 neighbours' sum
LARGEST_HOT_SHARE = 0.001  # of photosites; that many interpolated ones cost more than the noise they had
LEAST_BLACK_SIGMAS = 3.0  # below it dark noise often reaches the sum of its neighbours
NEGATIVES_PER_MEGAPIXEL = 10  # so few may be cut to 0,
LARGEST_CUT = 1e-5  # and by so much, root mean square of all samples, as a share of white - black: 100 dB


class Encoding(Enum):
    """How samples are stored; each holds what it is chosen for exactly, or (UINT16) all but a few negative ones."""

    UINT16 = "uint16"  # lossless JPEG
    FLOAT16 = "float16"  # Deflate with the floating-point predictor
    FLOAT32 = "float32"


@dataclass(frozen=True)
class HostResidual:
    """Source minus restored signal over the area that a host works on.

    samples: (h, w) float32, raw units of the source, multiples of `step`; about the black level where nothing changed.
    cfa: from the samples' origin. span: white - black. false_hot_pixels: what the host would find in them.
    black_sigmas: the black level over the standard deviation of the noise at black.
    """

    samples: FloatArray
    cfa: CfaPattern
    host_area: Rect
    step: float
    span: float
    false_hot_pixels: int
    black_sigmas: float


def make_residual(
    source: RawFrame, restored: RawFrame, profile: NoiseProfile, scale: float, host_area: Rect
) -> HostResidual:
    """The residual whose subtraction leaves the samples that a restored DNG of the same `scale` holds, to the bit.

    restored: the source's frame with other samples. scale: of the restored DNG's levels (io.levels); the signal is
    rounded to 1 / scale where that is finer than the source's own steps, else to those.
    host_area: inside the sensor frame; the photosites around the active area keep their values.
    """
    fine = np.float32(max(scale, 1.0))
    samples = np.empty((host_area.height, host_area.width), dtype=np.float32)
    columns = slice(host_area.left, host_area.right)
    area = source.active_area
    for top in range(0, host_area.height, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, host_area.height - top)
        first = host_area.top + top
        rows = slice(first, first + count)
        blacks = repeated(source.black_level, first - area.top, host_area.left - area.left, count, host_area.width)
        signal = restored.mosaic[rows, columns].astype(np.float32)
        signal -= blacks
        signal *= fine
        np.rint(signal, out=signal)
        signal /= fine
        np.subtract(source.mosaic[rows, columns], signal, out=samples[top : top + count])
    cfa = source.cfa.shifted(host_area.top - area.top, host_area.left - area.left)
    hot = false_hot_pixels(samples, cfa.kind)
    step = 1.0 / float(fine) if source.mosaic.dtype == np.uint16 else 0.0
    black = min(min(row) for row in source.black_level)
    span = max(source.white_level) - black
    sigma = math.sqrt(max(profile.b)) * span
    black_sigmas = black / sigma if sigma > 0 else math.inf
    return HostResidual(samples, cfa, host_area, step, span, hot, black_sigmas)


def _strips(height: int, margin: int) -> Iterator[slice]:
    """Rows to look at, each strip with `margin` rows of its neighbours on both sides."""
    for top in range(margin, height - margin, ROWS_AT_ONCE):
        yield slice(top - margin, min(top + ROWS_AT_ONCE, height - margin) + margin)


def false_hot_pixels(dark: FloatArray, kind: CfaKind) -> int:
    """How many photosites of a (h, w) dark frame RawTherapee takes for hot: above 1.25 times the sum of 8 neighbours.

    The neighbours are two rows and columns away, whatever the mosaic; in a monochrome frame they are the next ones.
    """
    down = across = 1 if kind is CfaKind.MONOCHROME else 2
    height, width = dark.shape
    if height <= 2 * down or width <= 2 * across:
        return 0
    found = 0
    for rows in _strips(height, down):
        strip = dark[rows]
        middle = strip[down:-down]
        sums = strip[: -2 * down] + middle + strip[2 * down :]
        neighbours = sums[:, : -2 * across] + sums[:, across:-across] + sums[:, 2 * across :]
        centre = middle[:, across:-across]
        neighbours -= centre
        neighbours *= np.float32(HOT_FACTOR)
        found += int(np.count_nonzero(centre > neighbours))
    return found


def refusal(residual: HostResidual) -> str:
    """Why RawTherapee would spoil the picture with this residual, in one line; "" if it would not."""
    share = residual.false_hot_pixels / residual.samples.size
    if share > LARGEST_HOT_SHARE:
        return (
            f"RawTherapee would take {100 * share:.2g} % of the photosites for hot pixels"
            f" (the black level is {residual.black_sigmas:.2g} sigma of the noise)"
        )
    if residual.black_sigmas < LEAST_BLACK_SIGMAS:
        return (
            f"the black level is {residual.black_sigmas:.2g} sigma of the noise, less than the"
            f" {LEAST_BLACK_SIGMAS:g} from which RawTherapee tells noise from hot pixels"
        )
    return ""


def choose_encoding(residual: HostResidual) -> Encoding:
    """The smallest encoding that keeps the samples: integers but for a few negatives, float16 where exact, float32."""
    samples = residual.samples
    if residual.step == 1.0 and samples.max() <= 65535:
        cut = samples[samples < 0].astype(np.float64)
        few = cut.size * 1_000_000 < NEGATIVES_PER_MEGAPIXEL * samples.size
        if few and float((cut**2).sum()) <= (LARGEST_CUT * residual.span) ** 2 * samples.size:
            return Encoding.UINT16
    # float16 has 11 bits: multiples of the step are exact up to 2048 steps, and further where they happen to fit
    if max(float(samples.max()), -float(samples.min())) > 65504:
        return Encoding.FLOAT32
    for top in range(0, samples.shape[0], ROWS_AT_ONCE):
        strip = samples[top : top + ROWS_AT_ONCE]
        if not np.array_equal(strip.astype(np.float16), strip):
            return Encoding.FLOAT32
    return Encoding.FLOAT16
