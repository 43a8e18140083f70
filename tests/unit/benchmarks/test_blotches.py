"""What is left on a flat field, where it can be told beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from benchmarks.blotches import BLOTCH_LEVELS, BLOTCH_SCALES, fall, field_left, remains


def test_of_white_noise_all_is_left_at_every_scale() -> None:
    left = field_left("RGGB", BLOTCH_LEVELS[1], 1, lambda flat: flat.frame.signal())
    assert [left[scale] * scale for scale in BLOTCH_SCALES] == pytest.approx([1, 1, 1], rel=0.1)
    assert fall(left) == pytest.approx(1, rel=0.1)


def test_a_mean_leaves_blotches_of_its_own_size() -> None:
    at_16, against_white, falls = remains("XTRANS", lambda flat: uniform_filter(flat.frame.signal(), 64))
    assert at_16 == pytest.approx(1 / 64, rel=0.2)
    assert against_white < 1
    assert falls > 2  # a smooth blotch falls slower than white noise below its size
    assert remains("RGGB", lambda flat: np.asarray(flat.truth))[0] == 0
