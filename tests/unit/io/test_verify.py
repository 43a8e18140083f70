from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyexiv2
import pytest
import tifffile

from plugin_core.errors import FileFormatError
from plugin_core.io.source_file import Check, VerifyReport
from plugin_core.io.worker import DecodeWorker
from tests.builders import (
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


def states(report: VerifyReport) -> dict[str, Check]:
    return {group.name: group.state for group in report.groups}


def losses(report: VerifyReport) -> dict[str, tuple[str, ...]]:
    return {group.name: group.lost for group in report.groups if group.lost}


def full_source(path: Path) -> Path:
    frame = make_frame(border=(2, 4, 0, 0), orientation=6)
    opcodes = {51022: opcode_list(VIGNETTE_OPCODE)}
    return write_cfa_dng(path, frame, metadata=True, two_matrices=True, maker_note=b"n" * 50, opcodes=opcodes)


@pytest.mark.parametrize("cfa", PATTERNS)
def test_an_identity_loses_nothing(worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path, cfa: str) -> None:
    frame = make_frame(cfa=cfa, border=(6, 12, 1, 2), orientation=5)
    source = write_cfa_dng(tmp_path / "source.dng", frame, metadata=True, maker_note=b"n" * 50)
    rewrite(source)
    report = worker.verify(source, tmp_path / "out.dng")
    assert report.passed, losses(report)
    found = states(report)
    for name in ("Geometry", "Levels", "Pixels", "Orientation", "Colour", "EXIF", "GPS", "Lens", "XMP", "IPTC"):
        assert found[name] is Check.KEPT, name
    assert found["MakerNote"] is Check.KEPT
    assert found["Preview"] is Check.CHANGED


@pytest.mark.parametrize("kind", ["arw", "linear", "float", "odd margins", "blacks"])
def test_other_kinds_pass_too(worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "source.dng"
    if kind == "arw":
        path = write_arw(tmp_path / "source.arw", make_frame(200, 300))
    elif kind == "linear":
        write_linear_dng(path, make_linear(black=1000))
    elif kind == "float":
        write_cfa_dng(path, make_frame(dtype=np.float32))
    elif kind == "odd margins":
        write_cfa_dng(path, make_frame(border=(3, 5, 0, 0)))
    else:
        write_cfa_dng(path, make_frame(black=((500, 507), (513, 521))))
    rewrite(path)
    report = worker.verify(path, tmp_path / "out.dng")
    assert report.passed, losses(report)


def test_every_group_that_loses_is_named(worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path) -> None:
    source = full_source(tmp_path / "source.dng")
    plain = write_cfa_dng(tmp_path / "plain.dng", make_frame(signal=make_frame().signal()[::-1]))
    rewrite(plain)
    report = worker.verify(source, tmp_path / "out.dng")
    assert not report.passed
    assert set(losses(report)) == {
        *("Orientation", "Colour", "Opcodes and hints", "EXIF", "GPS", "Lens", "XMP", "IPTC", "MakerNote"),
        *("Pixels", "Provenance"),
    }
    assert "ColorMatrix2: missing" in losses(report)["Colour"]


@pytest.mark.parametrize(
    ("edit", "group", "words"),
    [
        ({"Exif.Photo.ISOSpeedRatings": "100"}, "EXIF", "ISOSpeedRatings: 800 became 100"),
        ({"Exif.GPSInfo.GPSLatitudeRef": "S"}, "GPS", "GPSLatitudeRef: N became S"),
        ({"Exif.Photo.LensModel": ""}, "Lens", "LensModel: Test 50mm F1.8 became "),
    ],
)
def test_single_tags(
    worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path, edit: dict[str, str], group: str, words: str
) -> None:
    source = full_source(tmp_path / "source.dng")
    rewrite(source)
    with pyexiv2.Image(str(tmp_path / "out.dng")) as image:
        image.modify_exif(edit)
    assert losses(worker.verify(source, tmp_path / "out.dng")) == {group: (f"{edit_group(group)}.{words}",)}


def edit_group(group: str) -> str:
    return "GPSInfo" if group == "GPS" else "Photo"


def test_a_flipped_bit_in_the_raw_stream_is_seen(worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path) -> None:
    source = full_source(tmp_path / "source.dng")
    rewrite(source, none=True)
    out = tmp_path / "out.dng"
    with tifffile.TiffFile(out) as tif:
        page = tif.pages[0].pages[0]  # type: ignore[index,union-attr]
        offset = page.dataoffsets[0]
    content = bytearray(out.read_bytes())
    content[offset + 1001] ^= 1
    out.write_bytes(bytes(content))
    found = losses(worker.verify(source, out))
    assert found == {"Provenance": ("RawStreamSHA256: the raw image has changed since it was written",)}


def test_saturation_must_stay(worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path) -> None:
    frame = make_frame()
    source = write_cfa_dng(tmp_path / "source.dng", frame)
    dimmed = frame.mosaic.copy()
    dimmed[frame.mosaic >= 16383] = 16300
    rewrite(source, image=replace(frame, mosaic=dimmed))
    (words,) = losses(worker.verify(source, tmp_path / "out.dng"))["Pixels"]
    assert "saturated photosites are below white" in words


def test_another_size_is_a_loss(worker: DecodeWorker, rewrite: Rewrite, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "source.dng", make_frame(40, 60))
    rewrite(write_cfa_dng(tmp_path / "other.dng", make_frame(38, 60)))
    found = losses(worker.verify(source, tmp_path / "out.dng"))
    assert any("active area: 40x60 became 38x60" in words for words in found["Geometry"])


def test_a_result_that_is_no_dng_is_an_error(worker: DecodeWorker, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "source.dng", make_frame())
    arw = write_arw(tmp_path / "a.arw", make_frame(200, 300))
    with pytest.raises(FileFormatError, match="is no DNG"):
        worker.verify(source, arw)
