"""Clean mosaics to train on: photographs unprocessed to camera RGB, and synthetic scenes beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from plugin_core.ops.mosaic import unshuffle
from simulation.cameras import BAYER, XTRANS, FloatArray
from simulation.scene import make_scene
from simulation.sensor import DN_RANGE, NoiseDraw, add_noise, log_uniform, random_noise
from simulation.unprocess import camera_rgb, cfa_colours, linear_to_srgb, mosaic, random_colour
from training.photographs import (
    TO_LINEAR,
    TO_LINEAR_SMOOTH,
    continuous,
    in_fine_steps,
    noise_of,
    photograph_names,
    reduced,
)


@dataclass(frozen=True)
class Mix:
    """Shares of what a batch is made of."""

    xtrans: float = 0.15
    monochrome: float = 0.04
    synthetic: float = 0.06
    synthetic_scenes: int = 12  # how many different ones
    flat: float = 0.03
    smaller: float = 0.35  # photographs taken at reduced size, for sharper detail
    defocused: float = 0.0  # share out of focus: as smooth as a real background, without a picture's own grain
    exact_conditioning: float = 0.5  # share whose noise parameters the network gets without error
    darker: float = 0.3  # share exposed up to ten times too short
    bayer: tuple[str, ...] = tuple(BAYER)  # phases
    aligned: float = (
        0.0  # share whose cells start where plugin_core.ops.denoise starts them: RGGB, X-Trans on even ones
    )
    noise: str = "wide"  # or one of NOISE: narrower mixes, to compare with
    rounded: bool = False  # photographs as their 8 bits give them, to compare with
    defects: float = 0.0  # share with hot and dead photosites, beyond those that simulation.sensor draws


class CleanScenes:
    """Draws clean mosaics; holds every photograph in memory, as sRGB in FINE steps, without the noise of rounding."""

    def __init__(self, folder: Path, synthetic: int = 12, rounded: bool = False) -> None:
        self.pictures: list[NDArray[np.uint16]] = []
        self.small: list[NDArray[np.uint16]] = []
        sigma = noise_of(folder)
        kept = np.round if rounded else np.asarray
        for name in photograph_names(folder, "train"):
            given = np.asarray(Image.open(folder / name).convert("RGB"))
            picture = given.astype(np.float32) if rounded else continuous(given, sigma.get(name, 0.0))
            self.pictures.append(in_fine_steps(picture))
            self.small.append(in_fine_steps(kept(reduced(picture, 0.65))))
        made = (255 * linear_to_srgb(make_scene(seed, 640, 1280)) for seed in range(1000, 1000 + synthetic))
        self.made = [in_fine_steps(kept(scene)) for scene in made]

    def crop(self, rng: np.random.Generator, size: int, mix: Mix) -> NDArray[np.uint16]:
        """A random (size, size, 3) piece, flipped and turned."""
        kind = rng.random()
        pool = self.made if kind < mix.synthetic else self.small if rng.random() < mix.smaller else self.pictures
        picture = pool[int(rng.integers(len(pool)))]
        while min(picture.shape[:2]) < size:
            picture = np.concatenate([picture, picture[::-1]], axis=0 if picture.shape[0] < size else 1)
        y = int(rng.integers(picture.shape[0] - size + 1))
        x = int(rng.integers(picture.shape[1] - size + 1))
        piece = picture[y : y + size, x : x + size]
        piece = piece[:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]
        return piece.transpose(1, 0, 2) if rng.random() < 0.5 else piece

    def camera_rgb(self, rng: np.random.Generator, size: int, mix: Mix) -> FloatArray:
        """A clean patch in camera RGB before white balance, (size, size, 3) float32."""
        if rng.random() < mix.flat:
            level = log_uniform(rng, 1e-4, 1.0) if rng.random() < 0.9 else 0.0
            return np.broadcast_to((level * rng.uniform(0.3, 1, 3)).astype(np.float32), (size, size, 3))
        curve = TO_LINEAR_SMOOTH if rng.random() < 0.5 else TO_LINEAR
        linear = curve[self.crop(rng, size, mix)]
        if rng.random() < mix.defocused:
            blur = log_uniform(rng, 0.5, 8.0)
            linear = gaussian_filter(linear, (blur, blur, 0.0), mode="nearest", truncate=2.5)
        rgb = camera_rgb(linear, random_colour(rng))
        if rng.random() < mix.darker:
            rgb = rgb * np.float32(log_uniform(rng, 0.1, 1.0))
        return rgb


def colour_map(rng: np.random.Generator, size: int, mix: Mix) -> NDArray[np.uint8] | None:
    """A random CFA's colour of each photosite, or None for monochrome."""
    kind, aligned = rng.random(), rng.random() < mix.aligned
    if kind < mix.monochrome:
        return None
    if kind < mix.monochrome + mix.xtrans:
        y, x = (int(v) for v in rng.integers(0, 6, 2))
        if aligned:
            y, x = y // 2 * 2, x // 2 * 2
        whole = cfa_colours(XTRANS, size + 6, size + 6)[y : y + size, x : x + size]
        return whole.T if not aligned and rng.random() < 0.5 else whole
    return cfa_colours(BAYER["RGGB" if aligned else str(rng.choice(list(mix.bayer)))], size, size)


def unprocessing_line(rng: np.random.Generator) -> NoiseDraw:
    """Read noise along the line of Brooks et al. 2019, with their spread, over the wide mix's range of a."""
    wide = random_noise(rng)
    read = math.exp(0.5 * (2.18 * math.log(wide.a) + 1.20 + rng.normal(0, 0.26)))
    return NoiseDraw(a=wide.a, read_sigma=read, step=1 / DN_RANGE, poisson=False)


def plain_noise(rng: np.random.Generator) -> NoiseDraw:
    """The wide mix without rows, columns, heavy tails, black errors, hot photosites and in-camera smoothing."""
    wide = random_noise(rng)
    return NoiseDraw(a=wide.a, read_sigma=wide.read_sigma, step=wide.step, poisson=wide.poisson)


NOISE = {"wide": random_noise, "unprocessing": unprocessing_line, "plain": plain_noise}


def add_defects(rng: np.random.Generator, noisy: FloatArray, a: float, b: float) -> None:
    """Hot photosites, some sigma to far above the picture, and a few dead ones, in place."""
    kind = rng.random(noisy.shape, dtype=np.float32)
    density = np.float32(log_uniform(rng, 1e-5, 1e-3))
    hot, dead = kind < density, kind > 1 - 0.2 * density
    sigma = math.sqrt(a * 0.05 + b)
    noisy[hot] += (sigma * np.exp(rng.uniform(math.log(4.0), math.log(200.0), int(hot.sum())))).astype(np.float32)
    noisy[dead] = 0.0


def draw_sample(
    rng: np.random.Generator, scenes: CleanScenes, size: int, mix: Mix
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Noisy planes (4, h, w), clean planes (4, h, w), colours (8, h, w), and (a, b) as the network is told them."""
    rgb = scenes.camera_rgb(rng, size, mix)
    colours = colour_map(rng, size, mix)
    if colours is None:
        clean = rgb.mean(axis=-1, dtype=np.float32)
        red = blue = np.full(clean.shape, 1 / 3, dtype=np.float32)
    else:
        clean = mosaic(rgb, colours)
        red, blue = (colours == 0).astype(np.float32), (colours == 2).astype(np.float32)
    draw = NOISE[mix.noise](rng)
    noisy = add_noise(rng, clean, draw)
    if rng.random() < mix.defects:
        add_defects(rng, noisy, draw.a, draw.b)
    a, b = draw.a, draw.b
    if rng.random() >= mix.exact_conditioning:
        a, b = a * float(np.exp(rng.uniform(-0.2, 0.2))), b * float(np.exp(rng.uniform(-0.3, 0.3)))
    told = np.array([a, max(b, 1e-12)], dtype=np.float32)
    return unshuffle(noisy), unshuffle(clean), np.concatenate([unshuffle(red), unshuffle(blue)]), told
