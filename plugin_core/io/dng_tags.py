"""A DNG's own levels, areas, colour and noise, read from its tags by tifffile. Decodes no pixels, except float ones.

LibRaw's picture of a DNG is not the file's: it takes the matrix from its own table of cameras, orders black levels by
colour, and moves odd margins. So for DNG sources the tags speak, and LibRaw only decodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from plugin_core.errors import FileFormatError
from plugin_core.frame import CfaPattern, ColorCalibration, NoiseProfile, NoiseSource, Rect
from plugin_core.io.source_file import TiffTag

__all__ = ["COMPRESSIONS", "DngTags", "read_dng_tags"]

CFA, LINEAR_RAW = 32803, 34892
COMPRESSIONS = {1: "uncompressed", 7: "JPEG", 8: "Deflate", 34892: "lossy JPEG", 52546: "JPEG XL"}

# Colour, profiles and rendering advice that hold for restored pixels as for the source's: DNG 1.6, IFD 0.
IFD0_VERBATIM = (
    *range(50721, 50730),  # ColorMatrix, CameraCalibration, ReductionMatrix, AnalogBalance, AsShotNeutral/WhiteXY
    50730,  # BaselineExposure
    50732,  # BaselineSharpness
    50734,  # LinearResponseLimit
    50735,  # CameraSerialNumber
    50736,  # LensInfo
    50739,  # ShadowScale
    *(50741, 50778, 50779),  # MakerNoteSafety, CalibrationIlluminant 1 and 2
    *range(50831, 50835),  # AsShotICCProfile ... CurrentPreProfileMatrix
    50879,  # ColorimetricReference
    *(50931, 50932),  # CameraCalibrationSignature, ProfileCalibrationSignature
    *range(50934, 50935),  # AsShotProfileName
    *range(50936, 50943),  # ProfileName, hue/sat maps, tone curve, embed policy, copyright
    *(50964, 50965),  # ForwardMatrix
    *(50981, 50982),  # ProfileLookTable
    *range(51107, 51111),  # ProfileHueSatMapEncoding, look table encoding, exposure offset, default black render
    *(52529, 52530, 52531, 52532, 52533, 52537, 52538),  # third illuminant's matrices, illuminant data, map data 3
)
# Tags of the raw IFD that hold while the geometry is unchanged; opcode list 1 speaks of raw defects before levels.
RAW_VERBATIM = (
    50718,  # DefaultScale
    50733,  # BayerGreenSplit
    50737,  # ChromaBlurRadius
    50738,  # AntiAliasStrength
    50780,  # BestQualityScale
    *(51008, 51009, 51022),  # OpcodeList 1, 2, 3
    51125,  # DefaultUserCrop
    52525,  # ProfileGainTableMap
)


@dataclass(frozen=True)
class DngTags:
    """What the tags of a DNG say about its raw image. Rectangles and patterns as in RawFrame."""

    height: int
    width: int
    samples: int  # 1: mosaic or monochrome, 3: linear
    is_float: bool
    compression: int
    page: tuple[int, ...]  # which IFD holds the raw image: index in the chain, then among its SubIFDs
    is_mosaic: bool  # PhotometricInterpretation is CFA; else linear, of one or three samples
    cfa: CfaPattern | None  # None: no mosaic, or one of other colours
    cfa_layout: int
    black_level: tuple[tuple[float, ...], ...]  # rows per CFA position; linear: one row, a value per channel
    white_level: tuple[float, ...]  # one per sample
    active_area: Rect
    default_crop: Rect
    as_shot_neutral: tuple[float, ...]
    color: ColorCalibration
    noise_profile: NoiseProfile | None
    orientation: int
    unique_camera_model: str
    private_data: bytes
    ifd0_tags: tuple[TiffTag, ...]
    raw_tags: tuple[TiffTag, ...]
    frames: int  # raw images of this size in the file
    warnings: tuple[str, ...]


def _number(tag: Any) -> tuple[float, ...]:
    """The tag's values as floats; rationals divided, 0/0 as 0."""
    value = tag.value
    values = value if isinstance(value, tuple) else tuple(value) if isinstance(value, bytes) else (value,)
    if int(tag.dtype) in (5, 10):
        return tuple(n / d if d else 0.0 for n, d in zip(values[::2], values[1::2], strict=True))
    return tuple(float(v) for v in values)


def _numbers(page: Any, code: int) -> tuple[float, ...] | None:
    tag = page.tags.get(code)
    return None if tag is None else _number(tag)


def _pages(tif: tifffile.TiffFile) -> Iterator[tuple[tuple[int, ...], Any]]:
    """IFDs of the chain and their SubIFDs, one level deep, each with its place."""
    for i, page in enumerate(tif.pages):
        keyframe: Any = page
        yield (i,), keyframe
        if keyframe.subifds:
            for j, sub in enumerate(keyframe.pages or ()):
                yield (i, j), sub


def _raw_pages(tif: tifffile.TiffFile) -> list[tuple[tuple[int, ...], Any]]:
    """Full-size raw IFDs with their places, largest first."""
    found = [
        (place, page)
        for place, page in _pages(tif)
        if 262 in page.tags and int(page.tags[262].value) in (CFA, LINEAR_RAW) and page.subfiletype & 1 == 0
    ]
    return sorted(found, key=lambda item: item[1].imagelength * item[1].imagewidth, reverse=True)


def _check_extent(page: Any, name: str, file_bytes: int) -> None:
    """Raises FileFormatError if a strip or tile lies beyond the end of the file."""
    ends = [int(a) + int(b) for a, b in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > file_bytes:
        raise FileFormatError(
            f"{name}: truncated: the file has {file_bytes} bytes, its raw image needs {max(ends, default=0)}",
            "TRUNCATED",
            {"found": str(file_bytes), "expected": str(max(ends, default=0))},
        )


def _verbatim(page: Any, codes: Sequence[int]) -> Iterator[TiffTag]:
    for code in codes:
        tag = page.tags.get(code)
        if tag is not None and tag.count > 0:
            yield TiffTag(code, int(tag.dtype), 0 if int(tag.dtype) == 2 else tag.count, tag.value)


def _cfa(page: Any, name: str) -> CfaPattern | None:
    dim, colors = _numbers(page, 33421), _numbers(page, 33422)
    if dim is None or colors is None:
        raise FileFormatError(f"{name}: a CFA image without CFAPattern", "DAMAGED")
    rows, columns = int(dim[0]), int(dim[-1])
    planes = _numbers(page, 50710) or (0, 1, 2)
    if len(planes) > 3 or set(planes) != {0, 1, 2} or not set(colors) <= set(planes):
        return None  # four colours, or others than red, green, blue: the reader refuses by name
    if len(colors) != rows * columns or (rows, columns) not in ((2, 2), (6, 6)):
        return None
    return CfaPattern(tuple(tuple(int(c) for c in colors[r * columns : (r + 1) * columns]) for r in range(rows)))


def _black(page: Any, samples: int, period: int, name: str) -> tuple[tuple[float, ...], ...]:
    """BlackLevel plus its deltas' means as rows per CFA position; linear: one row, one value per channel."""
    dim = _numbers(page, 50713) or (1, 1)
    rows, columns = int(dim[0]), int(dim[-1])
    values = _numbers(page, 50714) or (0.0,)
    if len(values) == 1:
        values *= rows * columns * samples
    if rows < 1 or columns < 1 or len(values) != rows * columns * samples:
        raise FileFormatError(
            f"{name}: BlackLevel has {len(values)} values, expected {rows * columns * samples}", "DAMAGED"
        )
    shift = sum(float(np.mean(_numbers(page, code) or (0.0,))) for code in (50715, 50716))  # BlackLevelDeltaH, V
    levels = np.array(values).reshape(rows, columns, samples) + shift
    if samples > 1:
        return (tuple(levels.mean(axis=(0, 1)).tolist()),)
    tile = levels[:, :, 0]
    size = math.lcm(rows, columns, period)
    if size not in (1, 2, 6):
        raise FileFormatError(f"{name}: BlackLevel repeats every {rows}x{columns}, which fits no CFA", "DAMAGED")
    tile = np.tile(tile, (size // rows, size // columns))
    if (tile == tile[0, 0]).all():
        return ((float(tile[0, 0]),),)
    return tuple(tuple(row) for row in tile.tolist())


def _areas(page: Any, name: str) -> tuple[Rect, Rect]:
    height, width = page.imagelength, page.imagewidth
    top, left, bottom, right = (int(v) for v in _numbers(page, 50829) or (0, 0, height, width))
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise FileFormatError(
            f"{name}: ActiveArea is {top}, {left}, {bottom}, {right}, outside {height}x{width}", "DAMAGED"
        )
    area = Rect(top, left, bottom - top, right - left)
    origin, size = _numbers(page, 50719) or (0, 0), _numbers(page, 50720) or (area.width, area.height)
    crop = Rect(round(origin[1]), round(origin[0]), round(size[1]), round(size[0]))
    inside = crop.top >= 0 and crop.left >= 0 and crop.bottom <= area.height and crop.right <= area.width
    return area, crop if inside and crop.height > 0 and crop.width > 0 else Rect(0, 0, area.height, area.width)


def _color(page: Any) -> ColorCalibration:
    def matrix(code: int) -> tuple[float, ...] | None:
        values = _numbers(page, code)
        return values if values is not None and len(values) in (3, 9) and any(values) else None

    def illuminant(code: int, default: int) -> int:
        return int((_numbers(page, code) or (default,))[0])

    return ColorCalibration(matrix(50721), illuminant(50778, 21), matrix(50722), illuminant(50779, 0))


def _neutral(page: Any, color: ColorCalibration, planes: int) -> tuple[float, ...]:
    """AsShotNeutral, or AsShotWhiteXY through the daylight matrix; largest 1, () where neither is usable."""
    values = _numbers(page, 50728)
    white = _numbers(page, 50729)
    matrix = color.color_matrix_2 or color.color_matrix_1
    if values is None and white is not None and matrix is not None and len(matrix) == 9 and white[1] > 0:
        x, y = white[:2]
        xyz = np.array([x / y, 1.0, (1 - x - y) / y])
        values = tuple((np.array(matrix).reshape(3, 3) @ xyz).tolist())
    if values is None or planes != 3 or len(values) != 3 or min(values) <= 0:
        return ()
    return tuple(v / max(values) for v in values)


def _noise(pages: Sequence[Any], planes: int, name: str) -> tuple[NoiseProfile | None, tuple[str, ...]]:
    """NoiseProfile of the raw IFD, else of IFD 0: S, O per plane (DNG 1.3: N(x)^2 = S x + O)."""
    values = next((v for v in (_numbers(page, 51041) for page in pages) if v is not None), None)
    if values is None:
        return None, ()
    if len(values) not in (2, 2 * planes):
        raise FileFormatError(
            f"{name}: NoiseProfile has {len(values)} values, expected 2 or {2 * planes}", "BAD_NOISE_PROFILE"
        )
    pairs = values * planes if len(values) == 2 else values
    a, b = pairs[::2], pairs[1::2]
    usable = all(math.isfinite(v) and v >= 0 for v in pairs) and all(x + y > 0 for x, y in zip(a, b, strict=True))
    if not usable:
        return None, (f"NoiseProfile tag ignored: its values {values} are no variances",)
    return NoiseProfile(a, b, NoiseSource.TAG, 1.0, "NoiseProfile tag of the DNG"), ()


def read_dng_tags(path: Path, name: str) -> DngTags | None:
    """What the tags of a DNG say; None if the file is no DNG.

    Raises FileFormatError if they contradict each other or the file is shorter than they say.
    """
    try:
        tif = tifffile.TiffFile(path)
    except Exception:  # tifffile raises all kinds on what is no TIFF; LibRaw knows RAW files of other makes
        return None
    with tif:
        try:
            first: Any = tif.pages.first
            if 50706 not in first.tags:
                return None
        except Exception:  # as above: its first IFD is no TIFF's
            return None
        try:
            return _read(tif, first, path, name)
        except (FileFormatError, MemoryError):
            raise
        except Exception as error:  # a DNG by its own word, of tags that contradict each other in ways of their own
            reason = " ".join(str(error).split())[:120]
            raise FileFormatError(f"{name}: its TIFF tags are damaged", "DAMAGED", {"found": reason}) from error


def _read(tif: tifffile.TiffFile, first: Any, path: Path, name: str) -> DngTags:
    raws = _raw_pages(tif)
    if not raws:
        raise FileFormatError(f"{name}: a DNG without a raw image", "DAMAGED")
    place, page = raws[0]
    _check_extent(page, name, path.stat().st_size)
    is_cfa = int(page.tags[262].value) == CFA
    samples = page.samplesperpixel
    cfa = _cfa(page, name) if is_cfa else None
    planes = 1 if not is_cfa and samples == 1 else 3
    bits = page.bitspersample
    is_float = page.sampleformat == 3
    white = _numbers(page, 50717) or (1.0 if is_float else float((1 << bits) - 1),)
    color = _color(first)
    noise, warnings = _noise((page, first), planes, name)
    area, crop = _areas(page, name)
    private = first.tags.get(50740)
    camera = first.tags.get(50708)
    return DngTags(
        height=page.imagelength,
        width=page.imagewidth,
        samples=samples,
        is_float=is_float,
        compression=int(page.compression),
        page=place,
        is_mosaic=is_cfa,
        cfa=cfa,
        cfa_layout=int((_numbers(page, 50711) or (1,))[0]),
        black_level=_black(page, samples, cfa.period if cfa is not None else 1, name),
        white_level=white if len(white) == samples else white[:1] * samples,
        active_area=area,
        default_crop=crop,
        as_shot_neutral=_neutral(first, color, planes),
        color=color,
        noise_profile=noise,
        orientation=int((_numbers(first, 274) or (1,))[0]),
        unique_camera_model=str(camera.value) if camera is not None else "",
        private_data=bytes(private.value) if private is not None and isinstance(private.value, bytes) else b"",
        ifd0_tags=tuple(_verbatim(first, IFD0_VERBATIM)),
        raw_tags=tuple(_verbatim(page, RAW_VERBATIM)),
        frames=sum(
            (p.imagelength, p.imagewidth, p.samplesperpixel) == (page.imagelength, page.imagewidth, samples)
            for _, p in raws
        ),
        warnings=warnings,
    )
