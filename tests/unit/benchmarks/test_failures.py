"""The card's pictures are chosen by their rule."""

import numpy as np
import pytest

from benchmarks.failures import COLUMNS, SIDE, candidate
from benchmarks.gallery import sheet

GREY = 0.5


@pytest.fixture
def mosaics():
    """Two by two pieces: the second has the largest error left, the third the least gain."""
    shape = (2 * SIDE + 5, 2 * SIDE + 7)
    truth = np.full(shape, GREY, dtype=np.float32)
    noisy, ours = truth + 0.1, truth + 0.01
    noisy[:SIDE, SIDE : 2 * SIDE] += 0.4
    ours[:SIDE, SIDE : 2 * SIDE] += 0.09
    noisy[SIDE : 2 * SIDE, :SIDE] = GREY + 0.05
    ours[SIDE : 2 * SIDE, :SIDE] = GREY + 0.04
    return {"noisy": noisy, "ours": ours, "truth": truth}


@pytest.mark.parametrize(("rule", "noisy", "ours"), [("largest error left", 6.02, 20.0), ("least gain", 26.02, 27.96)])
def test_the_piece_that_fits_the_rule(mosaics, rule, noisy, ours):
    pictures = {name: np.repeat(mosaic[..., None], 3, axis=-1) for name, mosaic in mosaics.items()}
    crop = candidate("label", mosaics, pictures, rule).crop
    assert crop.figures == pytest.approx({"noisy": noisy, "ours": ours}, abs=0.01)
    assert {picture.shape for picture in crop.pictures.values()} == {(SIDE, SIDE, 3)}
    drawn = sheet([crop, crop], COLUMNS, SIDE)
    assert drawn.width >= 3 * SIDE
    assert drawn.height >= 2 * SIDE
