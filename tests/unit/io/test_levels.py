from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plugin_core.frame import NoiseProfile, NoiseSource, RawFrame
from plugin_core.io.levels import Levels, choose_levels, quantised
from tests.builders import make_frame, make_signal

QUIET = NoiseProfile((1e-9,) * 3, (1e-12,) * 3, NoiseSource.DEFAULT)
LOUD = NoiseProfile((1e-3,) * 3, (1e-5,) * 3, NoiseSource.DEFAULT)


def written(frame: RawFrame, levels: Levels) -> np.ndarray:
    return quantised(frame, levels, 0, 0, *frame.mosaic.shape)


def signal_of(frame: RawFrame, levels: Levels) -> np.ndarray:
    samples = written(frame, levels)[frame.active_area.slices].astype(np.float64)
    return (samples - levels.black) / (levels.white - levels.black)


@pytest.mark.parametrize("black", [0, 64, 512.25])
def test_an_untouched_mosaic_is_written_as_it_is(black: float) -> None:
    frame = make_frame(black=black)
    levels = choose_levels(frame, None)
    assert levels.unchanged
    assert (levels.black, levels.white, levels.notes) == (black, 16383, ())
    np.testing.assert_array_equal(written(frame, levels), frame.mosaic)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("black", [0, 16])
@pytest.mark.parametrize("noise", [QUIET, LOUD, None], ids=["quiet", "loud", "unknown"])
def test_float_signals_survive_within_half_a_step(bits: int, black: int, noise: NoiseProfile | None) -> None:
    frame = make_frame(bits=bits, black=black, dtype=np.float32, noise=(1e-4, 4e-4), border=(2, 4, 0, 0))
    levels = choose_levels(frame, noise)
    step = 1 / (levels.white - levels.black)
    expected = np.minimum(frame.signal(), (65535 - levels.black) * step)
    assert np.abs(signal_of(frame, levels) - expected).max() <= 0.51 * step
    assert signal_of(frame, levels).min() < 0, "values below black are cut"
    assert step <= 1 / 8192 if bits < 16 else True


def test_the_step_is_fine_where_little_noise_remains() -> None:
    frame = make_frame(black=512, dtype=np.float32, signal=np.minimum(make_signal(37, 53)[..., 1], 1), noise=None)
    loud, quiet = choose_levels(frame, LOUD), choose_levels(frame, QUIET)
    assert loud.scale == 1
    assert loud.notes == ()
    assert quiet.scale == 4  # the largest power of two that 16 bits hold
    assert "rescaled by 4" in quiet.notes[0]


def test_a_twelve_bit_source_is_stretched_and_says_so() -> None:
    levels = choose_levels(make_frame(bits=12, black=128, dtype=np.float32), LOUD)
    assert (levels.scale, levels.black, levels.white) == (4, 512, 512 + 4 * (4095 - 128))
    assert "rescaled" in levels.notes[0]


def test_the_pedestal_grows_for_values_below_zero() -> None:
    frame = make_frame(black=0, dtype=np.float32)
    assert frame.mosaic.min() < 0
    levels = choose_levels(frame, LOUD)
    assert levels.black == 256
    assert "raised" in levels.notes[0]
    assert signal_of(frame, levels).min() == pytest.approx(frame.signal().min(), abs=1e-4)


def test_a_full_sixteen_bit_range_still_holds_a_pedestal() -> None:
    frame = make_frame(bits=16, black=0, white=65535, dtype=np.float32, noise=(0, 1e-4))
    levels = choose_levels(frame, LOUD)
    assert levels.scale < 1
    saturated = frame.saturated()
    assert (written(frame, levels)[saturated] >= levels.white).all()
    np.testing.assert_allclose(signal_of(frame, levels), np.minimum(frame.signal(), 1.2), atol=2e-5)


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", "XTRANS"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_different_blacks_become_one_in_every_position(cfa: str, dtype: type) -> None:
    six = tuple(tuple(500 + r + c for c in range(6)) for r in range(6))
    rows = six if cfa == "XTRANS" else ((500, 507), (513, 521))
    frame = make_frame(cfa=cfa, black=tuple(tuple(map(float, row)) for row in rows), dtype=dtype, border=(7, 5, 1, 0))
    levels = choose_levels(frame, LOUD)
    assert "made equal" in levels.notes[0]
    area = frame.active_area
    samples = written(frame, levels)[area.slices].astype(np.float32)
    moved = (samples - levels.black) - (frame.mosaic[area.slices] - frame.black_map())
    unsaturated = ~frame.saturated()
    assert np.abs(moved[unsaturated]).max() <= 0.51
    assert (written(frame, levels)[area.slices][frame.saturated()] >= levels.white).all()


def test_blocks_agree_with_the_whole() -> None:
    frame = make_frame(cfa="XTRANS", black=tuple(tuple(500.0 + 6 * r + c for c in range(6)) for r in range(6)))
    frame = replace(frame, mosaic=frame.mosaic.astype(np.float32))
    levels = choose_levels(frame, None)
    whole = written(frame, levels)
    for top, left in ((0, 0), (16, 0), (16, 32), (5, 7)):
        np.testing.assert_array_equal(
            quantised(frame, levels, top, left, 16, 16), whole[top : top + 16, left : left + 16]
        )


def test_blacks_within_one_are_made_equal_in_restored_samples() -> None:
    frame = make_frame(black=((128, 128), (127, 128)), bits=12)
    assert choose_levels(frame, LOUD).unchanged
    restored = choose_levels(replace(frame, mosaic=frame.mosaic.astype(np.float32)), LOUD)
    assert not restored.unchanged
    assert restored.black == 128 * 4
