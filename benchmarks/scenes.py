"""The held-out photographs as camera files with a known truth: protocols.md sections 0 and 1a."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plugin_core.frame import CfaPattern, ColorCalibration, Exposure, NoiseProfile, NoiseSource, RawFrame, Rect, Source
from simulation.cameras import BAYER, XTRANS, FloatArray
from simulation.sensor import DN_RANGE, NoiseDraw, add_noise, extreme_noise, unprocessing_noise
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic, random_colour, srgb_to_linear

BLACK, WHITE = 512, 16383
PATTERNS = {**BAYER, "XTRANS": XTRANS}
TO_LINEAR = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)


@dataclass(frozen=True)
class Level:
    """One noise level of the protocol. ratio: how many times too short the exposure was (1 for model U)."""

    name: str
    draw: NoiseDraw  # in the file's own scale
    ratio: float = 1.0


LEVELS = (
    *(Level(f"U .{round(shot * 1000):03d}", unprocessing_noise(shot)) for shot in (0.001, 0.004, 0.012)),
    *(Level(f"E x{ratio}", replace(extreme_noise(1), clip_white=True), ratio) for ratio in (10, 100, 200, 300)),
)
HEAVY_TAILED = tuple(  # protocol model E-TL: the same read noise, Tukey-lambda .1
    Level(f"E-TL x{ratio}", replace(extreme_noise(1, 0.1), clip_white=True), ratio) for ratio in (10, 100, 200, 300)
)


@dataclass(frozen=True)
class Scene:
    """A photograph in camera RGB: rgb (H, W, 3) float32 in [0, 1], with what it was unprocessed with."""

    name: str
    rgb: FloatArray
    colour: SceneColour


@dataclass(frozen=True)
class Shot:
    """One noisy file and its truth.

    frame: integers as a camera writes them, without a NoiseProfile and with an unknown camera; known: its noise.
    truth (H, W) float32: the clean mosaic in signal units of the correct exposure.
    """

    scene: Scene
    level: Level
    cfa: str
    frame: RawFrame
    known: NoiseProfile
    truth: FloatArray


def data_folder() -> Path:
    """Where photographs and evaluation weights lie: $NEURAL_ISP_DATA, else ../shared/data beside the checkout."""
    return Path(os.environ.get("NEURAL_ISP_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def seed_of(*parts: str) -> int:
    """A seed that depends on nothing but these words."""
    return zlib.crc32("/".join(parts).encode())


def central(path: Path, side: int) -> NDArray[np.uint8]:
    """The central side x side of a photograph (all of a smaller one), cut to even, (H, W, 3)."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    height, width = (min(side, length) // 2 * 2 for length in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def unprocessed(name: str, linear: FloatArray) -> Scene:
    """A picture in linear sRGB as a camera sees it that depends on the name only."""
    colour = random_colour(np.random.default_rng(seed_of("colour", name)))
    return Scene(name, camera_rgb(linear, colour), colour)


def read_scene(path: Path, side: int = 768) -> Scene:
    """The central part of a photograph, unprocessed without a tone curve."""
    return unprocessed(path.stem, TO_LINEAR[central(path, side)])


def scene_paths(split: str = "val") -> list[Path]:
    """The photographs of a split. Raises FileNotFoundError where the data folder is not there."""
    folder = data_folder() / "photos"
    rows = [line.split(",") for line in (folder / "split.csv").read_text().splitlines()[1:]]
    return [folder / name for name, kind in rows if kind == split]


def frame_of(digital: FloatArray, cfa: str, colour: SceneColour, profile: NoiseProfile | None = None) -> RawFrame:
    """A frame of the protocol's sensor around integers in DN, rounded and clipped at 0 and white like a converter."""
    area = Rect(0, 0, *digital.shape)
    neutral = np.array(colour.gains) ** -1.0
    neutral /= neutral.max()
    return RawFrame(
        mosaic=np.clip(np.round(digital), 0, WHITE).astype(np.uint16),
        cfa=CfaPattern(PATTERNS[cfa]),
        black_level=((float(BLACK),),),
        white_level=(float(WHITE),) * 3,
        active_area=area,
        default_crop=area,
        as_shot_neutral=tuple(float(v) for v in neutral),
        color=ColorCalibration(tuple(float(v) for v in colour.xyz_to_camera.ravel())),
        noise_profile=profile,
        exposure=Exposure(),
        source=Source("scene.dng", make="Benchmark", model="Unknown"),
    )


def take(scene: Scene, level: Level, cfa: str) -> Shot:
    """The scene through the sensor; the draw depends on photograph, level and CFA only."""
    colours = cfa_colours(PATTERNS[cfa], *scene.rgb.shape[:2])
    truth = mosaic(scene.rgb, colours)
    rng = np.random.default_rng(seed_of("noise", scene.name, level.name, cfa))
    noisy = add_noise(rng, (truth / level.ratio).astype(np.float32), level.draw)
    known = NoiseProfile((level.draw.a,) * 3, (level.draw.b,) * 3, NoiseSource.USER)
    return Shot(scene, level, cfa, frame_of(BLACK + DN_RANGE * noisy, cfa, scene.colour), known, truth)


def finished(shot: Shot, signal: FloatArray) -> FloatArray:
    """A method's answer in the file's own scale, amplified to the correct exposure and clipped to [0, 1].

    Every method's mosaic is clipped like this before either figure; unclipped, PMRID loses 1.5 dB in sRGB at U .012.
    """
    return np.clip(signal * np.float32(shot.level.ratio), 0, 1)
