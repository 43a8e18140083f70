"""Which integers a mosaic is written as: black, white and step, chosen so that nothing is cut and nothing bands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from plugin_core.frame import FloatArray, NoiseProfile, RawFrame, UInt16Array

__all__ = ["Levels", "choose_levels", "quantised", "repeated"]

FULL = 65535
LEAST_RANGE = 8192  # white above black of a 14-bit camera: coarser sources are stretched
SPARE_PEDESTAL = 256  # for sources that have no black level of their own, as DNG converters write it


@dataclass(frozen=True)
class Levels:
    """What is written: sample = (raw - black of its position) * scale + black, rounded; one black for all positions.

    Where samples are written as they are, black may be fractional, and the tag holds the source's blacks.
    """

    black: float
    white: int
    scale: float
    unchanged: bool  # uint16 samples go through untouched
    notes: tuple[str, ...] = ()


def choose_levels(frame: RawFrame, remaining_noise: NoiseProfile | None) -> Levels:
    """The levels for this frame's samples.

    An untouched uint16 mosaic is written as it is if it has one black level, or if 2x2 of them lie within 1: LibRaw
    cuts the means of masked pixels to integers, and hosts do the same with the source. Float mosaics are stretched by
    a power of two until white is at least 14-bit and a step is at most two sigma of the remaining noise at black, while
    it fits into 16 bits; the pedestal is raised where values lie below zero. RawTherapee mixes up the greens' black
    levels, so different ones become one (the difference goes into the samples).
    """
    blacks = np.array(frame.black_level, dtype=np.float64)
    whites = frame.white_level
    whole = frame.mosaic.dtype == np.uint16
    near = np.ptp(blacks) <= (1 if blacks.size == 4 else 0)
    if whole and len(set(whites)) == 1 and near:
        return Levels(float(blacks.max()), round(whites[0]), 1.0, True)
    low, reference = float(frame.mosaic.min()), float(blacks.min())
    reach = max(float(frame.mosaic.max()), *whites) - reference
    span = max(whites) - reference
    below = max(float(blacks.max()) - max(low, 0.0) if whole else float(blacks.max()) - low, 0.0)
    notes: list[str] = []

    def pedestal(scale: float) -> int:
        needed = math.ceil(below * scale)
        own = math.ceil(float(blacks.max()) * scale)
        return own if needed <= own else max(needed, SPARE_PEDESTAL)

    def fits(scale: float) -> bool:
        return pedestal(scale) + math.ceil(reach * scale) <= FULL

    scale = 1.0
    if not fits(scale):
        scale = (FULL - 2) / (pedestal(1.0) + reach)
        scale = math.floor(span * scale) / span  # white falls on an integer: no gain error
    elif not whole:
        sigma = math.sqrt(min(remaining_noise.b)) * span if remaining_noise is not None else math.inf
        while (span * scale < LEAST_RANGE or sigma * scale < 0.5) and fits(2 * scale):
            scale *= 2
    black = pedestal(scale)
    white = black + round(span * scale)
    if scale != 1:
        reason = "so that shadows don't band" if scale > 1 else "to hold the values below black in 16 bits"
        notes.append(f"levels rescaled by {scale:g} {reason}: black {black}, white {white}")
    if not (blacks == blacks.flat[0]).all():
        notes.append(f"black levels {blacks.min():g} to {blacks.max():g} made equal: {black}")
    elif scale == 1 and black != blacks.flat[0]:
        notes.append(f"black level raised from {blacks.flat[0]:g} to {black} for values below it; white {white}")
    return Levels(black, white, scale, False, tuple(notes))


def repeated(rows: tuple[tuple[float, ...], ...], top: int, left: int, height: int, width: int) -> FloatArray:
    """The repeating rows as a (height, width) float32 block that starts at (top, left) of the repetition."""
    tile = np.array(rows, dtype=np.float32)
    n, m = tile.shape
    tile = np.roll(tile, (-(top % n), -(left % m)), (0, 1))
    return np.tile(tile, (-(-height // n), -(-width // m)))[:height, :width]


def quantised(frame: RawFrame, levels: Levels, top: int, left: int, height: int, width: int) -> UInt16Array:
    """A block of the mosaic as it is written, (height, width) uint16; (top, left) counts from mosaic[0, 0].

    A photosite at or above white is written at or above levels.white, whatever its black level.
    """
    block = frame.mosaic[top : top + height, left : left + width]
    if levels.unchanged:
        return np.ascontiguousarray(block).astype(np.uint16, copy=False)
    from_origin = (top - frame.active_area.top, left - frame.active_area.left)
    shape = block.shape
    reference = min(min(row) for row in frame.black_level)
    mixed_whites = len(set(frame.white_level)) > 1
    mixed_blacks = len({value for row in frame.black_level for value in row}) > 1
    black: FloatArray | float = (
        repeated(frame.black_level, *from_origin, *shape) if mixed_blacks else frame.black_level[0][0]
    )
    values = block.astype(np.float32)
    values -= np.float32(black) if isinstance(black, float) else black
    white: FloatArray | float = max(frame.white_level)
    if mixed_whites:
        rows = tuple(tuple(frame.white_level[c] for c in row) for row in frame.cfa.colors)
        white = repeated(rows, *from_origin, *shape)
        values *= (max(frame.white_level) - reference) / (white - reference)
    if levels.scale != 1:
        values *= np.float32(levels.scale)
    values += np.float32(levels.black)
    np.rint(values, out=values)
    if mixed_blacks or mixed_whites:
        np.maximum(values, np.float32(levels.white), out=values, where=block >= white)
    np.clip(values, 0, FULL, out=values)
    return values.astype(np.uint16)
