"""A noisy RAW whose truth is known: a scene made from nothing, seen by a sensor with a real camera's colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_core.config import Limits
from plugin_core.frame import BAYER_PATTERNS, ColorCalibration, Exposure, RawFrame, Rect, Source
from plugin_core.io.source_file import Metadata, SourceFile
from plugin_core.io.worker import DecodeWorker
from plugin_core.io.write_dng import WriteOptions, write_dng
from simulation.cameras import FloatArray, xyz_to_camera
from simulation.scene import make_scene
from simulation.sensor import DN_RANGE, NoiseDraw, add_noise
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic

__all__ = ["BLACK", "CAMERA", "ISO", "WHITE", "SceneFile", "high_iso_noise", "make_scene_file", "write_scene_file"]

CAMERA = "Sony ILCE-7M3"  # whose colour matrix the scene is seen with
BLACK, WHITE = 512, 16383  # 14 bit
ISO = 25600
MAKE, MODEL = "neural-isp", f"Synthetic ({CAMERA} colours)"
FULL_WELL_AT_ISO_100 = 94_000.0  # electrons; a full-frame sensor of that generation, a round figure
READ_NOISE = 1.6  # electrons at high ISO, likewise


@dataclass(frozen=True)
class SceneFile:
    """A frame and what it should have been. truth: (h, w) float32, the clean mosaic in signal units."""

    frame: RawFrame
    truth: FloatArray
    colour: SceneColour


def high_iso_noise(iso: float) -> NoiseDraw:
    """Shot, read and row noise and rounding at this ISO, in signal units: full well * 100 / ISO electrons saturate."""
    electron = iso / (100 * FULL_WELL_AT_ISO_100)
    return NoiseDraw(
        a=electron, read_sigma=READ_NOISE * electron, row_sigma=0.2 * READ_NOISE * electron, step=1 / DN_RANGE
    )


def lens(scene: FloatArray) -> FloatArray:
    """The scene as a good lens shows it to the sensor: (1, 2, 1) / 4 along both sides, or fine print would alias."""
    for axis in (0, 1):
        scene = 0.5 * scene + 0.25 * (np.roll(scene, 1, axis) + np.roll(scene, -1, axis))
    return scene


def make_scene_file(seed: int = 7, height: int = 2000, width: int = 3000, iso: float = ISO) -> SceneFile:
    """The scene of this seed as an RGGB frame at this ISO, (height, width) photosites of 14 bits, black 512."""
    colour = SceneColour(xyz_to_camera(CAMERA), gains=(2.1, 1.0, 1.7))
    pattern = BAYER_PATTERNS["RGGB"]
    seen = camera_rgb(lens(make_scene(seed, height, width)), colour)
    truth = mosaic(seen, cfa_colours(pattern.colors, height, width))
    noisy = add_noise(np.random.default_rng(seed), truth, high_iso_noise(iso))
    neutral = 1 / np.array(colour.gains)
    area = Rect(0, 0, height, width)
    frame = RawFrame(
        mosaic=np.clip(np.round(BLACK + DN_RANGE * noisy), 0, WHITE).astype(np.uint16),
        cfa=pattern,
        black_level=((float(BLACK),),),
        white_level=(float(WHITE),) * 3,
        active_area=area,
        default_crop=area,
        as_shot_neutral=tuple(float(v) for v in neutral / neutral.max()),
        color=ColorCalibration(tuple(float(v) for v in colour.xyz_to_camera.ravel())),
        exposure=Exposure(iso=iso),
        source=Source("scene.dng", make=MAKE, model=MODEL),
    )
    return SceneFile(frame, truth, colour)


def write_scene_file(path: Path, scene: SceneFile) -> Path:
    """The scene as a DNG that says it is synthetic; replaces `path` and returns it. The truth is not in it."""
    exif = {
        "Exif.Image.ImageDescription": "Synthetic test scene with simulated sensor noise; no photograph",
        "Exif.Photo.ISOSpeedRatings": str(int(scene.frame.exposure.iso or ISO)),
    }
    name = f"{MAKE} {MODEL}"
    metadata = Metadata(original_name=path.name, make=MAKE, model=MODEL, unique_camera_model=name, exif=exif)
    with DecodeWorker(Limits()) as worker:
        write_dng(
            path,
            scene.frame,
            SourceFile(scene.frame, metadata),
            provenance={"Synthetic": "yes"},
            remaining_noise=None,
            noise_reduction_applied=0.0,
            options=WriteOptions(overwrite=True),
            worker=worker,
        )
    return path
