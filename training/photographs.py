"""Photographs to train on: which ones, and their 8 bits as a continuous picture."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from simulation.cameras import FloatArray
from simulation.unprocess import inverse_smoothstep, srgb_to_linear

__all__ = ["TO_LINEAR", "TO_LINEAR_SMOOTH", "continuous", "in_fine_steps", "noise_of", "photograph_names", "reduced"]

FINE = 256  # steps that a step of 8 bits is kept in
SLACK = 1.0  # steps of 8 bits that a photograph is off by anyway: a JPEG of quality 91 is, by 1 to 2 in the median
ENCODED = np.arange(255 * FINE + 1, dtype=np.float32) / (255 * FINE)
TO_LINEAR = srgb_to_linear(ENCODED)
TO_LINEAR_SMOOTH = srgb_to_linear(inverse_smoothstep(ENCODED))


def noise_of(folder: Path) -> dict[str, float]:
    """files.csv's estimate of each photograph's own noise, in steps of 8 bits; empty without it."""
    if not (folder / "files.csv").exists():
        return {}
    with open(folder / "files.csv", newline="") as stream:
        return {row["file"]: float(row["noise_sigma_est"]) for row in csv.DictReader(stream)}


def photograph_names(folder: Path, split: str, noise_limit: float = 1.5) -> list[str]:
    """File names of a split ("train", "val"); of "train" without those whose own noise is above the limit."""
    sigma = noise_of(folder)
    with open(folder / "split.csv", newline="") as stream:
        names = [row["file"] for row in csv.DictReader(stream) if row["split"] == split]
    return [n for n in names if split != "train" or sigma.get(n, 0.0) <= noise_limit]


def continuous(encoded: NDArray[np.uint8], noise: float = 0.0, passes: int = 4) -> FloatArray:
    """A smooth picture as near to these 8 bits as they are to the scene, (H, W, 3) float32, 0..255.

    Rounding and compression add noise that at low ISO is a good part of a sensor's: a network that learns from such
    pictures keeps as much of it. Each pass blurs, then returns to within SLACK, or within `noise`, the picture's own
    sigma in steps, where that is more. Clipped highlights stay 255.
    """
    given = encoded.astype(np.float32)
    slack = max(SLACK, noise)
    low, high = np.maximum(given - slack, 0.0), np.minimum(given + slack, 255.0)
    low[encoded == 255] = 255.0
    picture = given
    for _ in range(passes):
        picture = np.clip(gaussian_filter(picture, (1.0, 1.0, 0.0), mode="nearest", truncate=2.5), low, high)
    return picture


def in_fine_steps(picture: FloatArray) -> NDArray[np.uint16]:
    """A picture in steps of 8 bits, as TO_LINEAR's index."""
    return np.round(np.clip(picture, 0, 255) * FINE).astype(np.uint16)


def reduced(picture: FloatArray, share: float) -> FloatArray:
    """A picture (H, W, 3) at a share of its size, Lanczos."""
    size = (int(picture.shape[1] * share), int(picture.shape[0] * share))
    planes = [Image.fromarray(picture[..., k]).resize(size, Image.Resampling.LANCZOS) for k in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
