"""The tags of a DNG that we write, as tifffile's extratags: which value, of which type, in which IFD (DNG 1.4)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from plugin_core.frame import CfaKind, LinearImage, NoiseProfile, RawFrame, Rect
from plugin_core.io.levels import Levels
from plugin_core.io.source_file import Metadata, TiffTag

__all__ = [
    "BAYER_GREEN_SPLIT",
    "OPCODE_LIST_1",
    "OPCODE_LIST_2",
    "ExtraTag",
    "ifd0_tags",
    "linear_tags",
    "mosaic_tags",
    "noise_tags",
]

ExtraTag = tuple[int, int, int, Any, bool]

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL, DOUBLE = 1, 2, 3, 4, 5, 10, 12
OPCODE_LIST_1, OPCODE_LIST_2, BAYER_GREEN_SPLIT = 51008, 51009, 50733


def _rationals(values: Iterable[float], denominator: int = 10000) -> tuple[int, ...]:
    return tuple(n for v in values for n in (round(v * denominator), denominator))


def _verbatim(tags: Sequence[TiffTag]) -> list[ExtraTag]:
    return [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in tags]


def ifd0_tags(image: RawFrame | LinearImage, metadata: Metadata, unique_id: bytes) -> list[ExtraTag]:
    """Version, camera, colour and private data for IFD 0; a DNG source's colour tags go before our reading of them."""
    make, model = metadata.make or image.source.make or "Unknown", metadata.model or image.source.model or "Unknown"
    tags: list[ExtraTag] = [
        (50706, BYTE, 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (50707, BYTE, 4, bytes((1, 1, 0, 0)), True),  # DNGBackwardVersion
        (271, ASCII, 0, make.encode(), True),
        (272, ASCII, 0, model.encode(), True),
        (50708, ASCII, 0, (metadata.unique_camera_model or f"{make} {model}").encode(), True),
        (274, SHORT, 1, image.orientation, True),
        (50781, BYTE, 16, unique_id, True),  # RawDataUniqueID
    ]
    if metadata.original_name:
        tags.append((50827, ASCII, 0, metadata.original_name.encode(), True))  # OriginalRawFileName: UTF-8, as DNG says
    if metadata.private_data:
        tags.append((50740, BYTE, len(metadata.private_data), metadata.private_data, True))
    copied = {tag.code for tag in metadata.ifd0_tags}
    color = image.color

    def matrix(values: tuple[float, ...]) -> tuple[int, ...]:
        exact = all(abs(v * 10000 - round(v * 10000)) < 1e-3 for v in values)  # as makers and Adobe publish them
        return _rationals(values, 10000 if exact else 1_000_000)

    if color.color_matrix_1 is not None and 50721 not in copied:
        tags.append((50721, SRATIONAL, len(color.color_matrix_1), matrix(color.color_matrix_1), True))
        tags.append((50778, SHORT, 1, color.calibration_illuminant_1, True))
        if color.color_matrix_2 is not None:
            tags.append((50722, SRATIONAL, len(color.color_matrix_2), matrix(color.color_matrix_2), True))
            tags.append((50779, SHORT, 1, color.calibration_illuminant_2, True))
    if image.as_shot_neutral and not copied & {50728, 50729}:
        tags.append((50728, RATIONAL, 3, _rationals(image.as_shot_neutral, 1_000_000), True))
    if 50730 not in copied:
        tags.append((50730, SRATIONAL, 1, (0, 1), True))  # BaselineExposure
    return sorted(tags + _verbatim(metadata.ifd0_tags))


def noise_tags(profile: NoiseProfile | None, reduction: float, planes: int) -> list[ExtraTag]:
    """NoiseReductionApplied, and NoiseProfile of what remains where it is known and of as many planes."""
    tags: list[ExtraTag] = [(50935, RATIONAL, 1, _rationals([reduction]), True)]
    if profile is not None and len(profile.a) in (1, planes):
        a, b = profile.a * (planes // len(profile.a)), profile.b * (planes // len(profile.b))
        values = tuple(float(v) for pair in zip(a, b, strict=True) for v in pair)
        tags.append((51041, DOUBLE, len(values), values, True))
    return tags


def _crop_tags(crop: Rect) -> list[ExtraTag]:
    return [
        (50719, LONG, 2, (crop.left, crop.top), True),  # DefaultCropOrigin: x, y
        (50720, LONG, 2, (crop.width, crop.height), True),
    ]


def _raw_tags(metadata: Metadata, left_out: Container[int]) -> list[ExtraTag]:
    """The source's opcode lists and rendering hints."""
    return _verbatim([tag for tag in metadata.raw_tags if tag.code not in left_out])


def mosaic_tags(frame: RawFrame, levels: Levels, metadata: Metadata, area: Rect | None) -> list[ExtraTag]:
    """CFA, levels and areas of the raw IFD. area: the ActiveArea to write; None where the mosaic was cut to it.

    Four equal blacks in 2x2 also for X-Trans: RawTherapee 5.9 overlooks a single one there.
    """
    mono = frame.cfa.kind is CfaKind.MONOCHROME
    n = frame.cfa.period
    blacks = [value for row in frame.black_level for value in row] if levels.unchanged else [levels.black]
    if len(blacks) != 4 and not mono:
        blacks = blacks[:1] * 4
    black = tuple(part for b in blacks for part in ((int(b), 1) if b == int(b) else _rationals([b])))
    tags: list[ExtraTag] = [
        (50713, SHORT, 2, (1, 1) if mono else (2, 2), True),  # BlackLevelRepeatDim
        (50714, RATIONAL, len(blacks), black, True),
        (50717, LONG, 1, levels.white, True),
        *_crop_tags(frame.default_crop),
    ]
    if area is not None:
        tags.append((50829, LONG, 4, (area.top, area.left, area.bottom, area.right), True))
    if not mono:
        tags += [
            (33421, SHORT, 2, (n, n), True),
            (33422, BYTE, n * n, bytes(c for row in frame.cfa.colors for c in row), True),
            (50710, BYTE, 3, bytes((0, 1, 2)), True),  # CFAPlaneColor
            (50711, SHORT, 1, 1, True),  # CFALayout: rectangular
        ]
    # List 1 names defects by raw value and place: it holds for untouched samples only.
    return tags + _raw_tags(metadata, () if levels.unchanged and area is not None else (OPCODE_LIST_1,))


def linear_tags(image: LinearImage, metadata: Metadata, was_mosaic: bool) -> list[ExtraTag]:
    """Levels and crop of a linear raw IFD: black 0, white 65535 and no RepeatDim, else RawTherapee shows a cast.

    was_mosaic: the source's tags that speak of a mosaic's samples are left out.
    """
    left_out = (OPCODE_LIST_1, OPCODE_LIST_2, BAYER_GREEN_SPLIT) if was_mosaic else (OPCODE_LIST_1,)
    return [
        (50714, RATIONAL, 3, (0, 1) * 3, True),
        (50717, LONG, 3, (65535,) * 3, True),
        *_crop_tags(image.default_crop),
        *_raw_tags(metadata, left_out),
    ]
