"""Unprocessing: each step has its inverse, and highlights stay white."""

from __future__ import annotations

import numpy as np
import pytest

from simulation.cameras import BAYER, XTRANS, XYZ_TO_CAMERA, random_xyz_to_camera, srgb_to_camera, xyz_to_camera
from simulation.scene import make_scene
from simulation.unprocess import (
    SceneColour,
    camera_rgb,
    cfa_colours,
    inverse_smoothstep,
    linear_to_srgb,
    mosaic,
    srgb_to_linear,
)


def test_curves_invert() -> None:
    x = np.linspace(0, 1, 257, dtype=np.float32)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(x)), x, atol=2e-6)
    y = inverse_smoothstep(x)
    np.testing.assert_allclose(3 * y**2 - 2 * y**3, x, atol=2e-6)


@pytest.mark.parametrize("name", XYZ_TO_CAMERA)
def test_grey_stays_grey_in_every_camera(name: str) -> None:
    np.testing.assert_allclose(srgb_to_camera(xyz_to_camera(name)).sum(axis=1), 1, atol=1e-5)


def test_random_matrix_lies_between_real_ones() -> None:
    real = np.array([xyz_to_camera(name).ravel() for name in XYZ_TO_CAMERA])
    drawn = random_xyz_to_camera(np.random.default_rng(1)).ravel()
    assert np.all(drawn >= real.min(axis=0))
    assert np.all(drawn <= real.max(axis=0))


def test_white_stays_white_and_midtones_get_the_gains() -> None:
    colour = SceneColour(xyz_to_camera("Nikon D850"), (2.0, 1.0, 1.6), 1.25)
    np.testing.assert_allclose(camera_rgb(np.ones((1, 1, 3), dtype=np.float32), colour), 1, atol=1e-5)
    grey = camera_rgb(np.full((1, 1, 3), 0.4, dtype=np.float32), colour)[0, 0]
    np.testing.assert_allclose(grey * (2.0, 1.0, 1.6) * np.float32(1.25), 0.4, rtol=1e-4)


@pytest.mark.parametrize("pattern", [*BAYER.values(), XTRANS])
def test_mosaic_takes_each_photosites_colour(pattern: tuple[tuple[int, ...], ...]) -> None:
    rgb = np.random.default_rng(2).random((13, 17, 3), dtype=np.float32)
    raw = mosaic(rgb, cfa_colours(pattern, 13, 17))
    for row, column in [(0, 0), (5, 3), (12, 16), (7, 10)]:
        colour = pattern[row % len(pattern)][column % len(pattern)]
        assert raw[row, column] == rgb[row, column, colour]


def test_xtrans_has_its_published_shares() -> None:
    counts = np.bincount(np.array(XTRANS).ravel())
    assert counts.tolist() == [8, 20, 8]
    assert all(set(row) == {0, 1, 2} for row in XTRANS)


def test_scene_is_reproducible_and_uses_its_range() -> None:
    scene = make_scene(5, 96, 160)
    np.testing.assert_array_equal(scene, make_scene(5, 96, 160))
    assert scene.shape == (96, 160, 3)
    assert scene.min() >= 0
    assert scene.max() > 0.6
    assert not np.array_equal(scene, make_scene(6, 96, 160))
