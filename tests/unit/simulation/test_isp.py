"""The fixed ISP: exact on what it can be exact on, the same filters as the reference, and it undoes unprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from simulation.cameras import BAYER, XTRANS, FloatArray, xyz_to_camera
from simulation.isp import demosaic, render
from simulation.unprocess import SceneColour, camera_rgb, cfa_colours, linear_to_srgb, mosaic

PATTERNS = {**BAYER, "XTRANS": XTRANS}
COLOUR = SceneColour(xyz_to_camera("Sony ILCE-7M3"), (2.1, 1.0, 1.6), 1.2)


def ramp(height: int, width: int) -> FloatArray:
    """A linear ramp that differs per colour, (height, width, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([0.1 + 0.004 * x, 0.2 + 0.003 * y, 0.5 - 0.002 * x + 0.001 * y], axis=-1)


@pytest.mark.parametrize("name", PATTERNS)
def test_flat_colour_is_exact(name: str) -> None:
    flat = np.broadcast_to(np.array([0.3, 0.6, 0.1], dtype=np.float32), (31, 45, 3))
    made = demosaic(mosaic(flat, cfa_colours(PATTERNS[name], 31, 45)), PATTERNS[name])
    np.testing.assert_allclose(made, flat, atol=1e-6)


@pytest.mark.parametrize("name", BAYER)
def test_linear_ramp_is_exact_inside(name: str) -> None:
    scene = ramp(31, 45)
    made = demosaic(mosaic(scene, cfa_colours(BAYER[name], 31, 45)), BAYER[name])
    np.testing.assert_allclose(made[2:-2, 2:-2], scene[2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("name", PATTERNS)
def test_measured_samples_are_kept(name: str) -> None:
    colours = cfa_colours(PATTERNS[name], 25, 37)
    raw = np.random.default_rng(1).normal(0.2, 0.3, (25, 37)).astype(np.float32)
    np.testing.assert_array_equal(mosaic(demosaic(raw, PATTERNS[name]), colours), raw)


@pytest.mark.parametrize("name", BAYER)
def test_malvar_equals_the_reference(name: str) -> None:
    reference = pytest.importorskip("colour_demosaicing", reason="colour-demosaicing (extra: benchmarks) is missing")
    raw = np.random.default_rng(2).random((30, 42), dtype=np.float32)
    expected = reference.demosaicing_CFA_Bayer_Malvar2004(raw, name)
    np.testing.assert_allclose(demosaic(raw, BAYER[name])[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-6)


def test_mirrored_borders_keep_the_phase() -> None:
    # A border that broke the phase would mix colours: a picture of pure green would turn red at its edge.
    green = np.zeros((12, 14, 3), dtype=np.float32)
    green[..., 1] = 0.7
    made = demosaic(mosaic(green, cfa_colours(BAYER["GRBG"], 12, 14)), BAYER["GRBG"])
    np.testing.assert_allclose(made, green, atol=1e-6)


@pytest.mark.parametrize("name", PATTERNS)
def test_render_undoes_unprocessing(name: str) -> None:
    linear = np.broadcast_to(np.array([0.25, 0.4, 0.15], dtype=np.float32), (24, 30, 3))
    raw = mosaic(camera_rgb(linear, COLOUR), cfa_colours(PATTERNS[name], 24, 30))
    np.testing.assert_allclose(render(raw, PATTERNS[name], COLOUR), linear_to_srgb(linear), atol=2e-5)


def test_monochrome_is_grey() -> None:
    picture = render(
        np.full((5, 7), 0.25, dtype=np.float32), ((0,),), SceneColour(np.eye(3, dtype=np.float32), (1, 1, 1))
    )
    np.testing.assert_allclose(picture, linear_to_srgb(np.full((5, 7, 3), 0.25, dtype=np.float32)), atol=1e-6)
