"""The coarser scale: where its means lie, what noise they have, and what it does to a result."""

from dataclasses import replace

import numpy as np
import pytest

from plugin_core.engine.cancel import CancelToken
from plugin_core.engine.session import open_session
from plugin_core.engine.tiles import continued
from plugin_core.frame import XTRANS_PATTERN, CfaKind, NoiseProfile, NoiseSource, Rect
from plugin_core.models import Registry
from plugin_core.models.package import MOST_SCALES
from plugin_core.ops.blend import BlendOptions, apply
from plugin_core.ops.denoise import restore
from plugin_core.ops.mosaic import Mosaic, read
from plugin_core.ops.scales import SHIPPED, add_coarse, coarse_mosaic, coarse_profile, windows_of
from tests.builders import MONOCHROME, PATTERNS, make_frame

SIDE = SHIPPED.sides[0]
ANY_CFA = pytest.mark.parametrize("cfa", sorted(PATTERNS))
SESSION = open_session(Registry().get())


def mosaic_of(samples, cfa):
    black, white = (np.broadcast_to(np.float32(level), samples.shape) for level in (0, 1))
    return Mosaic(samples.astype(np.float32), black, white, cfa)


def profile_of(cfa, a=1e-3, b=1e-5):
    return NoiseProfile((a,) * cfa.plane_count, (b,) * cfa.plane_count, NoiseSource.USER)


def restored(frame, coarser, inner=2048):
    SESSION.manifest = replace(SESSION.manifest, coarser_scales=coarser)
    residual = restore(frame, profile_of(frame.cfa), SESSION, inner, lambda share: None, CancelToken())
    return apply(frame, residual, BlendOptions()).signal()


def test_every_photosite_counts_once_and_xtrans_becomes_rggb():
    for cfa in [*PATTERNS.values(), *(XTRANS_PATTERN.shifted(r, c) for r in range(6) for c in range(6))]:
        windows = windows_of(cfa, SIDE)
        assert sum(windows.counts) == windows.side**2
        members = np.tile(windows.members, (3, 3))[:6, :6]
        colors = np.ravel(windows.cfa.colors) if cfa.kind is not CfaKind.MONOCHROME else np.zeros(4, int)
        np.testing.assert_array_equal(colors[members], cfa.color_map(6, 6))
    assert windows_of(XTRANS_PATTERN, SIDE).counts == (32, 40, 40, 32)
    assert windows_of(MONOCHROME, SIDE).counts == (36, 36, 36, 36)


@ANY_CFA
@pytest.mark.parametrize("size", [(240, 300), (245, 307)])
def test_means_lie_where_the_coarse_photosites_are(cfa, size):
    """Of a slope each coarse photosite has the value at its middle, to half a fine photosite in both directions."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    pattern = PATTERNS[cfa]
    windows = windows_of(pattern, SIDE)
    coarse = coarse_mosaic(mosaic_of(0.001 * y + 0.002 * x, pattern), windows)
    assert coarse.samples.shape == tuple(2 * n for n in windows.size(*size))
    rows, columns = np.mgrid[2 : size[0] // 6 - 2, 2 : size[1] // 6 - 2]
    expected = 0.001 * 6 * (rows + 0.5) + 0.002 * 6 * (columns + 0.5)
    found = coarse.samples[2 : size[0] // 6 - 2, 2 : size[1] // 6 - 2]
    assert np.abs(found - expected).max() <= 0.001 * 0.5 + 0.002 * 0.5 + 1e-5


@ANY_CFA
def test_noise_of_the_means_is_white_and_as_told(cfa):
    pattern = PATTERNS[cfa]
    noise = np.random.default_rng(1).standard_normal((1200, 1200)) * 0.01
    windows = windows_of(pattern, SIDE)
    coarse = coarse_mosaic(mosaic_of(noise, pattern), windows).samples[4:-4, 4:-4]
    told = coarse_profile(profile_of(pattern, 0.0, 1e-4), windows)
    for color in range(windows.cfa.plane_count):
        sites = windows.cfa.color_map(*coarse.shape) == color
        assert np.var(coarse[sites]) == pytest.approx(told.b[color], rel=0.06)
    for neighbour in (coarse[:, 1:] * coarse[:, :-1], coarse[1:] * coarse[:-1], coarse[1:, 1:] * coarse[:-1, :-1]):
        assert abs(neighbour.mean()) < 0.03 * np.var(coarse)


@ANY_CFA
def test_a_slope_in_the_coarse_residual_comes_out_where_it_belongs(cfa):
    """A residual that is a slope, and a coarse one that says there should be none: it goes, as it is smooth."""
    pattern = PATTERNS[cfa]
    y, x = np.mgrid[0:301, 0:295] + 0.5
    windows = windows_of(pattern, SIDE)
    mosaic = mosaic_of(np.full(y.shape, 0.5), pattern)
    coarse = coarse_mosaic(mosaic, windows)
    residual = (1e-6 * y + 2e-6 * x).astype(np.float32)
    before = residual.copy()
    add_coarse(residual, mosaic, windows, coarse, np.zeros_like(coarse.samples), profile_of(windows.cfa, 0.0, 1.0))
    inside = slice(70, -70)
    assert np.abs(residual[inside, inside]).max() < 0.01 * before[inside, inside].max()


def test_a_manifest_asks_for_no_more_scales_than_there_are():
    assert len(SHIPPED.sides) == MOST_SCALES


def test_small_mosaics_have_no_coarser_scale():
    cfa = PATTERNS["RGGB"]
    assert coarse_mosaic(mosaic_of(np.zeros((80, 500)), cfa), windows_of(cfa, SIDE)) is None
    assert coarse_mosaic(mosaic_of(np.zeros((96, 500)), cfa), windows_of(cfa, SIDE)) is not None


@ANY_CFA
def test_flat_fields_lose_their_blotches(cfa):
    """In means over 64 x 64 less than .6 remains of what one scale leaves; single photosites are as before."""
    frame = make_frame(768, 768, cfa=cfa, noise=None)
    noise = np.random.default_rng(4).standard_normal((768, 768)) * np.sqrt(1e-3 * 0.01 + 1e-5)
    frame = replace(frame, mosaic=(512 + 15871 * (0.01 + noise)).astype(np.float32))
    one, several = restored(frame, 0), restored(frame, 4)
    means = [values.reshape(12, 64, 12, 64).mean(axis=(1, 3)) for values in (one, several)]
    assert means[1].std() < 0.6 * means[0].std()
    assert several.std() <= 1.01 * one.std()
    assert abs(float(several.mean() - frame.signal().mean())) < 1e-4


@ANY_CFA
def test_pictures_keep_their_structure_and_clipping(cfa):
    frame = make_frame(300, 420, cfa=cfa, noise=(1e-3, 1e-5), seed=6)
    clean = make_frame(300, 420, cfa=cfa, noise=None).signal()
    errors = [np.mean((restored(frame, coarser) - clean)[~frame.saturated()] ** 2) for coarser in (0, 4)]
    assert errors[1] < 1.01 * errors[0]
    np.testing.assert_array_equal(restored(frame, 4)[frame.saturated()], frame.signal()[frame.saturated()])


@pytest.mark.parametrize("cfa", ["GBRG", "XTRANS"])
def test_tiles_agree_at_several_scales(cfa):
    frame = make_frame(301, 423, cfa=cfa, noise=(1e-3, 1e-5), seed=4)
    whole = restored(frame, 4)
    assert np.abs(restored(frame, 4, inner=160) - whole).max() <= 1e-4


@pytest.mark.parametrize("period", [1, 2, 6])
@pytest.mark.parametrize("area", [(-5, -7, 40, 50), (3, 4, 5, 6), (-20, 2, 60, 8), (10, -9, 4, 60)])
def test_read_continues_at_every_side(period, area):
    samples = np.random.default_rng(2).integers(0, 99, (24, 30)).astype(np.uint16)
    top, left, height, width = area
    rows, columns = continued(top, height, 24, period), continued(left, width, 30, period)
    found = read(samples, Rect(*area), period)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, samples[np.ix_(rows, columns)])
