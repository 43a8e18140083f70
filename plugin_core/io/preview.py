"""A quick sRGB rendering for DNG previews and thumbnails: binned, not demosaiced; not rotated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import CfaKind, ColorCalibration, FloatArray, LinearImage, RawFrame

__all__ = ["render_preview", "shrink"]

Picture = NDArray[np.uint8]

# linear sRGB -> XYZ (D65), IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
D65 = 21


def render_preview(image: RawFrame | LinearImage, longest: int = 1600) -> Picture:
    """The picture inside its default crop as sRGB, (h, w, 3) uint8, no side longer than about `longest`."""
    rgb = _binned(image, longest) if isinstance(image, RawFrame) else _reduced(image, longest)
    mono = rgb.shape[2] == 1
    return _toned(np.repeat(rgb, 3, axis=2) if mono else _colored(rgb, image.as_shot_neutral, image.color))


def _block(height: int, width: int, longest: int, smallest: int) -> int:
    """How many pixels a side go into one of the preview's: smallest * 2^k."""
    block = smallest
    while max(height, width) / block > longest and min(height, width) >= 4 * block:
        block *= 2
    return block


def _binned(frame: RawFrame, longest: int) -> FloatArray:
    """Mean signal of each colour in square blocks of the default crop, (h, w, planes) float32.

    Bayer blocks are multiples of 2x2. X-Trans blocks are 3x3 or multiples: each 3x3 of X-Trans holds all three colours.
    """
    area, crop = frame.active_area, frame.default_crop
    top, left = area.top + crop.top, area.left + crop.left
    cfa = frame.cfa.shifted(crop.top, crop.left) if frame.cfa.period > 1 else frame.cfa
    smallest = {CfaKind.BAYER: 2, CfaKind.XTRANS: 3, CfaKind.MONOCHROME: 1}[cfa.kind]
    block = _block(crop.height, crop.width, longest, smallest)
    rows, columns = crop.height // block, crop.width // block
    if rows == 0 or columns == 0:
        return np.full((1, 1, cfa.plane_count), 0.5, np.float32)
    blacks = np.array(frame.black_level)
    sums = np.zeros((rows, columns, cfa.plane_count), np.float32)
    counts = np.zeros((rows, columns, cfa.plane_count), np.float32)
    step = 2 if cfa.kind is CfaKind.XTRANS and block == 3 else 1  # 3x3 blocks alternate, 6x6 ones repeat
    for i in range(block):
        for j in range(block):
            for pi in range(step):
                for pj in range(step):
                    y, x = pi * block + i, pj * block + j
                    color = cfa.colors[y % cfa.period][x % cfa.period]
                    black = blacks[(crop.top + y) % blacks.shape[0], (crop.left + x) % blacks.shape[1]]
                    white = frame.white_level[color]
                    place = (slice(pi, None, step), slice(pj, None, step), color)
                    target = sums[place]
                    taken = frame.mosaic[top + y :: step * block, left + x :: step * block]
                    taken = taken[: target.shape[0], : target.shape[1]]
                    target += (taken.astype(np.float32) - np.float32(black)) / np.float32(white - black)
                    counts[place] += 1
    means: FloatArray = (sums / np.maximum(counts, 1)).astype(np.float32)
    return means


def _reduced(image: LinearImage, longest: int) -> FloatArray:
    """The default crop's signal, box-averaged, (h, w, 3) float32."""
    crop = image.default_crop
    block = _block(crop.height, crop.width, longest, 1)
    rows, columns = crop.height // block, crop.width // block
    black = np.array(image.black_level, np.float32)
    white = np.array(image.white_level, np.float32)
    total = np.zeros((rows, columns, 3), np.float32)
    for i in range(block):
        for j in range(block):
            total += image.pixels[crop.top + i :: block, crop.left + j :: block][:rows, :columns]
    signal: FloatArray = (total / np.float32(block**2) - black) / (white - black)
    return signal


def _colored(rgb: FloatArray, neutral: tuple[float, ...], color: ColorCalibration) -> FloatArray:
    """Camera RGB to linear sRGB: white balance, then the matrix of the illuminant nearest to daylight."""
    if len(neutral) == 3:
        # Clipped highlights must end up white, not tinted: the smallest gain is 1 and all clip together.
        rgb = (np.minimum(rgb, 1) / np.array(neutral, np.float32)).astype(np.float32)
        rgb = np.minimum(rgb, 1)
    matrix = color.color_matrix_1
    if color.color_matrix_2 is not None and color.calibration_illuminant_1 != D65:
        matrix = color.color_matrix_2
    if matrix is None or len(matrix) != 9:
        return rgb
    to_camera = np.array(matrix).reshape(3, 3) @ SRGB_TO_XYZ
    sums = to_camera.sum(axis=1, keepdims=True)
    if np.any(np.abs(sums) < 1e-6) or abs(np.linalg.det(to_camera)) < 1e-9:
        return rgb
    linear: FloatArray = rgb @ np.linalg.inv(to_camera / sums).T.astype(np.float32)
    return linear


def _toned(linear: FloatArray) -> Picture:
    """Simple exposure (the brightest percent just below white, gain 1..8) and the sRGB curve, uint8."""
    brightest = float(np.percentile(linear[::4, ::4].max(axis=2), 99)) if linear.size else 1.0
    gain = min(max(0.9 / max(brightest, 1e-6), 1.0), 8.0)
    x = np.clip(linear * np.float32(gain), 0, 1)
    curve = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, np.float32(1 / 2.4)) - 0.055)
    return np.ascontiguousarray(np.rint(curve * 255).astype(np.uint8))


def shrink(picture: Picture, longest: int) -> Picture:
    """The picture box-averaged so that no side is longer than `longest`, (h, w, 3) uint8."""
    block = -(-max(picture.shape[:2]) // longest)
    rows, columns = max(picture.shape[0] // block, 1), max(picture.shape[1] // block, 1)
    cut = picture[: rows * block, : columns * block]
    if block == 1 or cut.shape[0] < block or cut.shape[1] < block:
        return np.ascontiguousarray(picture[:longest, :longest])
    blocks = cut.reshape(rows, block, columns, block, 3).mean(axis=(1, 3))
    return np.ascontiguousarray(np.rint(blocks).astype(np.uint8))
