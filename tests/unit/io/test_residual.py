"""The residual's values, what RawTherapee makes of them, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile

from plugin_core.errors import NoModelError
from plugin_core.frame import CfaKind, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.io.levels import choose_levels, quantised
from plugin_core.io.residual import Encoding, HostResidual, choose_encoding, false_hot_pixels, make_residual, refusal
from plugin_core.io.write_residual import write_residual
from tests.builders import PATTERNS, make_frame

PROFILE = NoiseProfile((1e-4,), (1e-6,), NoiseSource.MEASURED)


def restored_of(frame: RawFrame, sigma: float = 20.0, seed: int = 1) -> RawFrame:
    """The frame with other samples in its active area, unrounded."""
    mosaic = frame.mosaic.astype(np.float32)
    rng = np.random.default_rng(seed)
    mosaic[frame.active_area.slices] -= rng.normal(0, sigma, mosaic[frame.active_area.slices].shape).astype(np.float32)
    return replace(frame, mosaic=mosaic)


def residual_of(frame: RawFrame, restored: RawFrame, scale: float = 1.0, area: Rect | None = None) -> HostResidual:
    return make_residual(frame, restored, PROFILE, scale, area or frame.active_area)


@pytest.mark.parametrize("cfa", list(PATTERNS))
@pytest.mark.parametrize("black", [512, ((512, 513), (514, 512.25))])
def test_subtracting_it_leaves_what_the_restored_dng_holds(cfa: str, black: float) -> None:
    frame = make_frame(73, 58, cfa, black=black, border=(6, 12, 4, 2))
    restored = restored_of(frame)
    levels = choose_levels(restored, PROFILE)
    residual = residual_of(frame, restored, levels.scale)
    area = frame.active_area
    written = quantised(restored, levels, area.top, area.left, area.height, area.width).astype(np.float64)
    signal = frame.mosaic[area.slices] - residual.samples
    unclipped = ~frame.saturated()  # where blacks differ, a DNG lifts what is clipped to its one white
    np.testing.assert_array_equal(signal[unclipped], ((written - levels.black) / levels.scale)[unclipped])


@pytest.mark.parametrize("area", [Rect(0, 0, 87, 75), Rect(7, 12, 40, 30), Rect(6, 12, 73, 58)])
def test_an_area_of_the_host_s_own(area: Rect) -> None:
    frame = make_frame(73, 58, "GBRG", border=(6, 12, 8, 5))
    whole = residual_of(frame, restored_of(frame), area=Rect(0, 0, *frame.mosaic.shape))
    part = residual_of(frame, restored_of(frame), area=area)
    np.testing.assert_array_equal(part.samples, whole.samples[area.slices])
    assert part.cfa == whole.cfa.shifted(area.top, area.left)
    assert whole.samples[0, 0] == 512  # around the active area nothing changes


@pytest.mark.parametrize("kind", list(CfaKind))
def test_false_hot_pixels_by_the_letter(kind: CfaKind) -> None:
    dark = np.random.default_rng(3).normal(20, 60, (31, 1100)).astype(np.float32).T.copy()
    step = 1 if kind is CfaKind.MONOCHROME else 2
    found = 0
    for row in range(step, dark.shape[0] - step):
        for column in range(step, dark.shape[1] - step):
            around = dark[row - step : row + step + 1 : step, column - step : column + step + 1 : step]
            found += bool(dark[row, column] > 1.25 * (around.sum(dtype=np.float64) - dark[row, column]))
    assert abs(false_hot_pixels(dark, kind) - found) <= 2  # sums in single precision, in another order
    assert false_hot_pixels(dark[:3, :3], kind) <= 1


def test_a_pedestal_guards_against_false_hot_pixels() -> None:
    kept = residual_of(*(frame := make_frame(64, 96), restored_of(frame)))  # type: ignore[misc]
    assert (kept.false_hot_pixels, refusal(kept)) == (0, "")
    black_0 = make_frame(64, 96, black=0)
    spoiled = residual_of(black_0, restored_of(black_0))
    assert spoiled.false_hot_pixels > 1000
    assert "hot pixels" in refusal(spoiled)
    assert "2 sigma" in refusal(replace(kept, black_sigmas=2.0))


def test_strength_0_is_the_black_level() -> None:
    frame = make_frame(64, 96)
    residual = residual_of(frame, frame)
    assert np.all(residual.samples == 512)
    assert choose_encoding(residual) is Encoding.UINT16


def test_the_encoding_keeps_the_samples() -> None:
    base = residual_of(*(frame := make_frame(64, 96), restored_of(frame)))  # type: ignore[misc]
    samples = base.samples.copy()
    assert choose_encoding(base) is Encoding.UINT16
    samples[5, 5] = -3
    negative = replace(base, samples=samples)
    assert choose_encoding(negative) is Encoding.FLOAT16  # one in 6144 is more than 10 in a million
    assert choose_encoding(replace(base, step=0.5)) is Encoding.FLOAT16
    wide = np.tile(base.samples, (20, 10))
    wide[5, 5] = -3
    assert choose_encoding(replace(base, samples=wide)) is Encoding.UINT16
    wide[5, 5] = -1500  # alone, but the picture would be less than 100 dB from the restored one
    assert choose_encoding(replace(base, samples=wide)) is Encoding.FLOAT16
    large = samples.copy()
    large[7, 7] = 2049
    assert choose_encoding(replace(base, samples=large)) is Encoding.FLOAT32
    large[7, 7] = 70000
    assert choose_encoding(replace(base, samples=large)) is Encoding.FLOAT32


@pytest.mark.parametrize("cfa", ["GRBG", "XTRANS", "MONOCHROME"])
@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("size", [(75, 97), (300, 270)])
def test_the_file_reads_back(tmp_path: Path, cfa: str, encoding: Encoding, size: tuple[int, int]) -> None:
    frame = make_frame(*size, cfa)
    residual = residual_of(frame, restored_of(frame))
    path = tmp_path / "a.dng"
    report = write_residual(path, residual, encoding, "IMG_1.ARW", {"SourceSHA256": "ab<&"}, overwrite=False)
    assert report.size_bytes == path.stat().st_size
    with tifffile.TiffFile(path) as file:
        first = file.pages.first
        page = first.pages[0]  # type: ignore[union-attr, index]
        assert (first.tags["Make"].value, first.tags["Model"].value) == ("neural-isp", "residual")  # type: ignore[union-attr]
        assert b'nisp:SourceSHA256="ab&lt;&amp;"' in first.tags[700].value  # type: ignore[union-attr]
        assert page.shape == size
        if encoding is not Encoding.UINT16:
            np.testing.assert_array_equal(page.asarray().astype(np.float32), residual.samples)
    if encoding is Encoding.UINT16:
        with rawpy.imread(str(path)) as raw:
            np.testing.assert_array_equal(raw.raw_image, residual.samples)
    again = write_residual(tmp_path / "b.dng", residual, encoding, "IMG_1.ARW", {"SourceSHA256": "ab<&"}, False)
    assert again.sha256 == report.sha256  # names are made of it


def test_too_small_for_tiles(tmp_path: Path) -> None:
    frame = make_frame(12, 40)
    with pytest.raises(NoModelError, match="too few"):
        write_residual(tmp_path / "a.dng", residual_of(frame, frame), Encoding.UINT16, "a", {}, False)
    assert list(tmp_path.iterdir()) == []
