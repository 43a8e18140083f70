"""The fixed ISP of every figure "in sRGB": the same code and parameters for each method and for the truth.

A yardstick, not a raw converter: no highlight reconstruction, no tone mapping, no sharpening.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.cameras import FloatArray, srgb_to_camera
from simulation.unprocess import SceneColour, cfa_colours, linear_to_srgb

__all__ = ["demosaic", "demosaic_bayer", "demosaic_xtrans", "render"]

RED, GREEN, BLUE = 0, 1, 2

# Malvar, He & Cutler 2004, "High-quality linear interpolation for demosaicing of Bayer-patterned color images", fig. 2.
GREEN_AT_OTHER = np.array(
    [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]], dtype=np.float32
)  # green at a red or blue photosite
ALONG_ROW = np.array(
    [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]], dtype=np.float32
)  # red (blue) at a green photosite whose row holds red (blue)
DIAGONAL = np.array(
    [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]],
    dtype=np.float32,
)  # red at a blue photosite and the reverse


def convolve(plane: FloatArray, kernel: NDArray[np.floating]) -> FloatArray:
    """`plane` (H, W) filtered with a symmetric odd kernel, same size; mirrored at borders, so a CFA keeps its phase."""
    reach = kernel.shape[0] // 2
    height, width = plane.shape
    padded = np.pad(plane, reach, mode="reflect")
    out = np.zeros_like(plane)
    for row, column in zip(*np.nonzero(kernel), strict=True):
        out += np.float32(kernel[row, column]) * padded[row : row + height, column : column + width]
    return out


def demosaic_bayer(mosaic: FloatArray, colours: NDArray[np.uint8]) -> FloatArray:
    """Three colours per photosite by Malvar's 5x5 linear filters, (H, W, 3) float32; negatives and overshoot kept.

    mosaic, colours (H, W): a Bayer mosaic of any phase and its colour indices 0 R, 1 G, 2 B; sides of 3 or more.
    Source: Malvar, He & Cutler 2004.
    """
    green_here = colours == GREEN
    reds_in_row = np.any(colours == RED, axis=1)[:, None]
    along_row = convolve(mosaic, ALONG_ROW / 8)
    along_column = convolve(mosaic, ALONG_ROW.T / 8)
    diagonal = convolve(mosaic, DIAGONAL / 8)
    rgb = np.empty((*mosaic.shape, 3), dtype=np.float32)
    rgb[..., GREEN] = np.where(green_here, mosaic, convolve(mosaic, GREEN_AT_OTHER / 8))
    for colour, in_row in ((RED, reds_in_row), (BLUE, ~reds_in_row)):
        at_green = np.where(in_row, along_row, along_column)
        rgb[..., colour] = np.where(colours == colour, mosaic, np.where(green_here, at_green, diagonal))
    return rgb


def smooth_known(values: FloatArray, known: NDArray[np.bool_], sigma: float, reach: int) -> FloatArray:
    """Normalised convolution: the gaussian mean of the known neighbours of each photosite, (H, W) float32."""
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1, dtype=np.float32) / sigma) ** 2)
    row, column = np.zeros((2, 2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    row[reach], column[:, reach] = taps, taps
    weight = known.astype(np.float32)
    total = convolve(convolve(values * weight, row), column)
    return np.asarray(total / np.maximum(convolve(convolve(weight, row), column), 1e-12), dtype=np.float32)


def demosaic_xtrans(mosaic: FloatArray, colours: NDArray[np.uint8]) -> FloatArray:
    """Three colours per photosite of an X-Trans mosaic, (H, W, 3) float32; what was measured is kept as it is.

    Green by normalised convolution over its own photosites; red and blue as green plus the colour difference, which is
    smooth in most pictures. A simple, linear choice of this project: sharper methods exist (Markesteijn), but a linear
    one treats every denoiser alike.
    """
    green_here = colours == GREEN
    green = np.where(green_here, mosaic, smooth_known(mosaic, green_here, sigma=0.7, reach=2))
    rgb = np.empty((*mosaic.shape, 3), dtype=np.float32)
    rgb[..., GREEN] = green
    for colour in (RED, BLUE):
        here = colours == colour
        rgb[..., colour] = np.where(here, mosaic, green + smooth_known(mosaic - green, here, sigma=1.3, reach=4))
    return rgb


def demosaic(mosaic: FloatArray, pattern: tuple[tuple[int, ...], ...]) -> FloatArray:
    """Three colours per photosite, (H, W, 3) float32, by the size of `pattern`: 1x1 repeats, 2x2 Malvar, 6x6 X-Trans.

    mosaic (H, W) float32; pattern: rows of colour indices as DNG CFAPattern, starting at the mosaic's top left.
    """
    signal = np.asarray(mosaic, dtype=np.float32)
    if len(pattern) == 1:
        return np.repeat(signal[..., None], 3, axis=-1)
    colours = cfa_colours(pattern, *signal.shape)
    return (demosaic_bayer if len(pattern) == 2 else demosaic_xtrans)(signal, colours)


def render(mosaic: FloatArray, pattern: tuple[tuple[int, ...], ...], colour: SceneColour) -> FloatArray:
    """The picture in sRGB, (H, W, 3) float32 in [0, 1]: white balance, demosaic, matrix, clip, curve.

    mosaic (H, W) float32 in signal units (0 black, 1 white); colour: what the scene was unprocessed with, undone here.
    Source: protocols.md section 0, "Fixed ISP".
    """
    gains = np.array(colour.gains, dtype=np.float32) * np.float32(colour.exposure)
    balanced = mosaic * gains[cfa_colours(pattern, *mosaic.shape)] if len(pattern) > 1 else mosaic * gains[1]
    rgb = demosaic(balanced, pattern)
    if len(pattern) > 1:
        rgb = rgb @ np.linalg.inv(srgb_to_camera(colour.xyz_to_camera).astype(np.float64)).astype(np.float32).T
    return linear_to_srgb(rgb)
