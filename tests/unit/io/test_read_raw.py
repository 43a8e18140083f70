from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, LimitError, NoModelError, OptionError
from plugin_core.frame import LinearImage, NoiseProfile, NoiseSource, RawFrame, Rect
from plugin_core.io.read_raw import read_raw
from tests.builders import (
    BYTE,
    DOUBLE,
    MATRIX_A,
    PATTERNS,
    SHORT,
    XTRANS,
    make_frame,
    make_linear,
    write_arw,
    write_broken_files,
    write_cfa_dng,
    write_linear_dng,
    write_truncated,
)


def read_frame(path: Path) -> RawFrame:
    image = read_raw(path).image
    assert isinstance(image, RawFrame)
    return image


def assert_same_frame(found: RawFrame, expected: RawFrame) -> None:
    np.testing.assert_array_equal(found.mosaic, expected.mosaic)
    assert found.cfa == expected.cfa
    assert found.white_level == expected.white_level
    assert found.active_area == expected.active_area
    assert found.default_crop == expected.default_crop
    np.testing.assert_allclose(found.black_map(), expected.black_map())
    np.testing.assert_allclose(found.as_shot_neutral, expected.as_shot_neutral, atol=1e-6)
    assert found.color == expected.color
    assert found.orientation == expected.orientation


@pytest.mark.parametrize("border", [(0, 0, 0, 0), (6, 12, 0, 7), (3, 5, 2, 1)], ids=str)
@pytest.mark.parametrize("cfa", PATTERNS)
def test_a_dng_reads_as_it_was_written(tmp_path: Path, cfa: str, border: tuple[int, int, int, int]) -> None:
    frame = make_frame(cfa=cfa, border=border)
    assert_same_frame(read_frame(write_cfa_dng(tmp_path / "a.dng", frame)), frame)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("size", [(23, 33), (37, 53), (64, 64)], ids=str)
def test_bit_depths_and_sizes(tmp_path: Path, bits: int, size: tuple[int, int]) -> None:
    frame = make_frame(*size, bits=bits, black=1 << (bits - 5))
    assert_same_frame(read_frame(write_cfa_dng(tmp_path / "a.dng", frame)), frame)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_kept_and_not_applied(tmp_path: Path, orientation: int) -> None:
    frame = make_frame(orientation=orientation)
    assert_same_frame(read_frame(write_cfa_dng(tmp_path / "a.dng", frame)), frame)


def test_blacks_of_every_position_keep_their_places(tmp_path: Path) -> None:
    bayer = make_frame(cfa="GBRG", black=((500, 507), (513, 521)), border=(2, 4, 0, 0))
    assert read_frame(write_cfa_dng(tmp_path / "a.dng", bayer)).black_level == bayer.black_level
    rows = tuple(tuple(float(500 + 6 * r + c) for c in range(6)) for r in range(6))
    xtrans = make_frame(cfa="XTRANS", black=rows, border=(7, 5, 0, 0))
    assert read_frame(write_cfa_dng(tmp_path / "b.dng", xtrans)).black_level == rows


def test_a_fractional_black_is_not_rounded(tmp_path: Path) -> None:
    assert read_frame(write_cfa_dng(tmp_path / "a.dng", make_frame(black=512.25))).black_level == ((512.25,),)


def test_black_deltas_are_added(tmp_path: Path) -> None:
    delta = (50716, 10, 37, (4, 1) * 37, True)  # BlackLevelDeltaV, one per row
    path = write_cfa_dng(tmp_path / "a.dng", make_frame(), extra_raw_tags=(delta,))
    assert read_frame(path).black_level == ((516.0,),)


def test_matrices_come_from_the_file_not_from_the_table_of_cameras(tmp_path: Path) -> None:
    frame = make_frame(make="SONY", model="ILCE-7M2")
    path = write_cfa_dng(tmp_path / "a.dng", frame, two_matrices=True)
    found = read_frame(path).color
    assert found.color_matrix_1 == frame.color.color_matrix_1
    assert found.color_matrix_2 == tuple(v / 10000 for v in MATRIX_A)
    assert (found.calibration_illuminant_1, found.calibration_illuminant_2) == (17, 21)


def test_a_float_dng_keeps_values_below_black_and_above_white(tmp_path: Path) -> None:
    frame = make_frame(48, 64, dtype=np.float32, border=(2, 2, 0, 0), noise=(1e-4, 1e-4))
    found = read_frame(write_cfa_dng(tmp_path / "a.dng", frame))
    assert found.mosaic.dtype == np.float32
    assert_same_frame(found, frame)
    assert found.signal().min() < 0 < 1 < found.signal().max()


def test_a_float_dng_with_nan_is_refused(tmp_path: Path) -> None:
    frame = make_frame(48, 64, dtype=np.float32)
    frame.mosaic[3, 4] = np.nan
    with pytest.raises(FileFormatError, match="finite"):
        read_raw(write_cfa_dng(tmp_path / "a.dng", frame))


@pytest.mark.parametrize("black", [0, 1000])
def test_a_linear_dng_becomes_a_linear_image(tmp_path: Path, black: int) -> None:
    picture = make_linear(black=black)
    found = read_raw(write_linear_dng(tmp_path / "a.dng", picture)).image
    assert isinstance(found, LinearImage)
    np.testing.assert_array_equal(found.pixels, picture.pixels)
    assert (found.black_level, found.white_level) == (picture.black_level, picture.white_level)
    np.testing.assert_allclose(found.as_shot_neutral, picture.as_shot_neutral, atol=1e-6)


def test_a_linear_dng_is_cut_to_its_active_area(tmp_path: Path) -> None:
    picture = make_linear()
    area = (50829, 4, 4, (2, 3, 34, 50), True)
    found = read_raw(write_linear_dng(tmp_path / "a.dng", picture, extra_raw_tags=(area,))).image
    assert isinstance(found, LinearImage)
    np.testing.assert_array_equal(found.pixels, picture.pixels[2:34, 3:50])
    assert found.default_crop == Rect(0, 0, 32, 47)  # the tag's crop lies outside: all of the area instead


def test_a_camera_native_file(tmp_path: Path) -> None:
    frame = make_frame(400, 600, orientation=8)
    source = read_raw(write_arw(tmp_path / "DSC1.ARW", frame), "holiday/DSC1.ARW")
    found = source.image
    assert isinstance(found, RawFrame)
    np.testing.assert_array_equal(found.mosaic, frame.mosaic)
    assert (found.cfa, found.black_level, found.white_level) == (frame.cfa, ((512.0,),), (16383.0,) * 3)
    assert found.color.color_matrix_1 == frame.color.color_matrix_1
    np.testing.assert_allclose(found.as_shot_neutral, (0.5, 1, 1024 / 1638), atol=1e-6)
    assert (found.source.make, found.source.model, found.source.name) == ("SONY", "ILCE-7M3", "DSC1.ARW")
    assert (found.exposure.iso, found.exposure.time_s, found.exposure.f_number) == (800, 0.005, 4)
    assert found.orientation == 8
    assert source.metadata.original_name == "DSC1.ARW"


def test_noise_profile_tag(tmp_path: Path) -> None:
    profile = NoiseProfile((1e-4, 2e-4, 3e-4), (1e-6, 2e-6, 3e-6), NoiseSource.TAG)
    found = read_frame(write_cfa_dng(tmp_path / "a.dng", make_frame(noise_profile=profile))).noise_profile
    assert found is not None
    assert (found.a, found.b, found.source) == (profile.a, profile.b, NoiseSource.TAG)
    single = (51041, DOUBLE, 2, (1e-4, 1e-6), True)
    found = read_frame(write_cfa_dng(tmp_path / "b.dng", make_frame(), extra_raw_tags=(single,))).noise_profile
    assert found is not None
    assert (found.a, found.b) == ((1e-4,) * 3, (1e-6,) * 3)


def test_a_noise_profile_of_the_wrong_length_is_an_error(tmp_path: Path) -> None:
    tag = (51041, DOUBLE, 4, (1e-4, 1e-6, 1e-4, 1e-6), True)
    with pytest.raises(FileFormatError, match="4 values, expected 2 or 6"):
        read_raw(write_cfa_dng(tmp_path / "a.dng", make_frame(), extra_raw_tags=(tag,)))


def test_a_noise_profile_of_no_variances_is_a_warning(tmp_path: Path) -> None:
    tag = (51041, DOUBLE, 2, (-1e-4, 1e-6), True)
    source = read_raw(write_cfa_dng(tmp_path / "a.dng", make_frame(), extra_raw_tags=(tag,)))
    assert source.image.noise_profile is None
    assert any("NoiseProfile" in warning for warning in source.warnings)


# --- refused by name --------------------------------------------------------------------------------------------------


def test_foveon_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.x3f"
    path.write_bytes(b"FOVb" + bytes(1000))
    with pytest.raises(NoModelError, match="Foveon"):
        read_raw(path)


def test_rotated_superccd_is_refused_by_name(tmp_path: Path) -> None:
    head = bytearray(b"FUJIFILMCCD-RAW ".ljust(200, b"\0"))
    head[0x5C:0x60] = struct.pack(">I", 160)
    head[160:170] = struct.pack(">IHHBB", 1, 0x130, 4, 0x80, 0)
    path = tmp_path / "a.raf"
    path.write_bytes(bytes(head))
    with pytest.raises(NoModelError, match="SuperCCD"):
        read_raw(path)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (((50711, SHORT, 1, 2, True),), "CFALayout 2"),
        (((50710, BYTE, 4, bytes((0, 1, 2, 3)), True),), "other colours"),
        (((50710, BYTE, 3, bytes((3, 4, 5)), True),), "other colours"),
    ],
)
def test_other_mosaics_are_refused_by_name(tmp_path: Path, tags: tuple[Any, ...], words: str) -> None:
    codes = {tag[0] for tag in tags}
    path = write_cfa_dng(tmp_path / "a.dng", make_frame())
    replace_tags(path, codes, tags)
    with pytest.raises(NoModelError, match=words):
        read_raw(path)


def replace_tags(path: Path, codes: set[int], tags: tuple[Any, ...]) -> None:
    """Overwrites tags of the raw IFD in place; their values fit into four bytes."""
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[0].pages[0]  # type: ignore[index]
        offsets = {code: page.tags[code].offset for code in codes}
    with path.open("r+b") as f:
        for code, dtype, count, value, _ in tags:
            content = value if isinstance(value, bytes) else struct.pack("<H", value)
            f.seek(offsets[code])
            f.write(struct.pack("<HHI", code, dtype, count) + content.ljust(4, b"\0"))


def test_two_frames_in_one_file_are_refused_by_name(tmp_path: Path) -> None:
    frame, path = make_frame(), tmp_path / "a.dng"
    options: dict[str, Any] = {"photometric": "CFA", "metadata": None, "rowsperstrip": 37}
    cfa = [(33421, SHORT, 2, (2, 2), True), (33422, BYTE, 4, bytes((0, 1, 1, 2)), True)]
    with tifffile.TiffWriter(path) as writer:
        version = [(50706, BYTE, 4, bytes((1, 4, 0, 0)), True), *cfa]
        writer.write(frame.mosaic, extratags=version, **options)
        writer.write(frame.mosaic, extratags=cfa, **options)
    with pytest.raises(NoModelError, match="2 frames"):
        read_raw(path)


# --- broken files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["empty", "text", "jpeg", "png", "zeros", "garbage", "giant", "half"])
def test_broken_files_are_errors_of_one_line(tmp_path: Path, kind: str) -> None:
    path = write_broken_files(tmp_path / "broken")[kind]
    with pytest.raises((FileFormatError, LimitError)) as caught:
        read_raw(path, "my photo.dng")
    assert caught.value.message.startswith("my photo.dng: ")
    assert "\n" not in caught.value.message
    assert isinstance(caught.value, LimitError) == (kind == "giant")


@pytest.mark.parametrize("percent", range(0, 100, 5))
def test_truncated_at_every_five_percent(tmp_path: Path, percent: int) -> None:
    dng = write_cfa_dng(tmp_path / "whole.dng", make_frame(96, 128))
    arw = write_arw(tmp_path / "whole.arw", make_frame(200, 200))
    for whole in (dng, arw):
        part = write_truncated(tmp_path / f"part{whole.suffix}", whole, percent / 100)
        with pytest.raises(FileFormatError) as caught:
            read_raw(part)
        assert caught.value.reason in {"NOT_RAW", "TRUNCATED", "DAMAGED"}


def test_an_all_zero_decode_is_an_error(tmp_path: Path) -> None:
    frame = make_frame()
    frame.mosaic[...] = 0
    with pytest.raises(FileFormatError, match="decodes to zero"):
        read_raw(write_cfa_dng(tmp_path / "a.dng", frame))


def test_black_above_white_is_an_error(tmp_path: Path) -> None:
    frame = make_frame(black=512, white=16383)
    path = write_cfa_dng(tmp_path / "a.dng", make_frame(black=512, white=500, signal=frame.signal()))
    with pytest.raises(FileFormatError, match="not below WhiteLevel"):
        read_raw(path)


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write_cfa_dng(tmp_path / "a.dng", make_frame(40, 60))

    def never(shape: tuple[int, ...], dtype: Any) -> Any:
        raise AssertionError("allocated in spite of the limit")

    with pytest.raises(LimitError, match="40x60"):
        read_raw(path, limits=Limits(pixels=2399), allocate=never)
    with pytest.raises(LimitError, match="40x60"):
        read_raw(path, limits=Limits(side=59), allocate=never)
    with pytest.raises(LimitError, match="bytes"):
        read_raw(path, limits=Limits(file_bytes=1000), allocate=never)


def test_a_compression_that_libraw_lacks_is_named(tmp_path: Path) -> None:
    path, frame = tmp_path / "a.dng", make_frame(64, 64)
    cfa = [(33421, SHORT, 2, (2, 2), True), (33422, BYTE, 4, bytes((0, 1, 1, 2)), True)]
    version = (50706, BYTE, 4, bytes((1, 4, 0, 0)), True)
    tifffile.imwrite(path, frame.mosaic, photometric="CFA", compression="zlib", extratags=[version, *cfa])
    with pytest.raises(FileFormatError) as caught:
        read_raw(path)
    assert "Deflate" in caught.value.message or caught.value.reason in {"DAMAGED", "TRUNCATED"}


def test_a_missing_file_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"gone\.dng"):
        read_raw(tmp_path / "gone.dng")


def test_random_bit_flips_never_escape_as_other_errors(tmp_path: Path) -> None:
    whole = write_cfa_dng(tmp_path / "whole.dng", make_frame(32, 48), metadata=True, two_matrices=True).read_bytes()
    head = 4000  # tags and the first rows: flips in plain samples change the picture, not the outcome
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(150):
        content = bytearray(whole)
        for position in rng.integers(0, head * 8, 3):
            content[position // 8] ^= 1 << (position % 8)
        path = tmp_path / "flipped.dng"
        path.write_bytes(bytes(content))
        try:
            read_raw(path)
            outcomes.add("read")
        except IspError as error:
            outcomes.add(type(error).__name__)
    assert "read" in outcomes
    assert len(outcomes) > 1


def test_the_pattern_of_xtrans_is_not_libraws_overrun_table(tmp_path: Path) -> None:
    # rawpy's raw_pattern reads beyond its table where margins are not multiples of 6
    frame = make_frame(cfa="XTRANS", border=(6, 12, 0, 6))
    assert read_frame(write_cfa_dng(tmp_path / "a.dng", frame)).cfa == XTRANS
