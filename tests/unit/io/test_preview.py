from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plugin_core.io.preview import render_preview, shrink
from tests.builders import NEUTRAL, PATTERNS, make_frame, make_linear

GREY = np.full((48, 60), 0.25, np.float32)


@pytest.mark.parametrize("cfa", PATTERNS)
def test_a_neutral_grey_is_grey_in_every_mosaic(cfa: str) -> None:
    frame = make_frame(48, 60, cfa=cfa, noise=None, signal=GREY, border=(3, 5, 0, 0))
    if frame.as_shot_neutral:
        gains = np.array(NEUTRAL, np.float32)[frame.cfa.color_map(48, 60)]
        frame = make_frame(48, 60, cfa=cfa, noise=None, signal=GREY * gains, border=(3, 5, 0, 0))
    picture = render_preview(frame)
    assert picture.dtype == np.uint8
    assert int(np.ptp(picture)) <= 1, "grey, without a pattern"


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", "XTRANS"])
def test_red_is_red_in_every_mosaic(cfa: str) -> None:
    red = np.where(PATTERNS[cfa].color_map(48, 60) == 0, 0.4, 0.02).astype(np.float32)
    picture = render_preview(make_frame(48, 60, cfa=cfa, noise=None, signal=red)).astype(int)
    assert (picture[..., 0] > picture[..., 1] + 50).all()
    assert (picture[..., 0] > picture[..., 2] + 50).all()


@pytest.mark.parametrize(("cfa", "size"), [("RGGB", (100, 150)), ("XTRANS", (66, 100)), ("MONOCHROME", (100, 150))])
def test_sizes_stay_near_the_longest_side(cfa: str, size: tuple[int, int]) -> None:
    frame = make_frame(404, 604, cfa=cfa)  # default crop 400x600
    assert render_preview(frame, longest=160).shape == (*size, 3)


def test_clipped_highlights_are_white() -> None:
    frame = make_frame(48, 60, noise=None, signal=np.ones((48, 60), np.float32))
    assert render_preview(frame).min() >= 230


def test_linear_pictures_too() -> None:
    assert render_preview(make_linear(80, 120), longest=30).shape == (20, 30, 3)
    assert render_preview(replace(make_linear(), as_shot_neutral=())).shape == (37, 53, 3)


@pytest.mark.parametrize("size", [(300, 200), (256, 256), (10, 2000), (1, 1)])
def test_thumbnails_fit(size: tuple[int, int]) -> None:
    assert max(shrink(np.zeros((*size, 3), np.uint8), 256).shape) <= 256
