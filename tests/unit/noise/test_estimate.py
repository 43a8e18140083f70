"""Noise is found again: every CFA, textured scenes, dark integers, clipped black, masked borders."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from plugin_core.frame import CfaPattern, FloatArray, LinearImage, NoiseProfile, RawFrame, Rect
from plugin_core.noise.blocks import measure_blocks, quantisation_step
from plugin_core.noise.estimate import measure
from plugin_core.noise.masked import masked_variance
from simulation.scene import make_scene
from simulation.sensor import NoiseDraw, add_noise
from simulation.unprocess import mosaic
from tests.builders import PATTERNS

WHITE = 16383


@lru_cache(maxsize=1)
def scene() -> FloatArray:
    """Text, leaves, fabric, gradients and patches, odd-sized."""
    return make_scene(1, 431, 645)


def shoot(
    cfa: CfaPattern, draw: NoiseDraw, *, black: int = 512, exposure: float | FloatArray = 1.0, seed: int = 1
) -> RawFrame:
    """The scene through the sensor as 14-bit integers; exposure: one, or (W, 1) column by column."""
    rgb = scene() * np.asarray(exposure, dtype=np.float32)
    height, width = rgb.shape[:2]
    colours = cfa.color_map(height, width)
    clean = rgb.mean(-1) if cfa.plane_count == 1 else mosaic(rgb, colours)
    noisy = add_noise(np.random.default_rng(seed), clean.astype(np.float32), draw)
    raw = np.clip(np.round(noisy * (WHITE - black) + black), 0, WHITE).astype(np.uint16)
    area = Rect(0, 0, height, width)
    return RawFrame(raw, cfa, ((float(black),),), (float(WHITE),) * 3, area, area)


def sigma_errors(found: NoiseProfile | None, draw: NoiseDraw, *levels: float) -> list[float]:
    """sigma found / true - 1 of the worst plane at each level."""
    assert found is not None
    errors = []
    for level in levels:
        sigma = np.sqrt(np.array(found.a) * level + np.array(found.b))
        ratios = sigma / np.sqrt(draw.a * level + draw.b) - 1
        errors.append(float(np.abs(ratios).max()))
    return errors


@pytest.mark.parametrize("name", ["RGGB", "GBRG", "XTRANS", "MONOCHROME"])
@pytest.mark.parametrize(("a", "electrons2"), [(4e-4, 8.0), (6e-3, 1.0)])
def test_sigma_is_found_on_a_textured_scene(name: str, a: float, electrons2: float) -> None:
    draw = NoiseDraw(a=a, read_sigma=a * electrons2**0.5, step=1 / 15871)
    found = measure(shoot(PATTERNS[name], draw))
    assert found is not None
    assert len(found.a) == len(found.b) == PATTERNS[name].plane_count
    assert max(sigma_errors(found, draw, 0.18, 0.005)) < 0.15
    assert found.confidence > 0.25


def test_heavy_tails_count_in_full() -> None:
    draw = NoiseDraw(a=4e-3, read_sigma=1e-2, tukey_lambda=-0.1)
    assert max(sigma_errors(measure(shoot(PATTERNS["RGGB"], draw)), draw, 0.18, 0.005)) < 0.15


@pytest.mark.parametrize(("a", "read"), [(4e-4, 1e-3), (4e-3, 4e-3)])
def test_noise_that_the_camera_smoothed_is_found_in_full(a: float, read: float) -> None:
    found = measure(shoot(PATTERNS["GRBG"], draw := NoiseDraw(a=a, read_sigma=read, correlation=0.15)))
    assert max(sigma_errors(found, draw, 0.18, 0.02)) < 0.15
    assert found is not None
    assert "smoothed in the camera" in found.detail
    plain = measure(shoot(PATTERNS["GRBG"], replace(draw, correlation=0.0)))
    assert plain is not None
    assert "smoothed" not in plain.detail


def test_what_groups_have_in_common_is_picture() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((512, 512), dtype=np.float32)
    slope = np.add.outer(np.arange(512), np.arange(512)).astype(np.float32)
    area = Rect(0, 0, 512, 512)
    black, white = ((0.0,),), (1.0,) * 3
    for pixels, expected in ((noise, 0.0), (slope, 4.0)):  # a slope of 1 steps by 2 along each side of a quad
        table = measure_blocks(RawFrame(pixels, PATTERNS["RGGB"], black, white, area, area))
        assert table is not None
        assert table.common.mean() == pytest.approx(expected, abs=0.02)
        assert table.step.mean() == pytest.approx(expected if expected else 1.0, rel=0.02)


def test_hot_pixels_do_not_count() -> None:
    draw = NoiseDraw(a=1e-3, read_sigma=2e-3, hot_density=5e-4)
    assert max(sigma_errors(measure(shoot(PATTERNS["RGGB"], draw)), draw, 0.18, 0.005)) < 0.15


def test_shadows_between_two_values_do_not_hide_the_noise() -> None:
    draw = NoiseDraw(a=1e-3, read_sigma=1e-3, step=1 / 255)  # 8 bits stretched to 14; a step is four read sigmas
    shadow = np.where(np.arange(645) < 300, 0.01, 1.0)[:, None]
    assert max(sigma_errors(measure(shoot(PATTERNS["RGGB"], draw, exposure=shadow)), draw, 0.18, 0.01)) < 0.2


@pytest.mark.parametrize("name", ["RGGB", "XTRANS"])
def test_a_frame_in_the_dark_of_a_few_steps_above_black(name: str) -> None:
    ratio, dn = 200.0, 1 / 15871
    draw = NoiseDraw(a=dn, read_sigma=3 * dn, row_sigma=0.5 * dn, step=dn)
    found = measure(shoot(PATTERNS[name], draw, exposure=1 / ratio))
    assert max(sigma_errors(found, draw, 0.18 / ratio, 0.005 / ratio)) < 0.12


def test_black_clipped_at_zero_is_undone() -> None:
    draw = NoiseDraw(a=2e-3, read_sigma=5e-3)
    clipped = shoot(PATTERNS["RGGB"], draw, black=0)
    assert np.count_nonzero(clipped.mosaic == 0) > 1000
    assert max(sigma_errors(measure(clipped), draw, 0.18, 0.005)) < 0.15


def test_an_overexposed_frame_is_measured_where_it_is_not() -> None:
    draw = NoiseDraw(a=1e-3, read_sigma=1e-3)
    assert sigma_errors(measure(shoot(PATTERNS["RGGB"], draw, exposure=3.0)), draw, 0.18)[0] < 0.15


@pytest.mark.parametrize("value", [0, 600, WHITE])
def test_a_constant_frame_shows_no_noise(value: int) -> None:
    frame = shoot(PATTERNS["RGGB"], NoiseDraw(a=1e-3, read_sigma=1e-3))
    assert measure(replace(frame, mosaic=np.full_like(frame.mosaic, value))) is None


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (24, 24)])
def test_a_tiny_frame_shows_no_noise(size: tuple[int, int]) -> None:
    frame = shoot(PATTERNS["XTRANS"], NoiseDraw(a=1e-3, read_sigma=1e-3))
    area = Rect(0, 0, *size)
    assert measure(replace(frame, active_area=area, default_crop=area)) is None


def test_a_linear_image_is_measured_with_less_confidence() -> None:
    draw = NoiseDraw(a=2e-3, read_sigma=4e-3)
    rng = np.random.default_rng(3)
    noisy = np.stack([add_noise(rng, scene()[..., channel], draw) for channel in range(3)], axis=-1)
    area = Rect(0, 0, *noisy.shape[:2])
    found = measure(LinearImage(noisy, (0.0,) * 3, (1.0,) * 3, area))
    assert max(sigma_errors(found, draw, 0.18, 0.005)) < 0.15
    assert found is not None
    assert found.confidence <= 0.6


def with_border(frame: RawFrame, sigma: float, level: float) -> RawFrame:
    """The frame inside a dark border of 40 columns to the left."""
    height, width = frame.mosaic.shape
    dark = np.random.default_rng(4).normal(level, sigma, (height, 40))
    whole = np.hstack([np.clip(np.round(dark), 0, WHITE).astype(np.uint16), frame.mosaic])
    return replace(frame, mosaic=whole, active_area=Rect(0, 40, height, width))


@pytest.mark.parametrize("name", ["RGGB", "MONOCHROME"])
def test_a_small_frame_with_a_block_at_every_level_shows_none(name: str) -> None:
    """48 blocks, no two alike: at no level there are enough."""
    levels = ((np.arange(48).reshape(6, 8) + 0.5) / 48) ** 2 * 0.9
    raw = np.round(512 + 15871 * np.pad(np.kron(levels, np.ones((8, 8))), ((0, 4), (0, 4)), mode="edge"))
    noisy = raw + np.random.default_rng(3).integers(-2, 3, raw.shape)
    area, cfa = Rect(0, 0, *raw.shape), PATTERNS[name]
    frame = RawFrame(noisy.astype(np.uint16), cfa, ((512.0,),), (float(WHITE),) * cfa.plane_count, area, area)
    assert measure(frame) is None


def test_masked_photosites_give_the_read_noise() -> None:
    frame = with_border(shoot(PATTERNS["RGGB"], NoiseDraw(a=1e-3, read_sigma=20 / 15871)), 20.0, 512.0)
    expected = (20 / 15871) ** 2
    assert masked_variance(frame) == pytest.approx(expected, rel=0.05)
    found = measure(frame)
    assert found is not None
    assert found.b == pytest.approx((expected,) * 3, rel=0.25)
    assert "masked photosites" in found.detail


@pytest.mark.parametrize(("sigma", "level"), [(0.0, 512.0), (20.0, 2000.0), (20.0, 10.0)])
def test_borders_that_hold_no_dark_are_left_out(sigma: float, level: float) -> None:
    frame = with_border(shoot(PATTERNS["RGGB"], NoiseDraw(a=1e-3, read_sigma=2e-3)), sigma, level)
    assert masked_variance(frame) is None


def test_the_step_of_values_that_were_multiplied() -> None:
    assert quantisation_step(np.arange(0, 400, 4, dtype=np.uint16)[None]) == 4
    stretched = np.rint(np.arange(256) * 16383 / 255).astype(np.uint16)  # steps of 64 and 65
    assert quantisation_step(stretched[None]) == 64
    assert quantisation_step(np.arange(9, dtype=np.float32)[None]) == 0
