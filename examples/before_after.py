"""The same crops of several versions of a RAW side by side: rendered plainly, one column a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from plugin_core.frame import LinearImage, RawFrame, Rect
from simulation.cameras import FloatArray, srgb_to_camera, xyz_to_camera
from simulation.isp import render
from simulation.unprocess import SceneColour, linear_to_srgb

__all__ = ["Column", "busiest_crops", "change_crop", "colour_of", "compose", "render_crop"]

PERIOD = 6  # crops start at multiples of it, so that Bayer and X-Trans keep their phase
GAP, TITLE = 6, 26
PAPER, INK = (24, 24, 24), (235, 235, 235)
CHANGE_FULL_SCALE = 3.0  # sigmas that are shown white
FALLBACK_CAMERA = "Sony ILCE-7M3"  # for a file without a colour matrix


@dataclass(frozen=True)
class Column:
    """One version. crops: (h, w, 3) float32 sRGB in [0, 1], one for each row."""

    title: str
    crops: Sequence[FloatArray]


def colour_of(image: RawFrame | LinearImage, signal: FloatArray) -> SceneColour:
    """Matrix, white balance and a brightness that brings the 99th percentile near white, for any file.

    signal: the restored image's, so that noise doesn't set the brightness.
    """
    matrix = image.color.color_matrix_1
    xyz = (
        np.array(matrix, dtype=np.float32).reshape(3, 3)
        if matrix and len(matrix) == 9
        else xyz_to_camera(FALLBACK_CAMERA)
    )
    neutral = image.as_shot_neutral if len(image.as_shot_neutral) == 3 else (1.0, 1.0, 1.0)
    red, green, blue = (neutral[1] / max(value, 1e-6) for value in neutral)
    exposure = float(np.clip(0.9 / max(float(np.percentile(signal[::3, ::3], 99)), 1e-6), 1.0, 64.0))
    return SceneColour(xyz, (red, green, blue), exposure)


def busiest_crops(signal: FloatArray, side: int, count: int) -> list[Rect]:
    """`count` squares that don't overlap, of the most detail first; signal (h, w) or (h, w, 3), best a restored one."""
    grey = signal if signal.ndim == 2 else signal.mean(axis=-1)
    side = min(side, grey.shape[0] // PERIOD * PERIOD, grey.shape[1] // PERIOD * PERIOD)
    rows, columns = grey.shape[0] // side, grey.shape[1] // side
    blocks = np.sqrt(np.clip(grey[: rows * side, : columns * side], 0, 1)).reshape(rows, side, columns, side)
    step = 2 if signal.ndim == 2 else 1  # neighbours of one colour
    detail = np.abs(np.diff(blocks[:, ::step], axis=1)).mean(axis=(1, 3))
    detail += np.abs(np.diff(blocks[..., ::step], axis=3)).mean(axis=(1, 3))
    order = np.argsort(detail, axis=None)[::-1][:count]
    places = [divmod(int(place), columns) for place in order]
    return [Rect(row * side // PERIOD * PERIOD, column * side // PERIOD * PERIOD, side, side) for row, column in places]


def render_crop(image: RawFrame | LinearImage, signal: FloatArray, crop: Rect, colour: SceneColour) -> FloatArray:
    """A crop of `signal` in sRGB by the fixed ISP, (h, w, 3) float32 in [0, 1].

    signal: (h, w) of the frame's active area, or (h, w, 3) for a LinearImage; crop starts at multiples of 6.
    """
    piece = signal[crop.slices]
    if isinstance(image, RawFrame):
        return render(piece, image.cfa.colors, colour)
    gains = np.array(colour.gains, dtype=np.float32) * np.float32(colour.exposure)
    matrix = np.linalg.inv(srgb_to_camera(colour.xyz_to_camera).astype(np.float64)).astype(np.float32)
    return linear_to_srgb((piece * gains) @ matrix.T)


def change_crop(change_map: NDArray[np.uint16], crop: Rect) -> FloatArray:
    """A crop of a change map as grey, black for no change and white for 3 sigma, (h, w, 3) float32 in [0, 1]."""
    sigmas = change_map[crop.slices].astype(np.float32) * (8.0 / 65535.0)
    if sigmas.ndim == 3:
        sigmas = sigmas.mean(axis=-1)
    return np.repeat(np.clip(sigmas / CHANGE_FULL_SCALE, 0, 1)[..., None], 3, axis=-1)


def compose(columns: Sequence[Column]) -> Image.Image:
    """All columns on one sheet with their titles; crops of one size."""
    height, width = columns[0].crops[0].shape[:2]
    rows = len(columns[0].crops)
    sheet = Image.new("RGB", (len(columns) * (width + GAP) - GAP, rows * (height + GAP) - GAP + TITLE), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, column in enumerate(columns):
        left = place * (width + GAP)
        draw.text((left + 4, 4), column.title, fill=INK, font=ImageFont.load_default(15))
        for row, crop in enumerate(column.crops):
            picture = Image.fromarray(np.round(np.clip(crop, 0, 1) * 255).astype(np.uint8))
            sheet.paste(picture, (left, TITLE + row * (height + GAP)))
    return sheet
