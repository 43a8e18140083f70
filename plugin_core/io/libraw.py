"""What LibRaw decodes, as frames: its levels, areas and colour put into our order. Runs in the worker process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, IspError, LimitError
from plugin_core.frame import CfaPattern, ColorCalibration, Exposure, LinearImage, RawFrame, Rect
from plugin_core.io.dng_tags import COMPRESSIONS, DngTags
from plugin_core.io.refuse import refuse_colors, refuse_frames, refused
from plugin_core.io.source_file import TiffTag

__all__ = [
    "MONOCHROME",
    "XYZ_TO_SRGB",
    "Allocate",
    "check_pixels",
    "copied",
    "demosaic",
    "frame_of_dng",
    "read_libraw",
    "translated",
]

Allocate = Callable[[tuple[int, ...], Any], NDArray[Any]]

# XYZ (D65) -> linear sRGB, IEC 61966-2-1: stands in where nobody knows the camera's colours.
XYZ_TO_SRGB = (3.2404542, -1.5371385, -0.4985314, -0.9692660, 1.8760108, 0.0415560, 0.0556434, -0.2040259, 1.0572252)
FLIP_TO_ORIENTATION = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
MONOCHROME = CfaPattern(((0,),))


def check_pixels(height: int, width: int, name: str, limits: Limits) -> None:
    """Raises LimitError if the frame is too large, FileFormatError if it is empty."""
    if max(height, width) > limits.side or height * width > limits.pixels:
        raise LimitError(
            f"{name}: {height}x{width} photosites, the limit is {limits.pixels} and {limits.side} a side",
            "IMAGE_TOO_LARGE",
            {"found": f"{height}x{width}", "limit": str(limits.pixels)},
        )
    if min(height, width) < 1:
        raise FileFormatError(f"{name}: the image is {height}x{width} photosites", "DAMAGED")


def translated(error: rawpy.LibRawError, name: str, dng: DngTags | None) -> IspError:
    """LibRaw's complaint as one of ours."""
    text = " ".join(str(arg.decode() if isinstance(arg, bytes) else arg) for arg in error.args).strip("b'")
    if isinstance(error, rawpy.LibRawTooBigError):
        return LimitError(f"{name}: the image is too large to decode", "IMAGE_TOO_LARGE")
    if isinstance(error, rawpy.LibRawIOError):
        return FileFormatError(f"{name}: truncated or damaged: the file ends before its pixels do", "TRUNCATED")
    if isinstance(error, rawpy.LibRawFileUnsupportedError):
        if dng is not None:
            found = COMPRESSIONS.get(dng.compression, f"compression {dng.compression}")
            what = f"a DNG of {dng.height}x{dng.width} photosites, {found}"
            return FileFormatError(f"{name}: {what}, which LibRaw can't read", "NOT_SUPPORTED")
        version = ".".join(map(str, rawpy.libraw_version))
        return FileFormatError(f"{name}: not a RAW file that LibRaw {version} knows, or its head is damaged", "NOT_RAW")
    if "mem" in text.lower():  # "Unsufficient memory", "Libraw internal mempool overflowed"
        return LimitError(f"{name}: decoding needs more memory than allowed", "OUT_OF_MEMORY")
    return FileFormatError(f"{name}: damaged: LibRaw says {text or type(error).__name__}", "DAMAGED")


def frame_of_dng(pixels: NDArray[Any], dng: DngTags, name: str, facts: dict[str, Any]) -> RawFrame | LinearImage:
    """Pixels as the tags of a DNG read them; linear ones come cut to the ActiveArea."""
    _refuse_blank(pixels, name)
    for black, white in zip(_flat(dng.black_level), dng.white_level * 36, strict=False):
        if not black < white:
            raise FileFormatError(f"{name}: BlackLevel {black:g} is not below WhiteLevel {white:g}", "DAMAGED")
    shared: dict[str, Any] = {
        "as_shot_neutral": dng.as_shot_neutral,
        "color": dng.color,
        "noise_profile": dng.noise_profile,
        "orientation": dng.orientation if 1 <= dng.orientation <= 8 else 1,
        **facts,
    }
    if dng.samples == 3:
        return LinearImage(pixels, dng.black_level[0], dng.white_level, dng.default_crop, **shared)
    cfa = dng.cfa or MONOCHROME
    levels = dng.white_level * cfa.plane_count
    return RawFrame(pixels, cfa, dng.black_level, levels, dng.active_area, dng.default_crop, **shared)


def _flat(rows: tuple[tuple[float, ...], ...]) -> list[float]:
    return [value for row in rows for value in row]


def _refuse_blank(pixels: NDArray[Any], name: str) -> None:
    if not pixels.any():
        raise FileFormatError(f"{name}: every photosite decodes to zero: the pixels are missing or damaged", "BLANK")


def read_libraw(
    path: Path, name: str, dng: DngTags | None, limits: Limits, allocate: Allocate, facts: dict[str, Any]
) -> tuple[RawFrame | LinearImage, tuple[str, ...], tuple[TiffTag, ...]]:
    """The decoded image, warnings, and raw tags that the result must have though the source's file has none.

    facts: exposure and source, by the metadata. Raises rawpy.LibRawError beside our own errors.
    """
    with rawpy.imread(str(path)) as raw:
        sizes = raw.sizes  # of the header: nothing is decoded or allocated yet
        check_pixels(sizes.raw_height, sizes.raw_width, name, limits)
        view = raw.raw_image  # decodes
        if view is None:
            raise refused(name, f"{raw.raw_type} pixels, which are neither a mosaic nor three-coloured")
        linear = raw.raw_type == rawpy.RawType.Stack
        if linear and (view.ndim != 3 or view.shape[2] not in (3, 4)):
            raise refused(name, f"{view.shape[-1]} samples a pixel; one (mosaic) or three (linear) only")
        if dng is not None and view.shape[:2] == (dng.height, dng.width) and linear == (dng.samples == 3):
            pixels = copied(view[dng.active_area.slices][..., :3] if linear else view, allocate)
            return frame_of_dng(pixels, dng, name, facts), (), ()
        area = _visible(sizes, view.shape[:2], name, facts["source"].make)
        more, tags = (refuse_frames(path, name, facts["source"].make), _scale_tags(raw)) if dng is None else ((), ())
        if not linear:
            refuse_colors(raw, name)
            image, warnings = _mosaic(raw, copied(view, allocate), area, dng, facts, name)
            return image, more + warnings, tags
        if raw.num_colors != 3 or _has_fourth(view):
            raise refused(name, "four samples a pixel (a pixel-shift set); single exposures only")
        picture, warnings = _linear(raw, copied(view[area.slices][..., :3], allocate), area, dng, facts, name)
        return picture, more + warnings, tags


def copied(view: NDArray[Any], allocate: Allocate) -> NDArray[Any]:
    """A copy that outlives LibRaw: its own memory is gone after close()."""
    pixels = allocate(view.shape, view.dtype)
    pixels[...] = view
    return pixels


def _has_fourth(view: NDArray[Any]) -> bool:
    return view.shape[2] == 4 and bool(view[..., 3].any())


def _visible(sizes: Any, shape: tuple[int, ...], name: str, make: str) -> Rect:
    """LibRaw's visible area inside the raw frame."""
    if make.upper().startswith("FUJI") and sizes.height == sizes.width - 1:  # dcraw's frame of a turned sensor
        raise refused(name, "a rotated SuperCCD mosaic (Fujifilm), which no model here knows")
    top, left = max(sizes.top_margin, 0), max(sizes.left_margin, 0)
    height, width = min(sizes.height, shape[0] - top), min(sizes.width, shape[1] - left)
    if height < 1 or width < 1:
        raise FileFormatError(f"{name}: the visible area is {height}x{width} photosites", "DAMAGED")
    return Rect(top, left, height, width)


def _mosaic(
    raw: Any, pixels: NDArray[Any], area: Rect, dng: DngTags | None, facts: dict[str, Any], name: str
) -> tuple[RawFrame, tuple[str, ...]]:
    _refuse_blank(pixels, name)
    n = 1 if raw.num_colors == 1 else len(raw.raw_pattern)
    # raw_color counts from raw_image[0, 0] and must not see negative offsets (X-Trans reads beyond its table there).
    index = np.array([[raw.raw_color(area.top + r, area.left + c) for c in range(n)] for r in range(n)])
    blacks = raw.black_level_per_channel  # by colour index, 3 = second green
    if n == 1:
        cfa, tile = MONOCHROME, [[float(blacks[0])]]
    else:
        colors = np.where(index == 3, 1, index)
        cfa = CfaPattern(tuple(tuple(int(c) for c in row) for row in colors))
        tile = [[float(blacks[i]) for i in row] for row in index]
    same = len({value for row in tile for value in row}) == 1
    black = ((tile[0][0],),) if same else tuple(tuple(row) for row in tile)
    white, warnings = _white_level(raw, max(_flat(black)))
    if max(_flat(black)) >= white:
        raise FileFormatError(f"{name}: black level {max(_flat(black)):g} is not below white {white:g}", "DAMAGED")
    shared, more = _color_facts(raw, dng, facts, cfa.plane_count)
    # All of the visible area, not the maker's crop: hosts show all of it for the source, too.
    crop = Rect(0, 0, area.height, area.width)
    return RawFrame(pixels, cfa, black, (white,) * cfa.plane_count, area, crop, **shared), warnings + more


def _linear(
    raw: Any, pixels: NDArray[Any], area: Rect, dng: DngTags | None, facts: dict[str, Any], name: str
) -> tuple[LinearImage, tuple[str, ...]]:
    _refuse_blank(pixels, name)
    black = tuple(float(v) for v in raw.black_level_per_channel[:3])
    shared, warnings = _color_facts(raw, dng, facts, 3)
    white = float(raw.white_level)
    if max(black) >= white:
        raise FileFormatError(f"{name}: black level {max(black):g} is not below white {white:g}", "DAMAGED")
    return LinearImage(pixels, black, (white,) * 3, Rect(0, 0, area.height, area.width), **shared), warnings


def _white_level(raw: Any, black: float) -> tuple[float, tuple[str, ...]]:
    """The maker's saturation level if it is plausible, else LibRaw's maximum; says so where they differ."""
    maximum = float(raw.white_level)
    maker = [float(v) for v in raw.camera_white_level_per_channel or () if v]
    if not maker or not (black < min(maker) <= maximum and min(maker) >= 0.8 * maximum) or min(maker) == maximum:
        return maximum, ()
    white = min(maker)
    gain = 100 * ((maximum - black) / (white - black) - 1)
    note = f"white level {white:g} is the camera's own; with LibRaw's {maximum:g} it renders {gain:.1f} % darker"
    return white, (note,)


def _scale_tags(raw: Any) -> tuple[TiffTag, ...]:
    """DefaultScale for photosites that are not square; LibRaw's aspect below 1 asks for taller pictures."""
    aspect = float(raw.sizes.pixel_aspect)
    if not 0.1 < aspect < 10 or abs(aspect - 1) < 1e-3:
        return ()
    across, down = (aspect, 1.0) if aspect > 1 else (1.0, 1 / aspect)
    return (TiffTag(50718, 5, 2, (round(across * 10000), 10000, round(down * 10000), 10000)),)


def _color_facts(
    raw: Any, dng: DngTags | None, facts: dict[str, Any], planes: int
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Neutral, matrix, orientation and exposure by LibRaw's tables (or by the tags, for a DNG)."""
    warnings: list[str] = []
    shared: dict[str, Any] = {"orientation": FLIP_TO_ORIENTATION.get(raw.sizes.flip, 1), **facts}
    shared["exposure"] = _with_libraw(facts["exposure"], raw)
    if dng is not None:
        shared.update(as_shot_neutral=dng.as_shot_neutral, color=dng.color, noise_profile=dng.noise_profile)
        return shared, ()
    if planes == 1:
        return shared, ()
    gains = [float(v) for v in raw.camera_whitebalance[:3]]
    if min(gains) <= 0:
        gains = [float(v) for v in raw.daylight_whitebalance[:3]]
        warnings.append("the file has no as-shot white balance: the camera's daylight is used")
    if min(gains) > 0:
        neutral = [gains[1] / v for v in gains]
        shared["as_shot_neutral"] = tuple(v / max(neutral) for v in neutral)
    matrix = np.asarray(raw.rgb_xyz_matrix, dtype=np.float64)[:3]
    if not matrix.any():
        matrix = _rendering_matrix(raw)
        warnings.append("LibRaw tells no colour matrix for this camera: the one that it renders with is written")
    values = tuple(round(v, 6) for v in matrix.ravel().tolist())
    shared["color"] = ColorCalibration(values, 21)
    return shared, tuple(warnings)


def _rendering_matrix(raw: Any) -> NDArray[np.float64]:
    """XYZ -> camera, (3, 3), from LibRaw's own small renderings with and without colour: some cameras' is hidden.

    sRGB's matrix where those two are no linear map of each other.
    """
    to_srgb = np.array(XYZ_TO_SRGB).reshape(3, 3)
    options: dict[str, Any] = {"user_wb": [1.0] * 4, "gamma": (1, 1), "no_auto_bright": True, "output_bps": 16}
    options |= {"half_size": True, "user_flip": 0, "adjust_maximum_thr": 0.0}
    camera = raw.postprocess(output_color=rawpy.ColorSpace.raw, **options)[::2, ::2].reshape(-1, 3) / 65535
    srgb = raw.postprocess(output_color=rawpy.ColorSpace.sRGB, **options)[::2, ::2].reshape(-1, 3) / 65535
    usable = (np.minimum(camera, srgb).min(axis=1) > 0.002) & (np.maximum(camera, srgb).max(axis=1) < 0.95)
    if usable.sum() < 100:
        return to_srgb
    to_rgb, *_ = np.linalg.lstsq(camera[usable], srgb[usable], rcond=None)
    error = np.abs(camera[usable] @ to_rgb - srgb[usable]).max()
    if error > 1e-3 or abs(np.linalg.det(to_rgb)) < 1e-3:
        return to_srgb
    return np.asarray(np.linalg.inv(to_rgb.T) @ to_srgb)


def _with_libraw(found: Exposure, raw: Any) -> Exposure:
    """The EXIF exposure, its gaps filled from LibRaw's."""
    other = raw.other
    return Exposure(
        found.iso or (float(other.iso_speed) or None),
        found.time_s or (float(other.shutter_speed) or None),
        found.f_number or (float(other.aperture) or None),
    )


def demosaic(path: Path, limits: Limits, allocate: Allocate = np.empty) -> NDArray[np.uint16]:
    """Camera RGB of a DNG's active area, (h, w, 3) uint16, black 0, white 65535, not white-balanced, not rotated.

    LibRaw interpolates better between balanced colours, so gains (largest 1: nothing clips) are applied and undone.
    """
    name = path.name
    try:
        with rawpy.imread(str(path)) as raw:
            check_pixels(raw.sizes.raw_height, raw.sizes.raw_width, name, limits)
            pattern = raw.raw_pattern  # decodes
            if pattern is not None and len(pattern) == 6 and min(raw.sizes.height, raw.sizes.width) < 512:
                raise refused(name, "an X-Trans mosaic of less than 512 photosites a side, too small for a demosaic")
            gains = [float(v) for v in raw.camera_whitebalance[:3]]
            gains = gains if min(gains) > 0 and raw.num_colors == 3 else [1.0, 1.0, 1.0]
            gains = [v / max(gains) for v in gains]
            rendered = raw.postprocess(
                user_wb=[gains[0], gains[1], gains[2], gains[1]],
                output_color=rawpy.ColorSpace.raw,
                output_bps=16,
                gamma=(1, 1),
                no_auto_bright=True,
                adjust_maximum_thr=0.0,
                highlight_mode=rawpy.HighlightMode.Ignore,
                user_flip=0,
            )
    except rawpy.LibRawError as error:
        raise translated(error, name, None) from error
    pixels = allocate((*rendered.shape[:2], 3), np.uint16)
    for channel, gain in enumerate(gains):
        plane = rendered[..., min(channel, rendered.shape[2] - 1)]
        pixels[..., channel] = np.minimum(np.rint(plane.astype(np.float32) / np.float32(gain)), 65535)
    return pixels
