"""Simulated files of which truth and noise are known: the protocol's sensor, and a denoiser run over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import BLACK, LEVELS, PATTERNS, Level, frame_of
from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import Session
from plugin_core.frame import NoiseProfile, NoiseSource, RawFrame
from plugin_core.ops.blend import BlendOptions, apply
from plugin_core.ops.denoise import Residual, restore
from simulation.cameras import FloatArray, xyz_to_camera
from simulation.scene import make_scene
from simulation.sensor import DN_RANGE, NoiseDraw, add_noise
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, mosaic

COLOUR = SceneColour(xyz_to_camera("Sony ILCE-7M3"), (2.1, 1.0, 1.6))
BAYER_LEVEL = {level.name: level for level in LEVELS}


@dataclass(frozen=True)
class Case:
    """A simulated file: its frame, its truth (H, W) in the file's signal units, and its noise."""

    frame: RawFrame
    truth: FloatArray
    profile: NoiseProfile


def noise_only(level: Level) -> NoiseDraw:
    """The level's shot and read noise; row noise apart, whose mean over a frame is not zero."""
    return NoiseDraw(a=level.draw.a, read_sigma=level.draw.read_sigma, step=level.draw.step)


def case(truth: FloatArray, cfa: str, draw: NoiseDraw, seed: int) -> Case:
    """The truth through the protocol's sensor."""
    noisy = add_noise(np.random.default_rng(seed), truth, draw)
    profile = NoiseProfile((draw.a,) * 3, (draw.b,) * 3, NoiseSource.USER)
    return Case(frame_of(BLACK + DN_RANGE * noisy, cfa, COLOUR), truth, profile)


def scene_truth(cfa: str, height: int, width: int, ratio: float = 1.0) -> FloatArray:
    """The demo scene's clean mosaic, `ratio` times underexposed."""
    rgb = camera_rgb(make_scene(11, height, width), COLOUR)
    return np.asarray(mosaic(rgb, cfa_colours(PATTERNS[cfa], height, width)) / np.float32(ratio), dtype=np.float32)


def run(one: Case, session: Session, inner: int = 2048) -> tuple[Residual, FloatArray]:
    """The residual in raw units, and the restored signal."""
    residual = restore(one.frame, one.profile, session, inner, lambda _: None, CancelToken())
    return residual, apply(one.frame, residual, BlendOptions()).signal()
