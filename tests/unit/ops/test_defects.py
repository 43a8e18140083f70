"""Known defects: what is interpolated, from what, and that nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_core.ops.defects import repair
from tests.builders import PATTERNS, make_frame

BORDER = (3, 5, 2, 4)


@pytest.mark.parametrize("cfa", list(PATTERNS))
def test_a_defect_takes_its_own_colours_level(cfa: str) -> None:
    levels = np.array([0.2, 0.5, 0.8], dtype=np.float32)[: PATTERNS[cfa].plane_count]
    clean = levels[PATTERNS[cfa].color_map(40, 46)]
    frame = make_frame(40, 46, cfa, border=BORDER, noise=None, signal=clean)
    rng = np.random.default_rng(1)
    sites = np.unique(rng.integers(0, (40, 46), (60, 2)), axis=0)
    sites = np.concatenate([sites, [[0, 0], [39, 45], [0, 45], [10, 10], [10, 12], [11, 11]]]) + BORDER[:2]
    broken = frame.mosaic.copy()
    broken[sites[:, 0], sites[:, 1]] = rng.choice([0, 16383], len(sites))  # dead, or clipped
    damaged = make_frame(40, 46, cfa, border=BORDER)
    object.__setattr__(damaged, "mosaic", broken)
    repaired = repair(damaged, sites)
    assert repaired.mosaic.dtype == np.uint16
    np.testing.assert_array_equal(repaired.mosaic, frame.mosaic)
    assert broken[sites[0, 0], sites[0, 1]] in (0, 16383), "the source frame is not written to"


def test_on_a_slope_it_is_the_middle() -> None:
    ramp = np.add.outer(np.arange(24), 2 * np.arange(30)).astype(np.float32) / 200
    frame = make_frame(24, 30, noise=None, signal=ramp)
    sites = np.array([[10, 10], [10, 11], [15, 15]])
    broken = frame.mosaic.copy()
    broken[sites[:, 0], sites[:, 1]] = 16383
    damaged = make_frame(24, 30)
    object.__setattr__(damaged, "mosaic", broken)
    np.testing.assert_allclose(repair(damaged, sites).mosaic, frame.mosaic, atol=1)


def test_sites_outside_the_picture_are_left_alone() -> None:
    frame = make_frame(20, 20, border=BORDER)
    sites = np.array([[0, 0], [1, 6], [999, 2], [-1, 5]])
    assert repair(frame, sites) is frame
