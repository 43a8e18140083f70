"""Raw PSNR on pieces of the validation photographs, while a network learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plugin_core.ops.mosaic import unshuffle
from simulation.cameras import BAYER, XTRANS
from simulation.sensor import NoiseDraw, add_noise, extreme_noise, unprocessing_noise
from simulation.unprocess import camera_rgb, cfa_colours, mosaic, random_colour, srgb_to_linear
from training.network import RawUNet
from training.photographs import photograph_names

__all__ = ["Levels", "psnr", "validate", "validation_set"]


Levels = list[tuple[str, tuple[Tensor, ...]]]


def validation_set(folder: Path, patch: int = 240) -> Levels:
    """(label, (noisy, clean, colours, told)) per noise level and CFA: pieces of validation photographs, fixed draws.

    Central patch x patch photosites (a multiple of 48: X-Trans and four halvings) of every third photograph. Labels are
    P1's, behind "X " X-Trans.
    """
    names = photograph_names(folder, "val")[::3]
    pictures = [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]
    bayer = {"U.004": unprocessing_noise(0.004), "E10": extreme_noise(10), "E100": extreme_noise(100),
             "E300": extreme_noise(300)}  # fmt: skip
    xtrans = {"X U.004": bayer["U.004"], "X E100": bayer["E100"]}
    return [
        (label, _noisy_pieces(pictures, pattern, draw, patch))
        for levels, pattern in ((bayer, BAYER["RGGB"]), (xtrans, XTRANS))
        for label, draw in levels.items()
    ]


def _noisy_pieces(
    pictures: list[NDArray[np.uint8]], pattern: tuple[tuple[int, ...], ...], draw: NoiseDraw, patch: int
) -> tuple[Tensor, ...]:
    """(noisy (N, 4, h, w), clean, colours (N, 8, h, w), told (N, 2))."""
    cfa = cfa_colours(pattern, patch, patch)
    red, blue = (cfa == 0).astype(np.float32), (cfa == 2).astype(np.float32)
    colours = np.concatenate([unshuffle(red), unshuffle(blue)])
    noisy, clean = [], []
    for index, picture in enumerate(pictures):
        rng = np.random.default_rng(9000 + index)
        y, x = (picture.shape[0] - patch) // 2, (picture.shape[1] - patch) // 2
        piece = srgb_to_linear(picture[y : y + patch, x : x + patch].astype(np.float32) / 255)
        truth = mosaic(camera_rgb(piece, random_colour(rng)), cfa)
        clean.append(unshuffle(truth))
        noisy.append(unshuffle(add_noise(rng, truth, draw)))
    told = np.tile(np.array([draw.a, draw.b], dtype=np.float32), (len(pictures), 1))
    stacked = np.stack(noisy), np.stack(clean), np.stack([colours] * len(pictures)), told
    return tuple(torch.from_numpy(part) for part in stacked)


@torch.no_grad()
def psnr(network: RawUNet, levels: Levels, device: torch.device) -> dict[str, list[float]]:
    """Raw PSNR in dB per level and photograph, in float32."""
    result = {}
    for label, (noisy, clean, colours, told) in levels:
        a, b = told[:, :1, None, None].to(device), told[:, 1:, None, None].to(device)
        restored = network(noisy.to(device), colours.to(device), a, b).cpu().clamp(0, 1)
        result[label] = (-10 * torch.log10(((restored - clean) ** 2).mean((1, 2, 3)))).tolist()
    return result


def validate(network: RawUNet, levels: Levels, device: torch.device) -> dict[str, float]:
    """Mean raw PSNR in dB per level, and the means over Bayer and over X-Trans levels."""
    result = {label: sum(values) / len(values) for label, values in psnr(network, levels, device).items()}
    for label, sort in (("mean", False), ("X mean", True)):
        figures = [value for name, value in result.items() if name.startswith("X ") == sort]
        result[label] = sum(figures) / len(figures)
    return {label: round(value, 3) for label, value in result.items()}
