from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pyexiv2
import pytest
import tifffile

from plugin_core.frame import RawFrame
from plugin_core.io.metadata import NAMESPACE, open_tags, read_metadata
from tests.builders import (
    ASCII,
    EXIF,
    GPS,
    IPTC,
    RATIONAL,
    SHORT,
    SRATIONAL,
    XMP,
    make_frame,
    write_arw,
    write_cfa_dng,
)
from tests.unit.io.conftest import Rewrite

NOTE = bytes(range(200))


def ifd0(path: Path) -> dict[int, Any]:
    with tifffile.TiffFile(path) as tif:
        first: Any = tif.pages[0]
        return {tag.code: tag.value for tag in first.tags}


def fraction(text: str) -> list[float]:
    return [float(n) / float(d or 1) for n, _, d in (part.partition("/") for part in text.split())]


@pytest.mark.parametrize("kind", ["dng", "arw"])
def test_exif_gps_lens_xmp_and_iptc_survive(rewrite: Rewrite, tmp_path: Path, kind: str) -> None:
    if kind == "dng":
        source = write_cfa_dng(tmp_path / "source.dng", make_frame(), metadata=True)
    else:
        source = write_arw(tmp_path / "source.arw", make_frame(200, 300))
    rewrite(source)
    tags = open_tags(tmp_path / "out.dng")
    for key, value in {**EXIF, **GPS}.items():
        found = tags.exif[key]
        assert isinstance(found, str)
        if "/" in value and "c)" not in value:
            assert fraction(found) == fraction(value), key
        else:
            assert found == value, key
    assert tags.xmp["Xmp.dc.subject"] == XMP["Xmp.dc.subject"]
    assert tags.xmp["Xmp.xmp.Rating"] == "4"
    assert tags.xmp["Xmp.photoshop.City"] == "Zürich"
    assert tags.iptc["Iptc.Application2.Keywords"] == IPTC["Iptc.Application2.Keywords"]


def test_structure_of_the_source_does_not_come_along(rewrite: Rewrite, tmp_path: Path) -> None:
    rewrite(write_arw(tmp_path / "source.arw", make_frame(200, 300)))
    assert "Exif.Photo.MakerNote" not in open_tags(tmp_path / "out.dng").exif
    tags = ifd0(tmp_path / "out.dng")
    assert (tags[256], tags[257]) != (160, 120), "the source's thumbnail size"


def test_the_maker_note_moves_into_adobes_container(rewrite: Rewrite, tmp_path: Path) -> None:
    source = write_arw(tmp_path / "source.arw", make_frame(200, 300))
    note = bytes(int(v) for v in open_tags(source).text("Exif.Photo.MakerNote").split())
    rewrite(source)
    blob = ifd0(tmp_path / "out.dng")[50740]
    assert blob[:10] == b"Adobe\0MakN"
    length, order, offset = struct.unpack(">I2sI", blob[10:20])
    assert (length, order) == (len(note) + 6, b"II")
    assert blob[20:] == note
    content = source.read_bytes()
    assert content[offset : offset + len(note)] == note, "the original offset, for notes that count from there"


def test_private_data_of_a_dng_is_copied_as_it_is(rewrite: Rewrite, tmp_path: Path) -> None:
    rewrite(write_cfa_dng(tmp_path / "source.dng", make_frame(), maker_note=NOTE))
    assert ifd0(tmp_path / "out.dng")[50740] == ifd0(tmp_path / "source.dng")[50740]


def test_colour_tags_of_a_dng_are_copied_verbatim(rewrite: Rewrite, tmp_path: Path) -> None:
    extra = (
        (
            50964,
            SRATIONAL,
            9,
            tuple(v for n in (4360, 3850, 1430, 2220, 7170, 600, 140, 970, 7140) for v in (n, 10000)),
            True,
        ),
        (50723, SRATIONAL, 9, (1, 1, 0, 1, 0, 1, 0, 1, 101, 100, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50727, RATIONAL, 3, (1, 1, 99, 100, 1, 1), True),
        (50936, ASCII, 0, "My profile", True),
        (50941, 4, 1, 3, True),
        (50940, 11, 4, (0.0, 0.0, 1.0, 1.0), True),
        (50736, RATIONAL, 4, (50, 1, 50, 1, 18, 10, 18, 10), True),
        (50735, ASCII, 0, "0012345", True),
    )
    source = write_cfa_dng(tmp_path / "source.dng", make_frame(), two_matrices=True, extra_ifd0_tags=extra)
    rewrite(source)
    old, new = ifd0(source), ifd0(tmp_path / "out.dng")
    for code in (50721, 50722, 50778, 50779, 50728, *(tag[0] for tag in extra)):
        assert new[code] == old[code], code
    assert open_tags(tmp_path / "out.dng").text("Exif.Photo.LensSpecification") == "50/1 50/1 18/10 18/10"


def test_a_name_beyond_ascii_is_utf_8(rewrite: Rewrite, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "Zürich – 写真.dng", make_frame())
    rewrite(source)
    content = (tmp_path / "out.dng").read_bytes()
    assert b"Z\xc3\xbcrich \xe2\x80\x93 \xe5\x86\x99\xe7\x9c\x9f.dng\0" in content  # OriginalRawFileName
    assert "Zürich – 写真.dng" in open_tags(tmp_path / "out.dng").packet  # PreservedFileName


def test_names_and_provenance(rewrite: Rewrite, tmp_path: Path) -> None:
    source = write_cfa_dng(tmp_path / "DSC 0001.dng", make_frame(make="SONY", model="ILCE-7M3"))
    back = rewrite(source)
    tags = ifd0(tmp_path / "out.dng")
    assert tags[50827] == "DSC 0001.dng"
    assert (tags[271], tags[272], tags[50708]) == ("SONY", "ILCE-7M3", "SONY ILCE-7M3")
    assert tags[305] == "neural-isp"
    xmp = open_tags(tmp_path / "out.dng").xmp
    assert xmp["Xmp.nisp.ModelId"] == "test"
    assert xmp["Xmp.nisp.SourceSHA256"] == back_sha(source)
    assert len(xmp["Xmp.nisp.RawStreamSHA256"]) == 64
    assert NAMESPACE in open_tags(tmp_path / "out.dng").packet
    assert isinstance(back.image, RawFrame)


def back_sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_exposure_in_ifd0_is_found_and_given_to_hosts(rewrite: Rewrite, tmp_path: Path) -> None:
    extra = (
        (33434, RATIONAL, 1, (1, 160), True),
        (33437, RATIONAL, 1, (63, 10), True),
        (34855, SHORT, 1, 200, True),
    )
    back = rewrite(write_cfa_dng(tmp_path / "source.dng", make_frame(), extra_ifd0_tags=extra))
    exposure = back.image.exposure
    assert (exposure.iso, exposure.time_s, exposure.f_number) == (200, 1 / 160, 6.3)
    assert open_tags(tmp_path / "out.dng").text("Exif.Photo.ExposureTime") == "1/160"


def test_unreadable_metadata_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("corrupted image metadata")

    path = write_cfa_dng(tmp_path / "a.dng", make_frame())
    monkeypatch.setattr(pyexiv2, "Image", broken)
    metadata, _, warnings = read_metadata(path, "a.dng")
    assert metadata.original_name == "a.dng"
    assert "corrupted image metadata" in warnings[0]


def test_the_camera_of_a_cr3_is_found_without_exiv2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("corrupted image metadata")

    text = b"Canon\0Canon EOS R6\0"
    start = 8 + 2 + 2 * 12 + 4
    tiff = b"II*\0" + struct.pack("<IH", 8, 2)
    tiff += struct.pack("<HHII", 271, 2, 6, start) + struct.pack("<HHII", 272, 2, 13, start + 6) + bytes(4) + text
    path = tmp_path / "a.cr3"
    path.write_bytes(
        struct.pack(">I", 24) + b"ftypcrx " + bytes(12) + struct.pack(">I", len(tiff) + 8) + b"CMT1" + tiff
    )
    monkeypatch.setattr(pyexiv2, "Image", broken)
    metadata, _, _ = read_metadata(path, "a.cr3")
    assert (metadata.make, metadata.model) == ("Canon", "Canon EOS R6")
