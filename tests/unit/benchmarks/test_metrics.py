"""Metrics and baselines on what they must be exact on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import metrics
from benchmarks.scenes import LEVELS, finished, frame_of, seed_of
from simulation.cameras import xyz_to_camera
from simulation.unprocess import SceneColour

COLOUR = SceneColour(xyz_to_camera("Nikon D850"), (2.0, 1.0, 1.6))


def test_psnr_of_a_known_error() -> None:
    truth = np.full((8, 8), 0.5, dtype=np.float32)
    assert metrics.psnr(truth + np.float32(0.1), truth) == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(truth, truth) == 100


def test_psnr_clips_both() -> None:
    assert metrics.psnr(np.full((4, 4), 1.5, dtype=np.float32), np.ones((4, 4), dtype=np.float32)) == 100


def test_ssim_is_one_for_equal_and_falls_with_noise() -> None:
    pytest.importorskip("skimage", reason="scikit-image (extra: benchmarks) is missing")
    rng = np.random.default_rng(1)
    truth = np.repeat(np.cumsum(rng.random((32, 40, 1), dtype=np.float32), axis=0) / 32, 3, axis=-1)
    noise = rng.normal(0, 1, truth.shape).astype(np.float32)
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    values = [metrics.ssim(truth + np.float32(sigma) * noise, truth) for sigma in (0.01, 0.05, 0.2)]
    assert values == sorted(values, reverse=True)


def test_lpips_grows_with_noise_and_is_zero_for_equal(tmp_path: Path) -> None:
    """The arithmetic, on small random filters; the published ones are not ours to copy."""
    rng = np.random.default_rng(2)
    widths = (3, 8, 12, 16, 12, 8)
    arrays = {"shift": np.zeros(3, np.float32), "scale": np.ones(3, np.float32)}
    for index, size in enumerate((11, 5, 3, 3, 3), 1):
        filters = rng.normal(0, 1 / size, (widths[index], widths[index - 1], size, size))
        arrays[f"conv{index}_weight_oihw"] = filters.astype(np.float16)
        arrays[f"conv{index}_bias"] = np.full(widths[index], 0.1, np.float32)
        arrays[f"lin{index - 1}_weight"] = np.full(widths[index], 1 / widths[index], np.float32)
    np.savez(tmp_path / "lpips.npz", **arrays)  # type: ignore[arg-type]
    lpips = metrics.Lpips(tmp_path / "lpips.npz")
    truth = np.repeat(rng.random((64, 72, 1), dtype=np.float32), 3, axis=-1) * 0.2 + 0.4
    noise = rng.normal(0, 1, truth.shape).astype(np.float32)
    assert lpips(truth, truth) == pytest.approx(0, abs=1e-6)
    values = [lpips(truth + np.float32(sigma) * noise, truth) for sigma in (0.02, 0.1)]
    assert 0 < values[0] < values[1]


def test_bootstrap_covers_the_mean_and_shrinks_with_images() -> None:
    rng = np.random.default_rng(3)
    few, many = metrics.bootstrap(rng.normal(5, 1, 10)), metrics.bootstrap(rng.normal(5, 1, 400))
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low
    assert many.high - many.low == pytest.approx(4 * 1 / 20, rel=0.2)
    with pytest.raises(ValueError, match="no images"):
        metrics.bootstrap([])


def test_files_hold_integers_between_0_and_white() -> None:
    frame = frame_of(np.array([[-3.2, 511.6], [900.4, 20000.0]], dtype=np.float32), "RGGB", COLOUR)
    assert frame.mosaic.tolist() == [[0, 512], [900, 16383]]
    assert frame.noise_profile is None


def test_dark_levels_are_amplified_and_clipped() -> None:
    names = [level.name for level in LEVELS]
    assert names == ["U .001", "U .004", "U .012", "E x10", "E x100", "E x200", "E x300"]
    dark = LEVELS[-1]
    assert dark.draw.a == pytest.approx(1 / 15871)

    class Taken:
        level = dark

    signal = np.array([-0.1, 0.001, 0.5], dtype=np.float32)
    np.testing.assert_allclose(finished(Taken, signal), [0, 0.3, 1], rtol=1e-6)  # type: ignore[arg-type]


def test_seeds_depend_on_the_words_only() -> None:
    assert seed_of("noise", "a", "b") == seed_of("noise", "a", "b") != seed_of("noise", "a", "c")


def test_squares_are_means_and_leave_out_what_fills_none():
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    assert metrics.squares(values, 3).tolist() == [[8.0, 11.0]]
