"""Lossless-JPEG tiles: the same samples as LibRaw's, and nothing that is unusual or damaged."""

import numpy as np
import pytest
import rawpy
import tifffile

from plugin_core.io.dng_tags import read_dng_tags
from plugin_core.io.lossless_jpeg import read_tiles
from plugin_core.io.read_raw import read_raw
from tests.builders import make_frame, write_cfa_dng


@pytest.fixture
def packed(tmp_path, worker):
    """A DNG in tiles whose sides don't divide the frame's; its place and the offset and size of each tile."""
    from plugin_core.io.write_dng import WriteOptions, write_dng

    plain = write_cfa_dng(tmp_path / "plain.dng", make_frame(330, 402, noise=(1e-3, 1e-5), seed=2))
    source = worker.read(plain)
    path = tmp_path / "packed.dng"
    write_dng(path, source.image, source, {}, None, 0.0, WriteOptions(), worker)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first.pages[0]
        return path, list(zip(page.dataoffsets, page.databytecounts, strict=True))


def tiles_of(path):
    return read_tiles(path, read_dng_tags(path, path.name), np.empty)


def test_samples_equal_libraws(packed):
    path, extents = packed
    assert len(extents) > 1
    with rawpy.imread(str(path)) as raw:
        np.testing.assert_array_equal(tiles_of(path), raw.raw_image)


@pytest.mark.parametrize("damage", ["flipped", "cut short", "ends early", "no head", "another table"])
def test_damage_is_left_to_libraw(packed, damage):
    path, extents = packed
    offset, size = extents[1]
    content = bytearray(path.read_bytes())
    middle = offset + size // 2
    if damage == "flipped":
        content[middle : middle + 40] = bytes(255 - byte & 0x7F for byte in content[middle : middle + 40])
    elif damage == "cut short":
        content[middle : offset + size] = bytes(offset + size - middle)
    elif damage == "ends early":
        content[middle : middle + 2] = b"\xff\xd9"
    elif damage == "no head":
        content[offset : offset + 30] = bytes(30)
    else:
        table = content.index(b"\xff\xc4", offset)
        content[table + 5] += 1
    path.write_bytes(content)
    assert tiles_of(path) is None


def test_other_files_are_left_to_libraw(packed, tmp_path):
    path, extents = packed
    assert tiles_of(write_cfa_dng(tmp_path / "strip.dng", make_frame(64, 64))) is None
    content = path.read_bytes()
    scan = content.index(b"\xff\xda", extents[0][0])
    predictor = scan + 5 + 2 * content[scan + 4]
    path.write_bytes(content[:predictor] + b"\2" + content[predictor + 1 :])
    assert tiles_of(path) is None


def test_a_file_is_read_by_either_way_alike(packed, monkeypatch):
    path, _ = packed
    first = read_raw(path)
    monkeypatch.setattr("plugin_core.io.read_raw.read_tiles", lambda *_: None)
    again = read_raw(path)
    np.testing.assert_array_equal(first.image.mosaic, again.image.mosaic)
    assert first.image.active_area == again.image.active_area
    assert first.warnings == again.warnings
