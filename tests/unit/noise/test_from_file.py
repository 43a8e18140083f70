"""Who is asked about the noise, in which order, and who wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plugin_core.errors import FileFormatError, OptionError
from plugin_core.frame import BAYER_PATTERNS, Exposure, NoiseProfile, NoiseSource, RawFrame, Rect, Source
from plugin_core.noise.from_file import choose, default_profile, noise_profiles

A, B = 1e-3, 4e-6


def frame(texture: float = 0.0, side: int = 192) -> RawFrame:
    """A ramp with noise (A, B); `texture` is the amplitude of fine detail over all of it."""
    rng = np.random.default_rng(5)
    clean = np.linspace(0.002, 0.6, side, dtype=np.float32)[None, :] * np.ones((side, 1), dtype=np.float32)
    clean = clean * (1 + texture * rng.uniform(-1, 1, clean.shape))
    noisy = clean + rng.normal(0, 1, clean.shape) * np.sqrt(A * clean + B)
    raw = np.clip(np.round(noisy * 15871 + 512), 0, 16383).astype(np.uint16)
    return RawFrame(
        raw, BAYER_PATTERNS["RGGB"], ((512.0,),), (16383.0,) * 3, Rect(0, 0, side, side), Rect(0, 0, side, side)
    )


def tag(a: float, b: float) -> NoiseProfile:
    return NoiseProfile((a,) * 3, (b,) * 3, NoiseSource.TAG)


def known_camera(image: RawFrame) -> RawFrame:
    return replace(image, exposure=Exposure(iso=640), source=Source("x.cr2", make="Canon", model="Canon EOS 30D"))


def test_all_sources_come_in_order_and_say_how_they_differ() -> None:
    found = noise_profiles(known_camera(replace(frame(), noise_profile=tag(A, B))))
    assert [p.source for p in found] == [
        NoiseSource.TAG,
        NoiseSource.MEASURED,
        NoiseSource.TABLE,
        NoiseSource.DEFAULT,
    ]
    assert all("against dng_noise_profile" in p.detail for p in found[1:])


def test_without_anything_there_is_still_a_stated_default() -> None:
    blank = replace(frame(side=16), mosaic=np.full((16, 16), 600, dtype=np.uint16))
    found = noise_profiles(blank)
    assert [p.source for p in found] == [NoiseSource.DEFAULT]
    assert "ISO 800, assumed" in found[0].detail
    assert choose(blank, None).source is NoiseSource.DEFAULT


def test_the_users_word_is_final_but_must_fit() -> None:
    mine = NoiseProfile((1e-2,), (1e-4,), NoiseSource.USER)
    assert choose(frame(), mine) is mine
    with pytest.raises(OptionError):
        choose(frame(), NoiseProfile((1e-2, 1e-2), (1e-4, 1e-4), NoiseSource.USER))


def test_a_tag_that_fits_wins_in_silence() -> None:
    chosen = choose(replace(frame(), noise_profile=tag(A, B)), None)
    assert chosen.source is NoiseSource.TAG
    assert "contradicted" not in chosen.detail


def test_a_tag_far_from_the_pixels_wins_but_is_reported() -> None:
    chosen = choose(replace(frame(), noise_profile=tag(A / 9, B / 9)), None)
    assert chosen.source is NoiseSource.TAG
    assert "contradicted by measured" in chosen.detail
    assert chosen.a[0] == A / 9


def test_a_tag_of_the_wrong_size_is_the_files_fault() -> None:
    broken = replace(frame(), noise_profile=NoiseProfile((A, A), (B, B), NoiseSource.TAG), source=Source("bad.dng"))
    with pytest.raises(FileFormatError, match=r"bad\.dng"):
        noise_profiles(broken)


def test_a_good_measurement_goes_before_the_table() -> None:
    chosen = choose(known_camera(frame()), None)
    assert chosen.source is NoiseSource.MEASURED
    assert chosen.a[1] == pytest.approx(A, rel=0.2)
    assert "contradicted by camera_table" in chosen.detail  # ISO 640 of a 30D is ten times quieter


def test_a_measurement_drowned_in_texture_yields_to_the_table() -> None:
    assert choose(known_camera(frame(texture=0.9)), None).source is NoiseSource.TABLE


def test_the_default_follows_iso() -> None:
    low, high = default_profile(100, 3), default_profile(12800, 3)
    assert high.a[0] == pytest.approx(128 * low.a[0])
    assert high.b[0] > low.b[0] > 0
    assert len(default_profile(None, 1).a) == 1


def calibrated(factor: float = 1.0) -> NoiseProfile:
    return NoiseProfile((A * factor,) * 3, (B * factor,) * 3, NoiseSource.CALIBRATION, 0.95, "calibrated at ISO 640")


def test_the_users_calibration_goes_before_the_tag() -> None:
    image = replace(frame(), noise_profile=tag(A * 2, B * 2))
    found = noise_profiles(image, calibrated())
    assert [p.source for p in found[:3]] == [NoiseSource.CALIBRATION, NoiseSource.TAG, NoiseSource.MEASURED]
    assert choose(image, None, calibrated()).source is NoiseSource.CALIBRATION
    assert choose(image, tag(1, 1), calibrated()).a == (1, 1, 1), "but not before the request"


def test_a_calibration_far_from_the_pixels_wins_but_is_reported() -> None:
    chosen = choose(frame(), None, calibrated(9))
    assert (chosen.source, chosen.a[0]) == (NoiseSource.CALIBRATION, 9 * A)
    assert "contradicted by measured" in chosen.detail


def test_the_tag_of_a_file_that_was_denoised_since_goes_before_the_calibration() -> None:
    image = replace(frame(), noise_profile=tag(A / 100, B / 100))
    assert noise_profiles(image, calibrated())[0].source is NoiseSource.TAG
    assert choose(image, None, calibrated()).source is NoiseSource.TAG
