from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rawpy
import tifffile

from plugin_core.errors import LimitError, OptionError
from plugin_core.frame import LinearImage, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.io.source_file import Metadata, SourceFile
from plugin_core.io.worker import DecodeWorker
from plugin_core.io.write_dng import WriteOptions, write_dng
from tests.builders import (
    BAD_PIXEL_OPCODE,
    GAIN_OPCODE,
    PATTERNS,
    VIGNETTE_OPCODE,
    make_frame,
    make_linear,
    opcode_list,
    write_arw,
    write_cfa_dng,
    write_linear_dng,
)
from tests.unit.io.conftest import Rewrite


def bare(image: RawFrame | LinearImage) -> SourceFile:
    return SourceFile(image, Metadata(make="Neural", model="Test 1"))


def render(path: Path) -> np.ndarray[Any, Any]:
    with rawpy.imread(str(path)) as raw:
        return raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16, user_flip=0)


def psnr(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return float(10 * np.log10(65535**2 / error)) if error else float("inf")


def raw_tags(path: Path) -> dict[int, Any]:
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[0].pages[0]  # type: ignore[index]
        return {tag.code: tag.value for tag in page.tags}


@pytest.mark.parametrize("none", [False, True], ids=["ljpeg", "none"])
@pytest.mark.parametrize("border", [(0, 0, 0, 0), (6, 12, 0, 7)], ids=str)
@pytest.mark.parametrize("cfa", PATTERNS)
def test_what_is_written_reads_back(rewrite: Rewrite, cfa: str, border: tuple[int, int, int, int], none: bool) -> None:
    frame = make_frame(cfa=cfa, border=border, orientation=6)
    back = rewrite(bare(frame), none=none)
    found = back.image
    assert isinstance(found, RawFrame)
    np.testing.assert_array_equal(found.mosaic, frame.mosaic)
    assert found.cfa == frame.cfa
    assert (found.black_level, found.white_level) == (frame.black_level, frame.white_level)
    assert (found.active_area, found.default_crop) == (frame.active_area, frame.default_crop)
    assert (found.orientation, found.color) == (6, frame.color)
    np.testing.assert_allclose(found.as_shot_neutral, frame.as_shot_neutral, atol=1e-6)
    assert back.warnings == ()


@pytest.mark.parametrize("size", [(23, 24), (37, 53), (256, 256), (257, 300), (300, 515)], ids=str)
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_sizes_and_bit_depths(rewrite: Rewrite, size: tuple[int, int], bits: int) -> None:
    frame = make_frame(*size, bits=bits, black=16)
    found = rewrite(bare(frame)).image
    assert isinstance(found, RawFrame)
    np.testing.assert_array_equal(found.mosaic, frame.mosaic)
    assert found.white_level == frame.white_level


@pytest.mark.parametrize("cfa", ["GRBG", "XTRANS", "MONOCHROME"])
def test_odd_margins_are_cut_and_the_phase_stays(rewrite: Rewrite, cfa: str) -> None:
    frame = make_frame(cfa=cfa, border=(7, 5, 2, 1))
    back = rewrite(bare(frame))
    found = back.image
    assert isinstance(found, RawFrame)
    np.testing.assert_array_equal(found.mosaic, frame.mosaic[frame.active_area.slices])
    assert found.cfa == frame.cfa
    assert found.active_area == Rect(0, 0, 37, 53)
    assert any("borders" in warning for warning in back.warnings)


def test_float_mosaics_come_back_within_half_a_step(rewrite: Rewrite) -> None:
    frame = make_frame(cfa="GBRG", dtype=np.float32, noise=(1e-4, 4e-4), black=64, bits=12)
    found = rewrite(bare(frame)).image
    assert isinstance(found, RawFrame)
    step = 1 / (found.white_level[0] - found.black_level[0][0])
    assert step < 1 / 8192
    assert np.abs(found.signal() - np.minimum(frame.signal(), 1.25)).max() < 0.51 * step
    assert found.signal().min() < 0


def test_blacks_are_one_for_all_positions(rewrite: Rewrite, tmp_path: Path) -> None:
    frame = make_frame(cfa="BGGR", black=((500, 507), (513, 521)))
    found = rewrite(bare(frame)).image
    assert isinstance(found, RawFrame)
    assert found.black_level == ((521.0,),)
    np.testing.assert_allclose(found.signal(), frame.signal(), atol=0.0015)
    assert (found.saturated() == frame.saturated()).all()
    written = raw_tags(tmp_path / "out.dng")
    assert written[50713] == (2, 2)
    assert written[50714] == (521, 1) * 4


@pytest.mark.parametrize("black", [0, 1000])
@pytest.mark.parametrize("size", [(37, 53), (300, 515)], ids=str)
def test_linear_pictures(rewrite: Rewrite, tmp_path: Path, black: int, size: tuple[int, int]) -> None:
    picture = make_linear(*size, black=black)
    found = rewrite(write_linear_dng(tmp_path / "source.dng", picture)).image
    assert isinstance(found, LinearImage)
    assert (found.black_level, found.white_level) == ((0.0,) * 3, (65535.0,) * 3)
    if black == 0:
        np.testing.assert_array_equal(found.pixels, picture.pixels)
    np.testing.assert_allclose(found.signal(), picture.signal(), atol=1e-5)
    tags = raw_tags(tmp_path / "out.dng")
    assert 50713 not in tags, "RawTherapee shows a cast with BlackLevelRepeatDim in linear files"


@pytest.mark.parametrize("cfa", ["RGGB", "GRBG", "XTRANS"])
def test_an_identity_renders_like_its_source(rewrite: Rewrite, tmp_path: Path, cfa: str) -> None:
    # LibRaw demosaics X-Trans from 512 photosites a side on
    frame = make_frame(520, 531, cfa=cfa, border=(6, 12, 0, 0), make="SONY", model="ILCE-7M3")
    source = write_cfa_dng(tmp_path / "source.dng", frame)
    rewrite(source)
    assert psnr(render(source), render(tmp_path / "out.dng")) >= 68


def test_an_identity_of_a_camera_file_renders_like_its_source(rewrite: Rewrite, tmp_path: Path) -> None:
    source = write_arw(tmp_path / "source.arw", make_frame(400, 600))
    rewrite(source)
    assert psnr(render(source), render(tmp_path / "out.dng")) >= 68


def test_what_hosts_stumble_over(rewrite: Rewrite, tmp_path: Path) -> None:
    rewrite(bare(make_frame(300, 400, cfa="XTRANS")))
    tags = raw_tags(tmp_path / "out.dng")
    assert tags[258] == 16, "RawTherapee shifts white where BitsPerSample is less"
    assert tags[259] == 7
    assert (tags[322], tags[323]) == (256, 256)
    assert tags[50713] == (2, 2), "RawTherapee 5.9 overlooks a single black level of X-Trans"
    assert tags[33421] == (6, 6)
    assert tags[50935] == (1, 1) or tags[50935] == (10000, 10000)
    with tifffile.TiffFile(tmp_path / "out.dng") as tif:
        assert not tif.is_bigtiff
        first: Any = tif.pages[0]
        assert bytes(first.tags[50706].value) == bytes((1, 4, 0, 0))
        assert bytes(first.tags[50707].value) == bytes((1, 1, 0, 0))
        assert len(first.pages) == 2


def test_noise_tags(rewrite: Rewrite, tmp_path: Path) -> None:
    left = NoiseProfile((1e-5, 2e-5, 3e-5), (1e-8, 2e-8, 3e-8), NoiseSource.DEFAULT)
    found = rewrite(bare(make_frame()), noise=left).image.noise_profile
    assert found is not None
    assert (found.a, found.b) == (left.a, left.b)
    assert rewrite(bare(make_frame())).image.noise_profile is None


def test_the_preview_shows_the_result(rewrite: Rewrite, tmp_path: Path) -> None:
    frame = make_frame(600, 800, border=(2, 4, 0, 0), orientation=6)
    rewrite(bare(frame))
    with rawpy.imread(str(tmp_path / "out.dng")) as raw:
        thumb = raw.extract_thumb()
    assert thumb.format == rawpy.ThumbFormat.JPEG
    import imagecodecs

    picture = imagecodecs.jpeg8_decode(thumb.data)
    assert picture.shape == (298, 398, 3)  # half the default crop, not rotated
    signal = frame.signal()[2:598, 2:798].reshape(298, 2, 398, 2).mean(axis=(1, 3))
    assert np.corrcoef(picture.mean(axis=2).ravel() ** 2.2, np.minimum(signal, 1).ravel())[0, 1] > 0.97


def test_opcode_lists_travel_while_they_hold(rewrite: Rewrite, tmp_path: Path) -> None:
    lists = {51008: opcode_list(BAD_PIXEL_OPCODE), 51009: opcode_list(GAIN_OPCODE), 51022: opcode_list(VIGNETTE_OPCODE)}
    source = write_cfa_dng(tmp_path / "source.dng", make_frame(), opcodes=lists)
    rewrite(source)
    tags = raw_tags(tmp_path / "out.dng")
    assert {code: tags[code] for code in lists} == lists
    restored = make_frame(dtype=np.float32)
    back = rewrite(source, image=restored)
    tags = raw_tags(tmp_path / "out.dng")
    assert 51008 not in tags, "raw defects are no more where samples have changed"
    assert (tags[51009], tags[51022]) == (lists[51009], lists[51022])
    assert any("OpcodeList1" in warning for warning in back.warnings)
    back = rewrite(source, image=make_linear())
    tags = raw_tags(tmp_path / "out.dng")
    assert 51009 not in tags
    assert tags[51022] == lists[51022]
    assert any("OpcodeList2" in warning for warning in back.warnings)


def test_the_report_tells_what_was_written(worker: DecodeWorker, tmp_path: Path) -> None:
    source, out = bare(make_frame()), tmp_path / "out.dng"
    report = write_dng(out, source.image, source, {}, None, 0.0, WriteOptions(), worker)
    assert report.path == out
    assert report.size_bytes == out.stat().st_size
    assert report.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert os.listdir(tmp_path) == ["out.dng"]


def test_the_same_frame_gives_the_same_file(worker: DecodeWorker, tmp_path: Path) -> None:
    source = bare(make_frame())
    reports = [
        write_dng(tmp_path / f"{i}.dng", source.image, source, {"A": "b"}, None, 0.0, WriteOptions(), worker)
        for i in range(2)
    ]
    assert reports[0].sha256 == reports[1].sha256


def test_no_file_is_overwritten_unasked(worker: DecodeWorker, tmp_path: Path) -> None:
    out, source = tmp_path / "out.dng", bare(make_frame())
    out.write_text("precious")
    with pytest.raises(OptionError) as caught:
        write_dng(out, source.image, source, {}, None, 0.0, WriteOptions(), worker)
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert out.read_text() == "precious"


@pytest.mark.parametrize("step", ["fsync", "tags"])
def test_a_full_disk_leaves_nothing(
    worker: DecodeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = bare(make_frame())
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    with pytest.raises(LimitError) as caught:
        write_dng(tmp_path / "out.dng", source.image, source, {}, None, 0.0, WriteOptions(), worker)
    assert caught.value.reason == "DISK_FULL"
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_during_the_metadata_step(
    worker: DecodeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bare(make_frame())

    class Exiv2OnAFullDisk:
        def finish_dng(self, part: Path, *_: object) -> tuple[str, ...]:
            part.write_bytes(part.read_bytes()[:1000])  # it cuts the file and reports something else
            raise RuntimeError("failed to write")

    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))  # type: ignore[attr-defined]
    broken: Any = Exiv2OnAFullDisk()
    with pytest.raises(LimitError):
        write_dng(tmp_path / "out.dng", source.image, source, {}, None, 0.0, WriteOptions(), broken)
    assert os.listdir(tmp_path) == []


def test_the_source_is_never_touched(rewrite: Rewrite, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "source.dng", make_frame(), metadata=True)
    before = (source.read_bytes(), source.stat().st_mtime_ns)
    rewrite(source)
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before


def test_an_unknown_camera_gets_a_name(rewrite: Rewrite) -> None:
    frame = make_frame(make="", model="")
    back = rewrite(SourceFile(replace(frame), Metadata()))
    assert (back.metadata.make, back.metadata.model) == ("Unknown", "Unknown")


def test_blacks_that_differ_by_rounding_leave_samples_alone(rewrite: Rewrite) -> None:
    # as LibRaw tells of an EOS 30D: the masked pixels' means, cut to integers
    frame = make_frame(black=((128, 128), (127, 128)), bits=12)
    found = rewrite(bare(frame)).image
    assert isinstance(found, RawFrame)
    np.testing.assert_array_equal(found.mosaic, frame.mosaic)
    assert found.black_level == frame.black_level
