"""Tile geometry is right without any model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_core.engine.tiles import continued, plan_tiles


@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    inner=st.integers(64, 512),
    halo=st.integers(0, 96),
    alignment=st.sampled_from([2, 16, 32]),
    lead=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
@settings(max_examples=120, deadline=None)
def test_inner_rectangles_cover_the_frame_once(height, width, inner, halo, alignment, lead):
    covered = np.zeros((height, width), dtype=int)
    tiles = plan_tiles(height, width, inner, halo, alignment, lead)
    for tile in tiles:
        covered[tile.inner.slices] += 1
        assert (tile.outer.top + lead[0]) % alignment == 0
        assert (tile.outer.left + lead[1]) % alignment == 0
        assert tile.outer.height % alignment == tile.outer.width % alignment == 0
        assert -tile.outer.top <= lead[0] + alignment
        assert -tile.outer.left <= lead[1] + alignment
        assert tile.outer.bottom < height + 2 * alignment
        assert tile.outer.right < width + 2 * alignment
        assert tile.inner.top - tile.outer.top >= min(halo, tile.inner.top)
        assert tile.outer.bottom - tile.inner.bottom >= min(halo, height - tile.inner.bottom)
        assert tile.inner.left - tile.outer.left >= min(halo, tile.inner.left)
        assert tile.outer.right - tile.inner.right >= min(halo, width - tile.inner.right)
    assert (covered == 1).all()


def test_inner_in_outer_points_at_the_inner_pixels():
    frame = np.arange(90 * 70).reshape(90, 70)
    for tile in plan_tiles(90, 70, 64, 10, 2):
        rows = continued(tile.outer.top, tile.outer.height, 90, 2)
        columns = continued(tile.outer.left, tile.outer.width, 70, 2)
        np.testing.assert_array_equal(frame[np.ix_(rows, columns)][tile.inner_in_outer], frame[tile.inner.slices])


@pytest.mark.parametrize("length", [1, 2, 3, 7, 50])
def test_reflection_keeps_parity_and_matches_numpy(length):
    indices = continued(-20, 40 + length, length, 2)
    expected = np.pad(np.arange(length), 20, mode="reflect") if length > 1 else np.zeros(40 + length)
    np.testing.assert_array_equal(indices, expected)
    if length > 1:
        assert ((indices - np.arange(-20, 20 + length)) % 2 == 0).all()


def blur3(samples):
    padded = np.pad(samples, 1)
    return sum(padded[r : r + samples.shape[0], c : c + samples.shape[1]] for r in range(3) for c in range(3)) / 9


@pytest.mark.parametrize("size", [(32, 32), (33, 97), (5, 7)])
def test_a_blur_in_tiles_is_the_blur_of_the_whole(size):
    samples = np.random.default_rng(7).random(size)
    result = np.empty(size)
    for tile in plan_tiles(*size, inner=16, halo=1, alignment=2):
        rows = continued(tile.outer.top, tile.outer.height, size[0], 2)
        columns = continued(tile.outer.left, tile.outer.width, size[1], 2)
        result[tile.inner.slices] = blur3(samples[np.ix_(rows, columns)])[tile.inner_in_outer]
    wide = [continued(-1, side + 2, side, 2) for side in size]
    expected = blur3(samples[np.ix_(*wide)])[1:-1, 1:-1]
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("length", [6, 7, 11, 50])
def test_an_xtrans_pattern_goes_on_unbroken(length):
    indices = continued(-20, 40 + length, length, 6)
    assert indices.min() >= 0
    assert indices.max() < length
    np.testing.assert_array_equal(indices % 6, np.arange(-20, 20 + length) % 6)
    np.testing.assert_array_equal(indices[20:-20], np.arange(length))
