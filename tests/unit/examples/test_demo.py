"""The demo's file is what it says, its crops are honest, and it runs on any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples import demo
from examples.before_after import Column, busiest_crops, change_crop, colour_of, compose, render_crop
from examples.scene_file import SceneFile, high_iso_noise, make_scene_file, write_scene_file
from plugin_core.config import Limits
from plugin_core.frame import LinearImage, RawFrame, Rect
from plugin_core.io.worker import DecodeWorker
from tests.builders import make_frame, make_linear, write_cfa_dng


@pytest.fixture(scope="module")
def scene() -> SceneFile:
    return make_scene_file(seed=3, height=120, width=180)


def test_the_scene_has_the_noise_of_its_iso(scene: SceneFile) -> None:
    draw = high_iso_noise(scene.frame.exposure.iso or 0)
    middle = (scene.truth > 0.02) & (scene.truth < 0.6)  # away from both ends of the converter
    residual = (scene.frame.signal() - scene.truth)[middle]
    expected = draw.a * scene.truth[middle] + draw.b
    assert np.mean(residual**2 / expected) == pytest.approx(1.0, abs=0.05)


def test_the_scene_is_the_same_for_the_same_seed(scene: SceneFile) -> None:
    again = make_scene_file(seed=3, height=120, width=180)
    np.testing.assert_array_equal(scene.frame.mosaic, again.frame.mosaic)


def test_the_written_scene_reads_back_and_says_it_is_synthetic(scene: SceneFile, tmp_path: Path) -> None:
    path = write_scene_file(tmp_path / "scene.dng", scene)
    with DecodeWorker(Limits()) as worker:
        image = worker.read(path).image
        tags = {tag.name: tag.value for tag in worker.describe(path).tags}
    assert isinstance(image, RawFrame)
    np.testing.assert_array_equal(image.mosaic, scene.frame.mosaic)
    assert image.as_shot_neutral == pytest.approx(scene.frame.as_shot_neutral, abs=1e-5)
    assert image.noise_profile is None  # it has to be measured
    assert any("ynthetic" in value for value in tags.values())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_busiest_crops_lie_apart_inside_and_in_phase(count: int) -> None:
    signal = np.zeros((130, 190), dtype=np.float32)
    signal[60:120, 60:120] = np.random.default_rng(0).random((60, 60))
    crops = busiest_crops(signal, 36, count)
    assert len(crops) == count
    assert len(set(crops)) == count
    for crop in crops:
        assert crop.top % 6 == crop.left % 6 == 0
        assert crop.bottom <= 130
        assert crop.right <= 190
    assert 36 <= crops[0].top <= 108
    assert 36 <= crops[0].left <= 108


def test_a_crop_larger_than_the_picture_is_cut_to_it() -> None:
    assert busiest_crops(np.ones((40, 50), dtype=np.float32), 222, 2) == [Rect(0, 0, 36, 36)]


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG", "XTRANS", "MONOCHROME", "LINEAR"])
def test_every_kind_of_file_renders_with_its_own_colours(cfa: str) -> None:
    frame: RawFrame | LinearImage = make_linear(60, 72) if cfa == "LINEAR" else make_frame(60, 72, cfa, noise=None)
    signal = frame.signal()
    colour = colour_of(frame, signal)
    whole = render_crop(frame, signal, Rect(0, 0, 60, 72), colour)
    piece = render_crop(frame, signal, Rect(12, 18, 36, 36), colour)
    assert whole.shape == (60, 72, 3)
    inner = slice(6, -6)  # a crop's own border has no neighbours
    np.testing.assert_allclose(piece[inner, inner], whole[12:48, 18:54][inner, inner], atol=1e-5)
    assert 0.2 < whole.mean() < 0.9


def test_the_change_map_is_white_at_three_sigma() -> None:
    sigmas = np.array([[0.0, 1.5, 3.0, 6.0]])
    shown = change_crop(np.round(sigmas * 65535 / 8).astype(np.uint16), Rect(0, 0, 1, 4))
    np.testing.assert_allclose(shown[0, :, 0], [0, 0.5, 1, 1], atol=1e-4)


def test_the_sheet_shows_each_crop_untouched() -> None:
    rng = np.random.default_rng(0)
    columns = [Column(name, [rng.random((30, 40, 3), dtype=np.float32) for _ in range(2)]) for name in ("a", "b", "c")]
    sheet = np.asarray(compose(columns))
    last = np.round(columns[2].crops[1] * 255).astype(np.uint8)
    np.testing.assert_array_equal(sheet[-30:, -40:], last)


def test_it_runs_on_any_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # the demo sets it, too
    raw = write_cfa_dng(tmp_path / "mine.dng", make_frame(96, 120, "XTRANS"))
    demo.run(raw, tmp_path / "out", 36)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"restored.dng", "change.png", "before_after.png"}
    with Image.open(tmp_path / "out" / "before_after.png") as sheet:
        assert sheet.width == 3 * 36 + 2 * 6  # noisy, restored, change: the truth is not known
    said = capsys.readouterr().out
    assert "PSNR" not in said
    assert "megapixels/s" in said
    assert "standard" in said
