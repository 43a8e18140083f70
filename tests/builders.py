"""Frames and files for tests: small, odd-sized, seeded, synthetic.

Files are written with tifffile and pyexiv2 directly, never with plugin_core.io.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from plugin_core.frame import (
    BAYER_PATTERNS,
    CfaPattern,
    ColorCalibration,
    Exposure,
    FloatArray,
    LinearImage,
    NoiseProfile,
    RawFrame,
    Rect,
    Source,
)

XTRANS = CfaPattern(
    (
        (1, 2, 1, 1, 0, 1),
        (0, 1, 0, 2, 1, 2),
        (1, 2, 1, 1, 0, 1),
        (1, 0, 1, 1, 2, 1),
        (2, 1, 2, 0, 1, 0),
        (1, 0, 1, 1, 2, 1),
    )
)
MONOCHROME = CfaPattern(((0,),))
PATTERNS: dict[str, CfaPattern] = {**BAYER_PATTERNS, "XTRANS": XTRANS, "MONOCHROME": MONOCHROME}

# XYZ (D65) -> camera of the Sony ILCE-7M3, x 10000 (Adobe's published matrix), and a made-up one for illuminant A.
MATRIX_D65 = (7374, -2389, -551, -5435, 13162, 2519, -1006, 1795, 6552)
MATRIX_A = (8100, -2900, -300, -5000, 12800, 2300, -700, 1500, 6100)
NEUTRAL = (0.5, 1.0, 0.625)

# dtype codes of TIFF
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE = 1, 2, 3, 4, 5, 7, 10, 12


def make_signal(height: int, width: int, planes: int = 3) -> FloatArray:
    """A scene in (height, width, planes) float32, 0..1.1: gradients, edges, a dark corner and a saturated patch."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y /= max(height - 1, 1)
    x /= max(width - 1, 1)
    base = 0.02 + 0.75 * x * (0.4 + 0.6 * y)
    base += 0.12 * (((x * 7).astype(int) + (y * 5).astype(int)) % 2)
    tints = np.array([0.8, 1.0, 0.6], dtype=np.float32)[:planes]
    scene = base[..., None] * tints * (1 + 0.2 * np.cos(9 * y + 4 * x)[..., None])
    scene[: max(height // 8, 1), -max(width // 8, 1) :] = 1.1
    scene[-max(height // 8, 1) :, : max(width // 8, 1)] = 0.0
    result: FloatArray = scene.astype(np.float32)
    return result


def make_frame(
    height: int = 37,
    width: int = 53,
    cfa: str | CfaPattern = "RGGB",
    *,
    bits: int = 14,
    black: float | tuple[tuple[float, ...], ...] = 512,
    white: float | None = None,
    border: tuple[int, int, int, int] = (0, 0, 0, 0),
    noise: tuple[float, float] | None = (1e-4, 1e-6),
    noise_profile: NoiseProfile | None = None,
    orientation: int = 1,
    iso: float = 800.0,
    make: str = "Neural",
    model: str = "Test 1",
    dtype: Any = np.uint16,
    seed: int = 0,
    signal: FloatArray | None = None,
) -> RawFrame:
    """A RawFrame whose active area is (height, width), with known noise variance a * signal + b.

    cfa: a name of PATTERNS or a pattern, seen from the active area's origin. black: one value, or rows per position.
    border: masked photosites (top, left, bottom, right) that see no light. noise: (a, b), signal units; None is clean.
    signal: (height, width) float32 instead of the scene. dtype: uint16 (rounded, clipped to the bits) or float32.
    """
    pattern = PATTERNS[cfa] if isinstance(cfa, str) else cfa
    rng = np.random.default_rng(seed)
    top, left, bottom, right = border
    area = Rect(top, left, height, width)
    levels = ((float(black),),) if isinstance(black, int | float) else tuple(tuple(map(float, row)) for row in black)
    white = float(white if white is not None else min((1 << bits) - 1, 65535))
    if signal is None:
        scene = make_signal(height, width, pattern.plane_count)
        signal = np.take_along_axis(scene, pattern.color_map(height, width)[..., None].astype(np.intp), axis=2)[..., 0]
    full = np.zeros((height + top + bottom, width + left + right), dtype=np.float32)
    full[area.slices] = signal
    if noise is not None:
        a, b = noise
        full += rng.normal(size=full.shape).astype(np.float32) * np.sqrt(a * np.maximum(full, 0) + b).astype(np.float32)
    tile = np.roll(np.array(levels, np.float32), (top % len(levels), left % len(levels[0])), (0, 1))
    rows, columns = -(-full.shape[0] // tile.shape[0]), -(-full.shape[1] // tile.shape[1])
    blacks = np.tile(tile, (rows, columns))[: full.shape[0], : full.shape[1]]
    mosaic = full * (white - blacks) + blacks
    if np.dtype(dtype) == np.uint16:
        mosaic = np.clip(np.rint(mosaic), 0, white).astype(np.uint16)
    inset = 2 if min(height, width) > 16 else 0
    matrix = tuple(v / 10000 for v in MATRIX_D65)
    mono = pattern.plane_count == 1
    return RawFrame(
        mosaic=mosaic,
        cfa=pattern,
        black_level=levels,
        white_level=(white,) * pattern.plane_count,
        active_area=area,
        default_crop=Rect(inset, inset, height - 2 * inset, width - 2 * inset),
        as_shot_neutral=() if mono else NEUTRAL,
        color=ColorCalibration() if mono else ColorCalibration(matrix),
        noise_profile=noise_profile,
        exposure=Exposure(iso=iso, time_s=0.005, f_number=4.0),
        orientation=orientation,
        source=Source("test.dng", make=make, model=model),
    )


def make_linear(
    height: int = 37, width: int = 53, *, black: float = 0, white: float = 65535, sigma: float = 0.0, seed: int = 0
) -> LinearImage:
    """A LinearImage of (height, width, 3) uint16 of the same scene."""
    rng = np.random.default_rng(seed)
    scene = make_signal(height, width) + rng.normal(size=(height, width, 3)).astype(np.float32) * sigma
    pixels = np.clip(np.rint(scene * (white - black) + black), 0, white).astype(np.uint16)
    return LinearImage(
        pixels=pixels,
        black_level=(float(black),) * 3,
        white_level=(float(white),) * 3,
        default_crop=Rect(0, 0, height, width),
        as_shot_neutral=NEUTRAL,
        color=ColorCalibration(tuple(v / 10000 for v in MATRIX_D65)),
        exposure=Exposure(iso=800.0, time_s=0.005, f_number=4.0),
        source=Source("linear.dng", make="Neural", model="Test 1"),
    )


# --- files -----------------------------------------------------------------------------------------------------------


def opcode_list(*opcodes: tuple[int, bytes]) -> bytes:
    """A DNG opcode list: (opcode id, parameters) each, as tags 51008, 51009 and 51022 hold it (big-endian)."""
    body = b"".join(struct.pack(">IIII", code, 0x01030000, 1, len(data)) + data for code, data in opcodes)
    return struct.pack(">I", len(opcodes)) + body


VIGNETTE_OPCODE = (3, struct.pack(">7d", 0.1, 0.01, 0, 0, 0, 0.5, 0.5))  # FixVignetteRadial
WARP_OPCODE = (1, struct.pack(">I8d", 1, 1.0, 0.001, 0, 0, 0, 0, 0.5, 0.5))  # WarpRectilinear
GAIN_OPCODE = (
    9,
    struct.pack(">4i4I2I4dI4f", 0, 0, 37, 53, 0, 1, 1, 1, 2, 2, 1.0, 1.0, 0.0, 0.0, 1, 1.0, 1.01, 1.02, 1.03),
)  # GainMap, 2x2 points, one plane
BAD_PIXEL_OPCODE = (4, struct.pack(">II", 0, 0))  # FixBadPixelsConstant


def _rationals(values: Any, scale: int = 10000) -> tuple[int, ...]:
    return tuple(n for v in values for n in (round(v * scale), scale))


def ifd0_tags(image: RawFrame | LinearImage, *, two_matrices: bool = False, maker_note: bytes = b"") -> list[Any]:
    """IFD0's tags as tifffile's extratags: version, camera, orientation, matrices, neutral, private data."""
    name = f"{image.source.make} {image.source.model}"
    tags: list[Any] = [
        (50706, BYTE, 4, bytes((1, 4, 0, 0)), True),
        (50707, BYTE, 4, bytes((1, 1, 0, 0)), True),
        (271, ASCII, 0, image.source.make, True),
        (272, ASCII, 0, image.source.model, True),
        (50708, ASCII, 0, name, True),
        (274, SHORT, 1, image.orientation, True),
        (50730, SRATIONAL, 1, (0, 1), True),
    ]
    if image.color.color_matrix_1 is not None:
        tags += [
            (50721, SRATIONAL, 9, _rationals(image.color.color_matrix_1), True),
            (50778, SHORT, 1, 17 if two_matrices else 21, True),
        ]
    if two_matrices:
        tags += [(50722, SRATIONAL, 9, _rationals(v / 10000 for v in MATRIX_A), True), (50779, SHORT, 1, 21, True)]
    if image.as_shot_neutral:
        tags.append((50728, RATIONAL, 3, _rationals(image.as_shot_neutral, 1_000_000), True))
    if maker_note:
        blob = b"Adobe\0MakN" + struct.pack(">I", len(maker_note) + 6) + b"II" + struct.pack(">I", 100) + maker_note
        tags.append((50740, BYTE, len(blob), blob, True))
    return tags


def _noise_tag(profile: NoiseProfile | None) -> list[Any]:
    if profile is None:
        return []
    values = tuple(v for pair in zip(profile.a, profile.b, strict=True) for v in pair)
    return [(51041, DOUBLE, len(values), values, True)]


def write_cfa_dng(
    path: Path,
    frame: RawFrame,
    *,
    two_matrices: bool = False,
    maker_note: bytes = b"",
    opcodes: dict[int, bytes] | None = None,
    extra_raw_tags: tuple[Any, ...] = (),
    extra_ifd0_tags: tuple[Any, ...] = (),
    metadata: bool = False,
) -> Path:
    """Writes `frame` as an uncompressed DNG (one strip, raw in a SubIFD, thumbnail in IFD0). Returns path.

    opcodes: tag code (51008, 51009, 51022) to list. metadata: adds EXIF, GPS, lens, XMP and IPTC by write_metadata.
    """
    area, crop, n = frame.active_area, frame.default_crop, frame.cfa.period
    blacks = np.array(frame.black_level)
    mono = frame.cfa.plane_count == 1
    raw_tags: list[Any] = [
        (50713, SHORT, 2, (blacks.shape[0], blacks.shape[1]), True),
        (50714, RATIONAL, blacks.size, _rationals(blacks.ravel().tolist(), 100), True),
        (50717, LONG, 1, int(frame.white_level[0]), True),
        (50829, LONG, 4, (area.top, area.left, area.bottom, area.right), True),
        (50719, LONG, 2, (crop.left, crop.top), True),
        (50720, LONG, 2, (crop.width, crop.height), True),
        *_noise_tag(frame.noise_profile),
        *((code, UNDEFINED, len(blob), blob, True) for code, blob in (opcodes or {}).items()),
        *extra_raw_tags,
    ]
    if not mono:
        raw_tags += [
            (33421, SHORT, 2, (n, n), True),
            (33422, BYTE, n * n, bytes(c for row in frame.cfa.colors for c in row), True),
            (50710, BYTE, 3, bytes((0, 1, 2)), True),
            (50711, SHORT, 1, 1, True),
        ]
    float_raw = frame.mosaic.dtype == np.float32
    with tifffile.TiffWriter(path, byteorder="<") as w:
        shared: dict[str, Any] = {"metadata": None, "software": None}
        thumb = np.full((24, 32, 3), 90, np.uint8)
        tags = [*ifd0_tags(frame, two_matrices=two_matrices, maker_note=maker_note), *extra_ifd0_tags]
        w.write(thumb, photometric="rgb", subfiletype=1, subifds=1, extratags=tags, **shared)
        photometric = "minisblack" if mono else "CFA"
        layout: dict[str, Any] = (
            {"tile": (16, 16), "compression": 8, "predictor": 3} if float_raw else {"rowsperstrip": len(frame.mosaic)}
        )
        w.write(frame.mosaic, photometric=photometric, subfiletype=0, extratags=raw_tags, **layout, **shared)
    if mono:
        patch_short(path, 262, 34892)  # tifffile refuses LinearRaw with one sample
    if metadata:
        write_metadata(path, orientation=frame.orientation)
    return path


def write_linear_dng(path: Path, image: LinearImage, *, extra_raw_tags: tuple[Any, ...] = ()) -> Path:
    """Writes `image` as an uncompressed linear DNG (one strip, in a SubIFD). Returns path."""
    crop = image.default_crop
    raw_tags: list[Any] = [
        (50714, RATIONAL, 3, _rationals(image.black_level, 100), True),
        (50717, LONG, 3, tuple(map(int, image.white_level)), True),
        (50719, LONG, 2, (crop.left, crop.top), True),
        (50720, LONG, 2, (crop.width, crop.height), True),
        *_noise_tag(image.noise_profile),
        *extra_raw_tags,
    ]
    if any(image.black_level):
        raw_tags.append((50713, SHORT, 2, (1, 1), True))
    with tifffile.TiffWriter(path, byteorder="<") as w:
        shared: dict[str, Any] = {"metadata": None, "software": None}
        thumb = np.full((24, 32, 3), 90, np.uint8)
        w.write(thumb, photometric="rgb", subfiletype=1, subifds=1, extratags=ifd0_tags(image), **shared)
        w.write(
            image.pixels,
            photometric=34892,
            planarconfig="contig",
            subfiletype=0,
            rowsperstrip=len(image.pixels),
            extratags=raw_tags,
            **shared,
        )
    return path


def write_arw(path: Path, frame: RawFrame, *, metadata: bool = True) -> Path:
    """A camera-native ARW (SONY ILCE-7M3): TIFF with the raw uncompressed in a SubIFD. Returns path.

    The frame's CFA must be RGGB, 14 bit, black 512, and both sides at least 200 photosites.
    """
    with tifffile.TiffWriter(path, byteorder="<") as w:
        shared: dict[str, Any] = {"metadata": None, "software": None}
        tags: list[Any] = [
            (271, ASCII, 0, "SONY", True),
            (272, ASCII, 0, "ILCE-7M3", True),
            (274, SHORT, 1, frame.orientation, True),
        ]
        thumb = np.full((120, 160, 3), 90, np.uint8)
        w.write(thumb, photometric="rgb", subfiletype=1, subifds=1, extratags=tags, **shared)
        raw_tags: list[Any] = [
            (29459, SHORT, 4, (2048, 1024, 1024, 1638), True),
            (29456, SHORT, 4, (512, 512, 512, 512), True),
            (33421, SHORT, 2, (2, 2), True),
            (33422, BYTE, 4, bytes((0, 1, 1, 2)), True),
        ]
        w.write(
            frame.mosaic,
            photometric="CFA",
            subfiletype=0,
            rowsperstrip=len(frame.mosaic),
            extratags=raw_tags,
            **shared,
        )
    patch_short(path, 258, 14)  # 14 bits stored in 16, as the camera does; tifffile would pack them
    if metadata:
        write_metadata(path, orientation=frame.orientation, maker_note=b"SONY DSC \0\0\0" + bytes(range(48)))
    return path


EXIF = {
    "Exif.Photo.ExposureTime": "1/200",
    "Exif.Photo.FNumber": "40/10",
    "Exif.Photo.ISOSpeedRatings": "800",
    "Exif.Photo.DateTimeOriginal": "2024:05:06 07:08:09",
    "Exif.Photo.SubSecTimeOriginal": "12",
    "Exif.Photo.FocalLength": "500/10",
    "Exif.Photo.LensModel": "Test 50mm F1.8",
    "Exif.Photo.LensMake": "Neural",
    "Exif.Photo.LensSpecification": "50/1 50/1 18/10 18/10",
    "Exif.Photo.BodySerialNumber": "0012345",
    "Exif.Photo.UserComment": "charset=Ascii a comment",
    "Exif.Image.DateTime": "2024:05:06 07:08:09",
    "Exif.Image.Artist": "A. Photographer",
    "Exif.Image.Copyright": "(c) 2024 A. Photographer",
    "Exif.Image.ImageDescription": "test scene",
}
GPS = {
    "Exif.GPSInfo.GPSLatitudeRef": "N",
    "Exif.GPSInfo.GPSLatitude": "47/1 22/1 3012/100",
    "Exif.GPSInfo.GPSLongitudeRef": "E",
    "Exif.GPSInfo.GPSLongitude": "8/1 32/1 1500/100",
    "Exif.GPSInfo.GPSAltitude": "408/1",
}
XMP = {"Xmp.dc.subject": ["one", "two"], "Xmp.xmp.Rating": "4", "Xmp.photoshop.City": "Zürich"}
IPTC = {"Iptc.Application2.Keywords": ["one", "two"], "Iptc.Application2.City": "Zurich"}


def write_metadata(path: Path, *, orientation: int = 1, maker_note: bytes = b"") -> None:
    """Adds EXIF, GPS, XMP and IPTC (the dictionaries above) to a TIFF-based file."""
    import pyexiv2

    pyexiv2.set_log_level(4)
    exif = {**EXIF, **GPS, "Exif.Image.Orientation": str(orientation)}
    if maker_note:
        exif["Exif.Photo.MakerNote"] = " ".join(map(str, maker_note))
    with pyexiv2.Image(str(path)) as image:
        image.modify_exif(exif)
        image.modify_xmp(XMP)
        image.modify_iptc(IPTC)


def patch_short(path: Path, code: int, value: int) -> None:
    """Sets a one-valued SHORT tag of the first SubIFD in place."""
    with tifffile.TiffFile(path) as tif:
        sub: Any = tif.pages[0].pages[0]  # type: ignore[index]
        offset = sub.tags[code].valueoffset
    with path.open("r+b") as f:
        f.seek(offset)
        f.write(struct.pack("<H", value))


# --- broken files ----------------------------------------------------------------------------------------------------


def write_truncated(path: Path, whole: Path, fraction: float) -> Path:
    """The first `fraction` of the bytes of `whole`. Returns path."""
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


def write_flipped(path: Path, whole: Path, bits: int, seed: int) -> Path:
    """`whole` with `bits` random bits flipped. Returns path."""
    content = bytearray(whole.read_bytes())
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, len(content) * 8, bits):
        content[position // 8] ^= 1 << (position % 8)
    path.write_bytes(bytes(content))
    return path


def write_giant_header(path: Path, side: int = 60_000) -> Path:
    """A DNG of a few kB whose header claims side x side photosites. Returns path."""
    write_cfa_dng(path, make_frame(16, 16))
    with tifffile.TiffFile(path) as tif:
        sub: Any = tif.pages[0].pages[0]  # type: ignore[index]
        places = [(sub.tags[code].valueoffset, sub.tags[code].dtype) for code in (256, 257, 278)]
        area = sub.tags[50829].valueoffset
    with path.open("r+b") as f:
        for offset, dtype in places:
            f.seek(offset)
            f.write(struct.pack("<I" if dtype == 4 else "<H", side))
        f.seek(area + 8)
        f.write(struct.pack("<II", side, side))
    return path


def write_broken_files(folder: Path) -> dict[str, Path]:
    """Files named .dng that are no readable RAW: empty, text, jpeg, png, zeros, garbage, giant, half. By kind."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    files = {
        kind: folder / f"{kind}.dng" for kind in ("empty", "text", "jpeg", "png", "zeros", "giant", "half", "garbage")
    }
    files["empty"].write_bytes(b"")
    files["text"].write_text("this is no photograph\n" * 50)
    picture = Image.fromarray((make_signal(48, 64) * 200).astype(np.uint8))
    picture.save(files["jpeg"], format="JPEG")
    picture.save(files["png"], format="PNG")
    files["zeros"].write_bytes(bytes(10_000))
    files["garbage"].write_bytes(np.random.default_rng(1).bytes(10_000))
    write_giant_header(files["giant"])
    whole = write_cfa_dng(folder / "whole.dng", make_frame(64, 96))
    write_truncated(files["half"], whole, 0.5)
    whole.unlink()
    return files
