"""Photon transfer on simulated darks and flats of known truth: what is found, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plugin_core.errors import NoModelError, OptionError
from plugin_core.frame import FloatArray, RawFrame
from plugin_core.noise.calibration import Calibration, Method
from plugin_core.noise.calibration_series import Kind, Series, from_single
from tests.builders import PATTERNS, make_frame, make_linear

A, B = 4e-4, 9e-6  # read noise .003 of white: 48 DN
SIZE = (384, 396)
BORDER = (4, 6, 2, 8)


def light(brightness: float) -> FloatArray:
    """A flat as a lens gives it, (h, w): dimmer to the corners by a third, with specks of dust."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in SIZE)
    falloff = 1 - 0.33 * (x[None, :] ** 2 + y[:, None] ** 2) / 2
    dust = 1 - 0.3 * ((np.arange(SIZE[0])[:, None] // 9 % 7 == 0) & (np.arange(SIZE[1])[None, :] // 9 % 11 == 0))
    return np.asarray(brightness * falloff * dust, dtype=np.float32)


def shoot(cfa: str, signal: FloatArray, seed: int, *, row_sigma: float = 0.0, **given: object) -> RawFrame:
    """A frame with noise (A, B), a fixed pattern of 1 % gain and, if asked for, row noise of its own."""
    gains = 1 + 0.01 * np.random.default_rng(99).normal(size=SIZE)
    rows = row_sigma * np.random.default_rng(seed + 1000).normal(size=(SIZE[0], 1))
    noisy = np.random.default_rng(seed).normal(size=SIZE) * np.sqrt(A * signal + B)
    clean = (signal * gains + rows + noisy).astype(np.float32)
    return make_frame(*SIZE, cfa, signal=clean, noise=None, border=BORDER, **given)  # type: ignore[arg-type]


def darks_and_flats(cfa: str, pairs: int = 2, **given: object) -> Calibration:
    series = Series()
    black = np.zeros(SIZE, dtype=np.float32)
    for index in range(2 * pairs):
        series.add(Kind.DARK, shoot(cfa, black, index, **given))  # type: ignore[arg-type]
    for step, brightness in enumerate((0.04, 0.2, 0.5)):
        for index in range(2):
            series.add(Kind.FLAT, exposed(shoot(cfa, light(brightness), 50 + 2 * step + index, **given), step))  # type: ignore[arg-type]
    assert series.warnings == []
    return series.result()


def exposed(frame: RawFrame, step: int) -> RawFrame:
    return replace(frame, exposure=replace(frame.exposure, time_s=0.01 * 2**step))


@pytest.mark.parametrize("cfa", list(PATTERNS))
def test_shot_and_read_noise_are_found_under_uneven_light(cfa: str) -> None:
    found = darks_and_flats(cfa)
    assert (found.height, found.width, found.cfa) == (SIZE[0] + 6, SIZE[1] + 14, PATTERNS[cfa].name)
    (entry,) = found.isos
    assert entry.method is Method.PHOTON_TRANSFER
    assert entry.iso == 800
    np.testing.assert_allclose(entry.a, A, rtol=0.03)
    np.testing.assert_allclose(entry.b, B, rtol=0.03)
    assert entry.confidence > 0.85
    assert entry.hot == entry.dead == ()
    np.testing.assert_allclose(entry.black_offset, 0, atol=1e-4)
    assert entry.row_sigma == entry.column_sigma == 0
    assert len(entry.points) > 5 * PATTERNS[cfa].plane_count


def test_row_noise_is_told_apart_and_counts_in_b() -> None:
    (entry,) = darks_and_flats("RGGB", row_sigma=1e-3).isos
    assert entry.row_sigma == pytest.approx(1e-3, rel=0.1)
    assert entry.column_sigma == 0
    np.testing.assert_allclose(entry.b, B + 1e-6, rtol=0.03)


@pytest.mark.parametrize("cfa", ["GBRG", "XTRANS"])
def test_black_error_is_found_per_position(cfa: str) -> None:
    period = PATTERNS[cfa].period
    wrong = np.random.default_rng(3).uniform(-2e-3, 2e-3, (period, period)).astype(np.float32)
    error = np.tile(wrong, (SIZE[0] // period, SIZE[1] // period))
    series = Series()
    for index in range(2):
        series.add(Kind.DARK, shoot(cfa, np.zeros(SIZE, np.float32), index))
        series.add(Kind.FLAT, shoot(cfa, light(0.3), 9 + index))
    plain = series.result().isos[0]
    series = Series()
    for index in range(2):
        for kind, signal, seed in ((Kind.DARK, np.zeros(SIZE, np.float32), index), (Kind.FLAT, light(0.3), 9 + index)):
            frame = shoot(cfa, signal, seed)
            shifted = frame.with_signal(frame.signal() + error)
            series.add(kind, replace(shifted, mosaic=np.rint(shifted.mosaic).astype(np.uint16)))
    entry = series.result().isos[0]
    np.testing.assert_allclose(np.array(entry.black_offset) - np.array(plain.black_offset), wrong, atol=5e-5)
    np.testing.assert_allclose(entry.a, A, rtol=0.03)


@pytest.mark.parametrize("cfa", list(PATTERNS))
def test_broken_photosites_are_found_exactly(cfa: str) -> None:
    rng = np.random.default_rng(17)
    places = np.unique(rng.integers(0, SIZE, (40, 2)), axis=0)
    rng.shuffle(places)
    hot, dead = places[:20], places[20:]

    def broken(frame: RawFrame) -> RawFrame:
        mosaic = frame.mosaic.copy()
        inside = mosaic[frame.active_area.slices]
        inside[hot[:, 0], hot[:, 1]] = np.minimum(inside[hot[:, 0], hot[:, 1]] + np.uint16(1500), 16383)
        inside[hot[:3, 0], hot[:3, 1]] = 16383
        inside[dead[:, 0], dead[:, 1]] = 512 + rng.integers(0, 60, len(dead)).astype(np.uint16)
        return replace(frame, mosaic=mosaic)

    series = Series()
    for index in range(4):
        series.add(Kind.DARK, broken(shoot(cfa, np.zeros(SIZE, np.float32), index)))
        series.add(Kind.FLAT, broken(shoot(cfa, light(0.4), 50 + index)))
    (entry,) = series.result().isos
    edge = np.array(BORDER[:2])
    assert set(entry.hot) == {tuple(map(int, site)) for site in hot + edge}
    judged = {tuple(map(int, site)) for site in dead + edge if filled(cfa, site)}
    assert set(entry.dead) & judged == judged
    assert set(entry.dead) <= {tuple(map(int, site)) for site in dead + edge}
    np.testing.assert_allclose(entry.a, A, rtol=0.04)
    np.testing.assert_allclose(entry.b, B, rtol=0.03)


def filled(cfa: str, site: np.ndarray) -> bool:
    """Whether a photosite lies in a whole block; the last rows and columns may not fill one."""
    block = {"XTRANS": 24, "MONOCHROME": 16}.get(cfa, 16)
    return bool((site < np.array(SIZE) // block * block).all())


def test_black_clipped_in_the_file_is_undone() -> None:
    (entry,) = darks_and_flats("RGGB", black=0).isos
    np.testing.assert_allclose(entry.a, A, rtol=0.05)
    np.testing.assert_allclose(entry.b, B, rtol=0.1)
    assert "black is clipped" in entry.detail


def test_flicker_between_two_flats_does_no_harm() -> None:
    series = Series()
    for index in range(2):
        series.add(Kind.DARK, shoot("RGGB", np.zeros(SIZE, np.float32), index))
        series.add(Kind.FLAT, shoot("RGGB", light(0.4 * (1 + 0.07 * index)), 9 + index))
    (entry,) = series.result().isos
    np.testing.assert_allclose(entry.a, A, rtol=0.03)


def test_isos_are_kept_apart_and_odd_frames_named() -> None:
    series = Series()
    for iso in (800.0, 3200.0):
        for index in range(3):
            series.add(Kind.DARK, shoot("RGGB", np.zeros(SIZE, np.float32), index, iso=iso))
        for index in range(2):
            series.add(Kind.FLAT, shoot("RGGB", light(0.4), 9 + index, iso=iso))
    assert [entry.iso for entry in series.result().isos] == [800, 3200]
    assert series.warnings == ["test.dng: not used, there is no second one like it"] * 2


def test_what_can_not_be_measured_is_refused_in_one_line() -> None:
    dark, another = (shoot("RGGB", np.zeros(SIZE, np.float32), seed) for seed in (1, 3))
    flat, bright = (shoot("RGGB", light(0.4), seed) for seed in (2, 4))
    white, whiter = (shoot("RGGB", light(2.0), seed) for seed in (5, 6))
    refused = [
        ([(Kind.DARK, dark)], "FRAMES_MISSING"),
        ([(Kind.DARK, dark), (Kind.DARK, another)], "FRAMES_MISSING"),
        ([(Kind.DARK, dark), (Kind.DARK, dark)], "FRAMES_EQUAL"),
        ([(Kind.DARK, flat), (Kind.DARK, bright)], "NO_DARK"),
        ([(Kind.DARK, dark), (Kind.DARK, another), (Kind.FLAT, white), (Kind.FLAT, whiter)], "FLATS_UNUSABLE"),
        ([(Kind.DARK, dark), (Kind.DARK, shoot("BGGR", np.zeros(SIZE, np.float32), 1))], "FRAMES_DIFFER"),
        ([(Kind.DARK, dark), (Kind.DARK, shoot("RGGB", light(0.1), 1, model="Other"))], "FRAMES_DIFFER"),
        ([(Kind.DARK, replace(dark, exposure=replace(dark.exposure, iso=None)))], "NO_ISO"),
    ]
    for frames, reason in refused:
        series = Series()
        with pytest.raises(OptionError) as caught:  # noqa: PT012 - either call may be the one
            for kind, frame in frames:
                series.add(kind, frame)
            series.result()
        assert caught.value.reason == reason
        assert "\n" not in caught.value.message
    with pytest.raises(NoModelError):
        Series().add(Kind.DARK, make_linear())


def test_one_picture_gives_what_it_shows() -> None:
    frame = make_frame(400, 600, noise=(2e-3, 1e-5))
    entry = from_single(frame).isos[0]
    assert entry.method is Method.SINGLE
    np.testing.assert_allclose(entry.a, 2e-3, rtol=0.15)
    assert entry.hot == ()
    with pytest.raises(OptionError) as caught:
        from_single(make_frame(6, 6))
    assert caught.value.reason == "NOTHING_MEASURED"
