"""Properties of the variance model and its stabiliser."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_core.errors import OptionError
from plugin_core.frame import BAYER_PATTERNS, NoiseProfile, NoiseSource
from plugin_core.noise.profile import stabilise, stabiliser_offset, unstabilise, variance

PROFILE = NoiseProfile((1e-3, 2e-3, 3e-3), (1e-6, 2e-6, 3e-6), NoiseSource.USER)


def f32(value: float) -> np.ndarray:
    return np.asarray(value, dtype=np.float32)


def test_variance_of_a_mosaic_follows_the_colour_of_each_photosite() -> None:
    colours = BAYER_PATTERNS["GRBG"].color_map(5, 7)
    signal = np.full((5, 7), 0.25, dtype=np.float32)
    found = variance(signal, PROFILE, colours)
    for plane in range(3):
        expected = PROFILE.a[plane] * 0.25 + PROFILE.b[plane]
        np.testing.assert_allclose(found[colours == plane], expected, rtol=1e-5)


def test_variance_of_a_linear_image_goes_by_channel_and_below_black_it_is_b() -> None:
    signal = np.full((3, 4, 3), -0.1, dtype=np.float32)
    np.testing.assert_allclose(variance(signal, PROFILE, None)[1, 2], PROFILE.b, rtol=1e-6)


def test_one_pair_serves_all_planes() -> None:
    profile = NoiseProfile((1e-3,), (1e-6,), NoiseSource.TAG)
    colours = BAYER_PATTERNS["RGGB"].color_map(4, 4)
    found = variance(np.ones((4, 4), dtype=np.float32), profile, colours)
    np.testing.assert_allclose(found, 1e-3 + 1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "profile",
    [
        NoiseProfile((1e-3, 1e-3), (0.0, 0.0), NoiseSource.TAG),
        NoiseProfile((1e-3,), (), NoiseSource.TAG),
        NoiseProfile((-1e-3,), (1e-6,), NoiseSource.USER),
        NoiseProfile((0.0,), (0.0,), NoiseSource.USER),
        NoiseProfile((float("nan"),), (1e-6,), NoiseSource.USER),
    ],
)
def test_unfit_profiles_are_refused(profile: NoiseProfile) -> None:
    with pytest.raises(OptionError) as caught:
        variance(np.ones((4, 4, 3), dtype=np.float32), profile, None)
    assert caught.value.reason == "BAD_NOISE_PROFILE"


@pytest.mark.parametrize(("a", "b"), [(0.0, 1e-6), (3e-5, 1e-9), (2e-2, 4e-4), (1e-3, 1e-12)])
def test_unstabilise_is_the_inverse(a: float, b: float) -> None:
    signal = np.linspace(-0.2, 1.3, 301, dtype=np.float32)
    c = stabiliser_offset(f32(a), f32(b))
    back = unstabilise(stabilise(signal, f32(a), c), f32(a), c)
    np.testing.assert_allclose(back, signal, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("a", [0.0, 1e-4, 2e-2])
def test_stabilise_rises_everywhere_and_is_linear_below_black(a: float) -> None:
    c = stabiliser_offset(f32(a), f32(1e-5))
    z = stabilise(np.linspace(-0.5, 1.5, 401, dtype=np.float32), f32(a), c)
    assert np.all(np.diff(z) > 0)
    assert stabilise(f32(0.0), f32(a), c) == 0
    below = np.linspace(-0.5, 0.0, 11, dtype=np.float32)
    np.testing.assert_allclose(stabilise(below, f32(a), c), below / np.sqrt(c), rtol=1e-5)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.3, 0.9])
@pytest.mark.parametrize(("a", "b"), [(1e-4, 1e-7), (5e-3, 1e-4)])
def test_stabilised_noise_has_sigma_one(level: float, a: float, b: float) -> None:
    rng = np.random.default_rng(3)
    noisy = rng.poisson(level / a, 60_000) * a + rng.normal(0, np.sqrt(b), 60_000)
    z = stabilise(noisy.astype(np.float32), f32(a), stabiliser_offset(f32(a), f32(b)))
    assert z.std() == pytest.approx(1.0, abs=0.04)
