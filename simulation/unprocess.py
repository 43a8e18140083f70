"""A finished photograph back to linear camera RGB, and a mosaic of it (Brooks et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.cameras import FloatArray, random_xyz_to_camera, srgb_to_camera


@dataclass(frozen=True)
class SceneColour:
    """What stands between a photograph and the sensor; the fixed ISP undoes exactly this."""

    xyz_to_camera: FloatArray  # (3, 3), DNG ColorMatrix
    gains: tuple[float, float, float]  # white-balance gains R, G, B; the as-shot neutral is their reciprocal
    exposure: float = 1.0  # digital gain of the finished picture, near 1


def random_colour(rng: np.random.Generator) -> SceneColour:
    """Matrix, white balance and gain as Brooks et al. §3.2: red 1.9..2.4, blue 1.5..1.9, gain 1/N(.8, .1)."""
    gain = 1.0 / max(rng.normal(0.8, 0.1), 0.5)
    return SceneColour(
        random_xyz_to_camera(rng), (float(rng.uniform(1.9, 2.4)), 1.0, float(rng.uniform(1.5, 1.9))), float(gain)
    )


def srgb_to_linear(encoded: FloatArray) -> FloatArray:
    """The inverse sRGB curve on [0, 1] (IEC 61966-2-1)."""
    low = encoded <= 0.04045
    return np.where(low, encoded / 12.92, ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(linear: FloatArray) -> FloatArray:
    """The sRGB curve; clips to [0, 1] first."""
    x = np.clip(linear, 0.0, 1.0)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055).astype(np.float32)


def inverse_smoothstep(encoded: FloatArray) -> FloatArray:
    """The inverse of the tone curve 3x^2 - 2x^3 (Brooks et al. eq. 2)."""
    return np.asarray(0.5 - np.sin(np.arcsin(1.0 - 2.0 * np.clip(encoded, 0, 1)) / 3.0), dtype=np.float32)


def camera_rgb(linear_srgb: FloatArray, colour: SceneColour) -> FloatArray:
    """Linear sRGB (H, W, 3) in [0, 1] to camera RGB before white balance, (H, W, 3) float32 in [0, 1].

    The division by the gains spares highlights, so that white stays white (Brooks et al. §3.4).
    """
    rgb = linear_srgb @ srgb_to_camera(colour.xyz_to_camera).T
    inverse = (1.0 / (np.array(colour.gains) * colour.exposure)).astype(np.float32)
    grey = rgb.mean(axis=-1, keepdims=True)
    mask = (np.maximum(grey - 0.9, 0.0) / 0.1) ** 2
    safe = np.maximum(mask + (1.0 - mask) * inverse, inverse)
    return np.asarray(np.clip(rgb * safe, 0.0, 1.0), dtype=np.float32)


def cfa_colours(pattern: tuple[tuple[int, ...], ...], height: int, width: int) -> NDArray[np.uint8]:
    """The colour index of each photosite, (height, width) uint8, the pattern repeated from the top left."""
    tile = np.array(pattern, dtype=np.uint8)
    return np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1])))[:height, :width]


def mosaic(rgb: FloatArray, colours: NDArray[np.uint8]) -> FloatArray:
    """One sample per photosite: (H, W, 3) and (H, W) to (H, W)."""
    picked: FloatArray = np.take_along_axis(rgb, colours[..., None].astype(np.intp), axis=-1)[..., 0]
    return picked
