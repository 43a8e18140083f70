"""Own-camera calibration from end to end: darks and flats in, found by camera and ISO, used, and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from plugin_core.cli.done import provenance
from plugin_core.frame import NoiseProfile, NoiseSource, RawFrame
from tests.builders import make_frame, write_cfa_dng
from tests.server_fixture import LiveServer
from tests.unit.cli.running import Run, runner

MODEL = "Calibrated 7"
A, B = 4e-4, 9e-6
SIZE = (192, 240)
HOT = ((50, 61), (120, 100))
ISOS = {800.0: 1.0, 3200.0: 4.0}


def shot(signal: float, iso: float, seed: int) -> RawFrame:
    """A frame of the camera: a, b grow with ISO; two photosites are always white."""
    scale = ISOS.get(iso, iso / 800)
    flat = np.full(SIZE, signal, dtype=np.float32)
    frame = make_frame(
        *SIZE, "GBRG", signal=flat, noise=(A * scale, B * scale), border=(2, 4, 2, 4), iso=iso, model=MODEL, seed=seed
    )
    mosaic = frame.mosaic.copy()
    for row, column in HOT:
        mosaic[row, column] = 16383
    return replace(frame, mosaic=mosaic)


def write(path: Path, frame: RawFrame) -> Path:
    """As a DNG that names its ISO."""
    import pyexiv2

    write_cfa_dng(path, frame)
    with pyexiv2.Image(str(path)) as image:
        image.modify_exif({"Exif.Photo.ISOSpeedRatings": f"{frame.exposure.iso:g}"})
    return path


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """darks/ and flats/ of two ISOs, and pictures of three."""
    folder = tmp_path_factory.mktemp("camera")
    for name, signal in (("darks", 0.0), ("flats", 0.4)):
        (folder / name).mkdir()
        for iso in ISOS:
            for index in range(2):
                write(folder / name / f"{iso:g}_{index}.dng", shot(signal, iso, 10 * index + int(iso + 7 * signal)))
    for iso in (800.0, 1600.0, 6400.0):
        write(folder / f"picture{iso:g}.dng", shot(0.2, iso, 99))
    return folder


@pytest.fixture
def run(server: LiveServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    profiles = server.folder / "profiles"
    monkeypatch.setenv("NEURAL_ISP_SERVER", server.address)
    monkeypatch.setenv("NEURAL_ISP_PROFILES", str(profiles))
    yield runner(monkeypatch, capsys)
    shutil.rmtree(profiles, ignore_errors=True)


def calibrate(run: Run, frames: Path, *more: object) -> Path:
    darks, flats = (sorted((frames / name).iterdir()) for name in ("darks", "flats"))
    ran = run("calibrate", "--dark", *darks, "--flat", *flats, *more)
    assert ran.code == 0, ran.err
    (path,) = ran.paths
    return Path(path)


def mosaic_of(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tif:
        return next(page.asarray() for page in tif.pages[0].pages if page.photometric == 32803)  # type: ignore[union-attr]


def noise_of(run: Run, path: Path) -> dict[str, object]:
    ran = run("info", path, "--json")
    assert ran.code == 0, ran.err
    found: dict[str, object] = json.loads(ran.out)["noise"]
    return found


def test_a_calibration_is_found_by_camera_and_iso(run: Run, server: LiveServer, frames: Path) -> None:
    assert noise_of(run, frames / "picture800.dng")["source"] == "measured"
    path = calibrate(run, frames)
    assert path.parent == server.folder / "profiles"
    assert path.with_suffix(".svg").read_text().startswith("<svg")
    for iso, confidence in ((800, 0.8), (1600, 0.7)):
        noise = noise_of(run, frames / f"picture{iso}.dng")
        assert noise["source"] == "calibration"
        np.testing.assert_allclose(noise["a"], A * iso / 800, rtol=0.08)  # type: ignore[arg-type]
        np.testing.assert_allclose(noise["b"], B * iso / 800, rtol=0.05)  # type: ignore[arg-type]
        assert float(str(noise["confidence"])) > confidence
    assert "from your calibration of this camera" in run("info", frames / "picture800.dng").out
    assert noise_of(run, frames / "picture6400.dng")["source"] == "measured"
    (path.parent / "broken.json").write_text("{")
    ran = run("info", frames / "picture800.dng")
    assert "warning" in ran.out
    assert "broken.json: no noise calibration" in ran.out


def test_hot_photosites_are_gone_and_what_was_made_is_named(run: Run, frames: Path, tmp_path: Path) -> None:
    source, plain, result = frames / "picture800.dng", tmp_path / "plain.dng", tmp_path / "result.dng"
    assert run("denoise", source, "-o", plain).code == 0
    calibrate(run, frames)
    assert run("denoise", source, "-o", result).code == 0
    made = provenance(result)
    assert (made["NoiseSource"], made["PhotositesListed"]) == ("calibration", "2")
    before, after = (mosaic_of(path).astype(float) for path in (plain, result))
    neighbourhood = np.median(after)
    for row, column in HOT:
        assert abs(after[row, column] / neighbourhood - 1) < 0.1
        assert before[row, column] > 2 * neighbourhood, "clipped: without the list it has to stay"


def test_strength_0_is_the_source_to_the_bit_all_the_same(run: Run, frames: Path, tmp_path: Path) -> None:
    calibrate(run, frames)
    assert run("denoise", frames / "picture800.dng", "-o", tmp_path / "same.dng", "--strength", 0).code == 0
    np.testing.assert_array_equal(mosaic_of(tmp_path / "same.dng"), mosaic_of(frames / "picture800.dng"))


def test_a_calibration_can_be_given(run: Run, frames: Path, tmp_path: Path) -> None:
    mine = calibrate(run, frames, "-o", tmp_path / "mine.json")
    assert mine == tmp_path / "mine.json"
    source, result = frames / "picture1600.dng", tmp_path / "result.dng"
    arguments = ("denoise", source, "-o", result, "--noise-profile", mine)
    assert run(*arguments).code == 0
    assert provenance(result)["NoiseSource"] == "calibration"
    assert "is there already" in run(*arguments).err
    other = json.loads(mine.read_text())
    other["isos"][0]["hot"] = []
    other["isos"][1]["hot"] = []
    mine.write_text(json.dumps(other))
    again = run(*arguments)
    assert again.code == 2
    assert "another noise calibration" in again.err
    kept = mosaic_of(result)
    ran = run(*arguments, "--force", "--progress", "json")
    assert ran.code == 0
    done = next(event for event in map(json.loads, ran.err.splitlines()) if event["event"] == "done")
    assert done["from_cache"] is False, "a and b are the same, the photosites are not"
    assert mosaic_of(result)[HOT[0]] > 2 * kept[HOT[0]]


def test_what_does_not_fit_is_refused_in_one_line(run: Run, frames: Path, tmp_path: Path) -> None:
    mine = calibrate(run, frames, "-o", tmp_path / "mine.json")
    out = tmp_path / "out.dng"
    ran = run("denoise", frames / "picture6400.dng", "-o", out, "--noise-profile", mine)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "ISO 6400" in ran.err
    mine.write_text(mine.read_text()[:-20])
    ran = run("denoise", frames / "darks", "-o", tmp_path / "many", "--noise-profile", mine)
    assert ran.code == 2
    assert ran.err.count("mine.json: no noise calibration") == 1, "every further file would meet the same"
    dark, flat = (frames / name / "800_0.dng" for name in ("darks", "flats"))
    taken = tmp_path / "taken.json"
    taken.write_text("{}")
    text = tmp_path / "text.dng"
    text.write_text("no picture")
    for arguments, code, words in (
        (("--dark", dark, "--flat", flat, "-o", tmp_path / "x.json"), 2, "two darks and two flats"),
        (("--dark", flat, frames / "flats" / "800_1.dng", "-o", tmp_path / "x.json"), 2, "no dark frame"),
        (("--dark", tmp_path / "none.dng", "-o", tmp_path / "x.json"), 2, "no such file"),
        (("--dark", text, "-o", tmp_path / "x.json"), 3, "text.dng"),
        (("--single", flat, "--dark", dark), 2, "stands alone"),
        (("--single", flat, "-o", tmp_path / "x.txt"), 2, ".json"),
        (("--single", frames / "picture800.dng", "-o", taken), 2, "--force"),
        (("-o", tmp_path / "x.json"), 2, "--dark and --flat"),
    ):
        ran = run("calibrate", *arguments)
        assert ran.code == code, ran.err
        assert words in ran.err.splitlines()[-1]
    assert not (tmp_path / "x.json").exists()


def test_one_picture_will_do(run: Run, frames: Path, tmp_path: Path) -> None:
    ran = run("calibrate", "--single", frames / "picture1600.dng", "-o", tmp_path / "one.json")
    assert ran.code == 0, ran.err
    (entry,) = json.loads((tmp_path / "one.json").read_text())["isos"]
    assert (entry["method"], entry["iso"], entry["hot"]) == ("single", 1600, [])
    level = np.array(entry["a"]) * 0.2 + np.array(entry["b"])
    np.testing.assert_allclose(level, 2 * (A * 0.2 + B), rtol=0.15)  # one level: slope and offset trade off


def test_the_tag_of_a_restored_file_is_not_overruled(run: Run, frames: Path, tmp_path: Path) -> None:
    calibrate(run, frames)
    left = NoiseProfile((A / 50,) * 3, (B / 50,) * 3, NoiseSource.TAG)
    path = write(tmp_path / "restored.dng", replace(shot(0.2, 800.0, 5), noise_profile=left))
    assert noise_of(run, path)["source"] == "dng_noise_profile"
    mine = calibrate(run, frames, "-o", tmp_path / "mine.json")
    for options, source in (((), "dng_noise_profile"), (("--noise-profile", mine), "calibration")):
        assert run("denoise", path, "-o", tmp_path / "again.dng", "--force", *options).code == 0
        assert provenance(tmp_path / "again.dng")["NoiseSource"] == source
