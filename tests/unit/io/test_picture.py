from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, LimitError, OptionError
from plugin_core.io.picture import read_mask, write_change_map

MAP = (np.arange(37 * 53).reshape(37, 53) * 33 % 65536).astype(np.uint16)


@pytest.mark.parametrize("name", ["map.png", "map.tif", "map.TIFF"])
def test_a_change_map_reads_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_change_map(path, MAP)
    found = tifffile.imread(path) if "t" in path.suffix.lower() else imagecodecs.png_decode(path.read_bytes())
    np.testing.assert_array_equal(found, MAP)
    assert found.dtype == np.uint16
    with Image.open(path) as picture:  # also for programs that know nothing of us
        assert picture.size == (53, 37)


def test_change_maps_are_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    write_change_map(path, MAP)
    with pytest.raises(OptionError):
        write_change_map(path, MAP)
    write_change_map(path, MAP, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["map.png"]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"expected \.png"):
        write_change_map(tmp_path / "map.jpg", MAP)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_masks_run_from_0_to_1(tmp_path: Path, suffix: str, dtype: type) -> None:
    path, top = tmp_path / f"mask{suffix}", np.iinfo(dtype).max
    values = np.array([[0, top // 2, top]] * 4, dtype)
    if suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(values))
    else:
        tifffile.imwrite(path, values, photometric="minisblack")
    mask = read_mask(path)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask[0], [0, (top // 2) / top, 1])


def test_min_is_white_is_turned(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", np.array([[0, 255]], np.uint8), photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), [[1, 0]])


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    colour, text, empty = tmp_path / "c.png", tmp_path / "t.png", tmp_path / "e.png"
    colour.write_bytes(imagecodecs.png_encode(np.zeros((4, 5, 3), np.uint8)))
    text.write_text("no picture")
    empty.write_bytes(b"")
    whole = imagecodecs.png_encode(MAP)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole[: len(whole) // 2])
    floats = tmp_path / "f.tif"
    tifffile.imwrite(floats, np.zeros((4, 5), np.float32))
    for path in (colour, text, empty, cut, floats):
        with pytest.raises(FileFormatError) as caught:
            read_mask(path)
        assert caught.value.message.startswith(path.name)
    with pytest.raises(OptionError):
        read_mask(tmp_path / "gone.png")


def test_mask_limits_hold(tmp_path: Path) -> None:
    write_change_map(tmp_path / "m.png", MAP)
    with pytest.raises(LimitError):
        read_mask(tmp_path / "m.png", Limits(pixels=100))
