"""Samples as TIFF tiles, in the variants that LibRaw, darktable and RawTherapee all read exactly.

Integers as lossless JPEG of two components of half width, predictor 1; floats with Deflate and TIFF's floating-point
predictor (3); sides that are multiples of 16 and no longer than the image's. Other variants open as garbage in one of
them, without an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import FloatArray, UInt16Array

__all__ = ["encode_float_tiles", "encode_tiles", "tile_side"]

DEFLATE_LEVEL = 2  # of libdeflate's 12: level 6 saves 2 % of a residual's bytes and takes almost twice the time
Sample = TypeVar("Sample", bound=np.generic)
Block = Callable[[int, int, int, int], UInt16Array]  # top, left, height, width -> samples


def tile_side(height: int, width: int, longest: int = 256) -> int:
    """The side of the square tiles for an image; 0 where it is too small for any."""
    side = longest
    while side > min(height, width):
        side //= 2
    return side if side >= 16 else 0


def _padded(block: NDArray[Sample], side: int) -> NDArray[Sample]:
    """The block enlarged to (side, side, ...) by repeating its last two rows and columns, which keeps Bayer's phase."""
    height, width = block.shape[:2]

    def index(length: int) -> NDArray[Any]:
        i = np.arange(side)
        beyond = i >= length
        i[beyond] = max(length - 2, 0) + (i[beyond] - length) % min(2, length)
        return i

    if height < side:
        block = block[index(height)]
    if width < side:
        block = block[:, index(width)]
    return np.ascontiguousarray(block)


def _lossless(tile: UInt16Array) -> bytes:
    if tile.ndim == 3:
        encoded = imagecodecs.jpeg8_encode(
            tile, lossless=True, predictor=1, bitspersample=16, colorspace="RGB", outcolorspace="RGB"
        )
    else:
        pairs = tile.reshape(tile.shape[0], tile.shape[1] // 2, 2)
        encoded = imagecodecs.jpeg8_encode(pairs, lossless=True, predictor=1, bitspersample=16)
    return bytes(encoded)


def encode_tiles(block: Block, height: int, width: int, side: int) -> list[bytes]:
    """The image's tiles in TIFF order, row by row, each (side, side), encoded on all cores.

    block(top, left, height, width) returns the samples, (h, w) or (h, w, 3) uint16; it is called from several threads.
    """

    def encode(place: tuple[int, int]) -> bytes:
        top, left = place
        samples = block(top, left, min(side, height - top), min(side, width - left))
        return _lossless(_padded(samples, side))

    return _on_all_cores(encode, height, width, side)


def encode_float_tiles(samples: NDArray[np.float16] | FloatArray, side: int) -> list[bytes]:
    """The tiles of (h, w) float16 or float32 samples in TIFF order, each (side, side), encoded on all cores."""

    def encode(place: tuple[int, int]) -> bytes:
        top, left = place
        tile = _padded(samples[top : top + side, left : left + side], side)
        predicted = imagecodecs.floatpred_encode(tile, axis=1)
        return bytes(imagecodecs.deflate_encode(predicted.tobytes(), DEFLATE_LEVEL))

    height, width = samples.shape
    return _on_all_cores(encode, height, width, side)


def _on_all_cores(encode: Callable[[tuple[int, int]], bytes], height: int, width: int, side: int) -> list[bytes]:
    """What `encode` makes of each tile's (top, left), in TIFF order."""
    places = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        return list(pool.map(encode, places))
