"""PSNR, SSIM, LPIPS (AlexNet) and bootstrap intervals over images: protocols.md section 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulation.cameras import FloatArray

Number = TypeVar("Number", np.float32, np.float64)


def psnr(estimate: FloatArray, truth: FloatArray) -> float:
    """Peak signal-to-noise ratio in dB, peak 1, both clipped to [0, 1]; 100 for identical pictures."""
    error = np.clip(estimate, 0, 1).astype(np.float64) - np.clip(truth, 0, 1)
    return float(min(100.0, -10 * np.log10(max(float(np.mean(error**2)), 1e-30))))


def squares(values: NDArray[Number], side: int) -> NDArray[Number]:
    """Means of (H, W) over squares of `side` photosites, (H // side, W // side); what fills none is left out."""
    rows, columns = (length // side for length in values.shape)
    means: NDArray[Number] = values[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))
    return means


def ssim(estimate: FloatArray, truth: FloatArray) -> float:
    """Structural similarity of two (H, W, 3) pictures in [0, 1]: gaussian weights, sigma 1.5, data_range 1."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            truth, estimate, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
    )  # fmt: skip


class Lpips:
    """LPIPS v0.1 on AlexNet (Zhang et al. 2018) from an npz of weights; evaluation only.

    weights: `lpips_alex_v0.1_fp16.npz`; its README documents layers and padding.
    """

    LAYERS = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))  # stride, padding, pool before

    def __init__(self, weights: Path) -> None:
        import torch

        with np.load(weights) as file:
            self._tensor = {k: torch.from_numpy(file[k].astype(np.float32)) for k in file.files}

    def features(self, picture: FloatArray) -> list[NDArray[np.float32]]:
        """The five unit-normalised feature maps of an sRGB picture (H, W, 3) in [0, 1], rounded to 8 bits."""
        import torch
        import torch.nn.functional as F

        eight_bit = np.round(np.clip(picture, 0, 1) * 255) / 255
        with torch.inference_mode():
            x = torch.from_numpy(eight_bit.astype(np.float32)).permute(2, 0, 1)[None] * 2 - 1
            x = (x - self._tensor["shift"].view(1, 3, 1, 1)) / self._tensor["scale"].view(1, 3, 1, 1)
            maps = []
            for index, (stride, padding, pool) in enumerate(self.LAYERS, 1):
                x = F.max_pool2d(x, 3, 2) if pool else x
                weight, bias = self._tensor[f"conv{index}_weight_oihw"], self._tensor[f"conv{index}_bias"]
                x = F.relu(F.conv2d(x, weight, bias, stride=stride, padding=padding))
                maps.append((x / (torch.sqrt((x**2).sum(1, keepdim=True)) + 1e-10))[0].numpy())
        return maps

    def distance(self, one: list[NDArray[np.float32]], other: list[NDArray[np.float32]]) -> float:
        """The perceptual distance of two lists of feature maps; 0 for the same picture."""
        total = 0.0
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            difference = ((a - b) ** 2).mean(axis=(1, 2))
            total += float(difference @ self._tensor[f"lin{index}_weight"].numpy())
        return total

    def __call__(self, estimate: FloatArray, truth: FloatArray) -> float:
        """The perceptual distance of two sRGB pictures (H, W, 3) in [0, 1]."""
        return self.distance(self.features(estimate), self.features(truth))


@dataclass(frozen=True)
class Mean:
    """A mean over images with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 2, sign: bool = False) -> str:
        """`34.12 [33.50, 34.80]`."""
        form = f"{'+' if sign else ''}.{digits}f"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def bootstrap(values: Sequence[float] | NDArray[np.float64], draws: int = 2000, seed: int = 7) -> Mean:
    """The mean of one value per image and its 95 % interval over resampled images. Raises ValueError if empty."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("no images to average")
    picks = np.random.default_rng(seed).integers(0, sample.size, (draws, sample.size))
    low, high = np.percentile(sample[picks].mean(axis=1), (2.5, 97.5))
    return Mean(float(sample.mean()), float(low), float(high), int(sample.size))
