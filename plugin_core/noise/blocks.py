"""Noise and texture of many small blocks of a frame: what the fit of a noise profile looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_core.frame import FloatArray, LinearImage, RawFrame
from plugin_core.noise.quads import Quad, QuadPlan, linear_quads, mosaic_quads

__all__ = ["CELLS", "BlockTable", "measure_blocks", "quantisation_step"]

CELLS = 2  # cells along a block's side: 8x8 photosites of Bayer, 12x12 of X-Trans; 3 and 4 had more failures in texture
PIXEL_BUDGET = 3_000_000  # photosites that are looked at; strips of blocks are spread evenly over larger frames
SATURATION = 0.98  # of white: a block that reaches this is left out
PILE = 1e-3  # share of photosites at the lowest value from which on the file counts as clipped there


@dataclass(frozen=True)
class BlockTable:
    """G groups of quads (a Bayer phase, a set of X-Trans sites) x N blocks, float32 signal units unless stated.

    color (G,): colour plane of each group. level (G, N): mean. twist (G, N, K): the K noise samples of each block.
    step (G, N): mean square of the steps along u and v, which hold the noise and more of the picture than the twist.
    common (N,): mean product of the steps of two groups, which holds what the picture has in both and no noise.
    usable (N,) bool: no photosite near saturation.
    floor (G,): signal below which nothing survives in this file (old Nikon clips at black); -inf if nothing piles up.
    quantum: quantisation step, 0 for float files.
    """

    color: NDArray[np.intp]
    level: FloatArray
    twist: FloatArray
    step: FloatArray
    common: FloatArray
    usable: NDArray[np.bool_]
    floor: FloatArray
    quantum: float


@dataclass(frozen=True)
class Levels:
    """Black and white of one quad's four photosites, raw units."""

    black: tuple[float, ...]
    white: float

    @property
    def scale(self) -> float:
        """Signal per raw unit."""
        return 1.0 / max(self.white - self.black[0], 1e-6)


def measure_blocks(image: RawFrame | LinearImage) -> BlockTable | None:
    """The blocks of a picture, about PIXEL_BUDGET photosites of it, always the same ones; None if it is too small."""
    if isinstance(image, RawFrame):
        plan, pixels = mosaic_quads(image.cfa), image.mosaic[image.active_area.slices][..., None]
    else:
        plan, pixels = linear_quads(image.pixels.shape[2]), image.pixels
    side = plan.cell * CELLS
    rows, columns = (pixels.shape[0] - plan.reach) // side, (pixels.shape[1] - plan.reach) // side
    if rows < 1 or columns < 1 or rows * columns < 16:
        return None
    every = max(1, round(pixels.shape[0] * pixels.shape[1] / PIXEL_BUDGET))
    tops = np.arange(min(every // 2, rows - 1), rows, every) * side
    width = columns * side + plan.reach
    strips = np.stack([pixels[top : top + side + plan.reach, :width] for top in tops])
    levels = [quad_levels(image, quad) for quad in plan.quads]
    parts = [measure_quad(strips, plan, quad, level) for quad, level in zip(plan.quads, levels, strict=True)]
    lowest = pile_level(strips, min(min(level.black) for level in levels))
    return BlockTable(
        color=np.array([quad.color for quad in plan.quads]),
        level=np.stack([part.level for part in parts]),
        twist=np.stack([part.twist for part in parts]),
        step=np.stack([part.step for part in parts]),
        common=common_steps([part.diagonals for part in parts]),
        usable=np.all([part.usable for part in parts], axis=0),
        floor=np.array([(lowest - v.black[0]) * v.scale for v in levels], dtype=np.float32),
        quantum=quantisation_step(strips) * min(level.scale for level in levels),
    )


def quad_levels(image: RawFrame | LinearImage, quad: Quad) -> Levels:
    """Levels under a quad; the black pattern (1, 2 or 6 wide) repeats within every cell."""
    white = image.white_level[min(quad.color, len(image.white_level) - 1)]
    if isinstance(image, LinearImage):
        return Levels((image.black_level[quad.color],) * 4, white)
    pattern = image.black_level
    return Levels(tuple(pattern[r % len(pattern)][c % len(pattern[0])] for r, c in quad.places), white)


@dataclass(frozen=True)
class Group:
    """One group in all blocks: level (N,), twist (N, K), step (N,), usable (N,).

    diagonals (2, N, K): the steps along u + v and u - v, times the root of 2.
    """

    level: FloatArray
    twist: FloatArray
    step: FloatArray
    usable: NDArray[np.bool_]
    diagonals: FloatArray


def measure_quad(strips: NDArray[Any], plan: QuadPlan, quad: Quad, levels: Levels) -> Group:
    """One group in all blocks."""
    cell = plan.cell
    cells = (strips.shape[2] - plan.reach) // cell
    channel = quad.color if strips.shape[3] > 1 else 0
    samples = []
    peak: FloatArray | None = None
    for (row, column), black in zip(quad.places, levels.black, strict=True):
        rows = slice(row, row + (CELLS - 1) * cell + 1, cell)
        columns = slice(column, column + (cells - 1) * cell + 1, cell)
        raw = strips[:, rows, columns, channel].astype(np.float32)
        peak = raw if peak is None else np.maximum(peak, raw)
        samples.append((raw - np.float32(black)) * np.float32(levels.scale))
    assert peak is not None
    x0, x1, x2, x3 = samples
    level = by_block(x0 + x1 + x2 + x3).mean(-1) * np.float32(0.25)
    twist = by_block((x0 + x3) - (x1 + x2)) * np.float32(0.5)
    # ((u step)^2 + (v step)^2) / 2 = (falling^2 + rising^2) / 4
    diagonals = np.stack([by_block(x0 - x3), by_block(x1 - x2)])
    step = (diagonals**2).sum(0).mean(-1) * np.float32(0.25)
    limit = levels.black[0] + SATURATION * (levels.white - levels.black[0])
    return Group(level, twist, step, by_block(peak).max(-1) < limit, diagonals)


def common_steps(diagonals: list[FloatArray]) -> FloatArray:
    """The mean product of two groups' steps (N,), all pairs of groups together; 0 where there is but one."""
    pairs = len(diagonals) * (len(diagonals) - 1)
    if not pairs:
        return np.zeros(diagonals[0].shape[1], dtype=np.float32)
    groups = np.stack(diagonals)
    products = groups.sum(0) ** 2 - (groups**2).sum(0)
    return np.asarray(products.sum(0).mean(-1) * np.float32(0.25 / pairs), dtype=np.float32)


def by_block(values: FloatArray) -> FloatArray:
    """(strips, CELLS, columns of cells) to (N, K): K = CELLS^2 cells of each of the N blocks."""
    strips, _, width = values.shape
    columns = width // CELLS
    blocks = values[:, :, : columns * CELLS].reshape(strips, CELLS, columns, CELLS).transpose(0, 2, 1, 3)
    return blocks.reshape(-1, CELLS * CELLS)


def pile_level(strips: NDArray[Any], black: float) -> float:
    """The raw value below which the file lost everything: 0 or black, if many photosites sit there; else -inf."""
    lowest = float(strips.min())
    if lowest not in (0.0, black) or lowest > black:
        return -np.inf
    share = float(np.count_nonzero(strips == lowest)) / strips.size
    return lowest if share >= PILE else -np.inf


def quantisation_step(strips: NDArray[Any]) -> float:
    """The smallest gap between raw values: 8-bit data stored times 4 has 4, stretched to 14 bits 64; 0 for floats."""
    if not np.issubdtype(strips.dtype, np.integer):
        return 0.0
    present = np.unique(strips[:: max(1, len(strips) // 8)])
    return float(np.diff(present).min()) if len(present) > 1 else 1.0
