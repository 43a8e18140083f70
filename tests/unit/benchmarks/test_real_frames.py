"""The yardsticks for real frames, on frames whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from benchmarks.real_frames import Pair, judged, registered, whiteness
from plugin_core.frame import NoiseProfile, NoiseSource, RawFrame
from tests.builders import make_frame

A, B, RATIO, MOVED = 4e-5, 5e-8, 16.0, (-3.4, 1.3)
SIDE = 640
PROFILE = NoiseProfile((A,) * 3, (B,) * 3, NoiseSource.USER)


def scene() -> np.ndarray:
    """Bright enough everywhere, with structure of many sizes, and flat plates; (SIDE, SIDE) float32, .2 to .7."""
    rng = np.random.default_rng(4)
    coarse = sum(gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma) * sigma for sigma in (4, 9, 25))
    picture = 0.45 + 0.08 * np.asarray(coarse) / np.std(coarse)
    picture[100:300, 100:300] = 0.4
    return np.clip(picture, 0.2, 0.7).astype(np.float32)


def shoot(signal: np.ndarray, seed: int) -> RawFrame:
    frame = make_frame(SIDE, SIDE, "GBRG", signal=signal, noise=(A, B), seed=seed, black=0, dtype=np.float32)
    return replace(frame, mosaic=np.maximum(frame.mosaic, 0))


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return scene()


@pytest.fixture(scope="module")
def pair(clean: np.ndarray) -> Pair:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    shifted = map_coordinates(clean, [rows - MOVED[0], columns - MOVED[1]], order=3, mode="nearest")
    return registered(shoot(clean / RATIO, 1), shoot(shifted.astype(np.float32), 2), PROFILE)


def test_the_long_frame_is_laid_on_the_short_one(pair: Pair) -> None:
    assert pair.ratio == pytest.approx(RATIO, rel=0.01)
    np.testing.assert_allclose(pair.moved, MOVED, atol=0.15)
    assert pair.good.mean() > 0.7


def test_noise_and_contrast_are_told_apart(pair: Pair, clean: np.ndarray) -> None:
    truth = clean / np.float32(RATIO)
    noisy = shoot(truth, 1).signal()
    half = truth + np.float32(0.25) * (noisy - truth)
    gain, blocks, contrast, edges = judged(pair, half)
    assert blocks > 100
    assert edges > 1000
    assert gain == pytest.approx(20 * np.log10(4), abs=0.6)
    assert contrast == pytest.approx(1, abs=0.01)
    blurred = np.stack([gaussian_filter(truth[r::2, c::2], 1.5) for r in range(2) for c in range(2)])
    softer = np.empty_like(truth)
    for index, plane in enumerate(blurred):
        softer[index // 2 :: 2, index % 2 :: 2] = plane
    assert judged(pair, softer)[2] < 0.97


def test_a_white_residual_passes_and_a_picture_in_it_does_not(clean: np.ndarray) -> None:
    frame = shoot(clean, 3)
    noise = (frame.signal() - clean) * frame.white_level[0]
    worst, signed, size = whiteness(frame, noise, PROFILE)
    assert worst < 0.02
    assert max(abs(signed), abs(size)) < 0.02
    edges = np.abs(np.roll(clean, 2, 1) - np.roll(clean, -2, 1)) * frame.white_level[0]
    assert whiteness(frame, noise + edges, PROFILE)[1] > 0.1
    assert whiteness(frame, gaussian_filter(noise, 0.7), PROFILE)[0] > 0.2
