"""Strength, luma, chroma and mask are arithmetic on the residual."""

import numpy as np
import pytest

from plugin_core.errors import OptionError
from plugin_core.frame import NoiseProfile, NoiseSource
from plugin_core.ops.blend import BlendOptions, ChromaPart, apply, change_map, remaining_noise
from tests.builders import PATTERNS, make_frame, make_linear

ANY_CFA = pytest.mark.parametrize("cfa", sorted(PATTERNS))


def noise_like(shape, sigma=40.0):
    return (sigma * np.random.default_rng(2).standard_normal(shape)).astype(np.float16)


@ANY_CFA
def test_strength_zero_is_the_identity_to_the_bit(cfa):
    frame = make_frame(cfa=cfa)
    result = apply(frame, noise_like((37, 53)), BlendOptions(strength=0.0))
    assert result is frame


@ANY_CFA
def test_half_lies_halfway(cfa):
    frame = make_frame(cfa=cfa, border=(2, 2, 2, 2))
    area = frame.active_area
    residual = noise_like((area.height, area.width))
    full = apply(frame, residual, BlendOptions()).mosaic
    half = apply(frame, residual, BlendOptions(strength=0.5)).mosaic
    np.testing.assert_allclose(half, (full + frame.mosaic) / 2, atol=1e-2)


@ANY_CFA
def test_luma_and_chroma_together_are_strength(cfa):
    frame = make_frame(cfa=cfa)
    residual = noise_like((37, 53))
    both = apply(frame, residual, BlendOptions(luma=0.4, chroma=0.4)).mosaic
    np.testing.assert_array_equal(both, apply(frame, residual, BlendOptions(luma=0.4, chroma=0.4)).mosaic)
    luma = apply(frame, residual, BlendOptions(chroma=0.0)).mosaic - frame.mosaic
    chroma = apply(frame, residual, BlendOptions(luma=0.0)).mosaic - frame.mosaic
    whole = apply(frame, residual, BlendOptions()).mosaic - frame.mosaic
    np.testing.assert_allclose(luma + chroma, whole, atol=0.05)


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", "XTRANS"])
def test_a_colour_cast_is_chroma_and_a_grey_one_is_luma(cfa):
    pattern = PATTERNS[cfa]
    colors = pattern.color_map(60, 66)
    grey = np.full((60, 66), 9.0, dtype=np.float16)
    assert np.abs(ChromaPart(grey, pattern).rows(0, 60)).max() < 1e-3
    red = np.where(colors == 0, 8.0, 0.0).astype(np.float16)
    part = ChromaPart(red, pattern).rows(0, 60)
    inner = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(part[inner][colors[inner] == 0], 6.0, atol=0.05)
    np.testing.assert_allclose(part[inner][colors[inner] != 0], -2.0, atol=0.05)


def test_mask_of_crop_or_of_area_and_no_other():
    frame = make_frame(40, 50)
    residual = noise_like((40, 50))
    mask = np.zeros((40, 50), dtype=np.float32)
    mask[:, 25:] = 1.0
    result = apply(frame, residual, BlendOptions(), mask).mosaic
    np.testing.assert_array_equal(result[:, :25], frame.mosaic[:, :25])
    assert (result[:, 25:] != frame.mosaic[:, 25:]).any()
    with pytest.raises(OptionError, match="the mask is 10 x 12 pixels"):
        apply(frame, residual, BlendOptions(), np.ones((12, 10), dtype=np.float32))


@pytest.mark.parametrize("name", ["strength", "luma", "chroma"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_out_of_range_is_refused(name, value):
    with pytest.raises(OptionError, match=name):
        BlendOptions(**{name: value})


@ANY_CFA
def test_change_map_counts_sigmas(cfa):
    frame = make_frame(cfa=cfa, noise=None)
    planes = frame.cfa.plane_count
    sigma_dn = 15.871  # sqrt(1e-6) of 15871
    residual = np.full((37, 53), 2 * sigma_dn, dtype=np.float16)
    profile = NoiseProfile((0.0,) * planes, (1e-6,) * planes, NoiseSource.USER)
    counted = change_map(frame, residual, profile)
    np.testing.assert_allclose(counted, 2 / 8 * 65535, rtol=2e-3)


def test_change_map_and_blend_of_a_linear_image():
    image = make_linear(30, 40)
    residual = noise_like(image.pixels.shape)
    profile = NoiseProfile((1e-4,) * 3, (1e-6,) * 3, NoiseSource.USER)
    assert change_map(image, residual, profile).shape == (30, 40)
    grey = apply(image, residual, BlendOptions(chroma=0.0)).pixels - image.pixels
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=0.02)


def test_remaining_noise_follows_strength():
    profile = NoiseProfile((1e-3,), (1e-5,), NoiseSource.TAG)
    assert remaining_noise(profile, BlendOptions(strength=0.0), 0.1) is profile
    assert remaining_noise(profile, BlendOptions(luma=0.5), 0.1) is None
    full = remaining_noise(profile, BlendOptions(), 0.1)
    assert full is not None
    assert full.a[0] == pytest.approx(1e-5)
    half = remaining_noise(profile, BlendOptions(strength=0.5), 0.0)
    assert half is not None
    assert half.b[0] == pytest.approx(2.5e-6)
