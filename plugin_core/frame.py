"""The values that flow through the program: a RAW frame, a linear image, and what travels with their pixels.

numpy only. Words and orders are DNG's; rectangles are (top, left, height, width), rows before columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BAYER_PATTERNS",
    "XTRANS_PATTERN",
    "CfaKind",
    "CfaPattern",
    "ColorCalibration",
    "Exposure",
    "FloatArray",
    "LinearImage",
    "NoiseProfile",
    "NoiseSource",
    "RawFrame",
    "Rect",
    "Source",
    "UInt16Array",
]

FloatArray = NDArray[np.float32]
UInt16Array = NDArray[np.uint16]


@dataclass(frozen=True)
class Rect:
    """A rectangle in pixels. DNG's ActiveArea is (top, left, bottom, right); io/ converts."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.left + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns to index an array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class CfaKind(Enum):
    """What lies over the photosites."""

    BAYER = "bayer"
    XTRANS = "xtrans"
    MONOCHROME = "monochrome"


@dataclass(frozen=True)
class CfaPattern:
    """The repeating colour filter: 0 red, 1 green, 2 blue, as DNG CFAPattern; monochrome is ((0,),).

    RGGB = ((0, 1),      R G
            (1, 2))      G B
    """

    colors: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        size = (len(self.colors), len(self.colors[0]))
        if size not in ((1, 1), (2, 2), (6, 6)):
            raise ValueError(f"CFA of {size[0]}x{size[1]} is neither monochrome, Bayer (2x2) nor X-Trans (6x6)")

    @property
    def kind(self) -> CfaKind:
        """Monochrome, Bayer or X-Trans, by the size of the pattern."""
        return {1: CfaKind.MONOCHROME, 2: CfaKind.BAYER, 6: CfaKind.XTRANS}[len(self.colors)]

    @property
    def period(self) -> int:
        """Rows (= columns) after which the pattern repeats: 1, 2 or 6."""
        return len(self.colors)

    @property
    def plane_count(self) -> int:
        """Colour planes: 1 for monochrome, else 3."""
        return 1 if self.kind is CfaKind.MONOCHROME else 3

    @property
    def name(self) -> str:
        """RGGB, BGGR, GRBG, GBRG, XTRANS or MONOCHROME."""
        if self.kind is CfaKind.BAYER:
            return "".join("RGB"[c] for row in self.colors for c in row)
        return self.kind.name

    def shifted(self, rows: int, columns: int) -> CfaPattern:
        """The pattern as seen from (rows, columns) further down and right; negative moves up and left."""
        n = self.period
        return CfaPattern(
            tuple(tuple(self.colors[(r + rows) % n][(c + columns) % n] for c in range(n)) for r in range(n))
        )

    def color_map(self, height: int, width: int) -> NDArray[np.uint8]:
        """The colour index of each photosite, (height, width) uint8, the pattern starting at its top left."""
        n = self.period
        tile = np.array(self.colors, dtype=np.uint8)
        return np.tile(tile, (-(-height // n), -(-width // n)))[:height, :width]


BAYER_PATTERNS: dict[str, CfaPattern] = {
    "RGGB": CfaPattern(((0, 1), (1, 2))),
    "BGGR": CfaPattern(((2, 1), (1, 0))),
    "GRBG": CfaPattern(((1, 0), (2, 1))),
    "GBRG": CfaPattern(((1, 2), (0, 1))),
}
# As Fujifilm's sensors have it; a file's own starts at any of its 18 different places.
XTRANS_PATTERN = CfaPattern(
    ((1, 2, 1, 1, 0, 1), (0, 1, 0, 2, 1, 2), (1, 2, 1, 1, 0, 1),
     (1, 0, 1, 1, 2, 1), (2, 1, 2, 0, 1, 0), (1, 0, 1, 1, 2, 1))
)  # fmt: skip


class NoiseSource(Enum):
    """Who said what the noise is; in the order in which they are asked."""

    USER = "user"  # given with the request
    CALIBRATION = "calibration"  # the user's own measurement of this camera at this ISO
    TAG = "dng_noise_profile"
    MEASURED = "measured"  # from this file's own pixels
    TABLE = "camera_table"
    DEFAULT = "default"


@dataclass(frozen=True)
class NoiseProfile:
    """Variance = a * signal + b per colour plane, signal in units of white above black (DNG NoiseProfile: S, O).

    a, b: one value per colour plane (R, G, B, or one for monochrome); a >= 0, b >= 0, not both 0.
    confidence: 0..1, how far the source can be trusted; detail: one line for people.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    source: NoiseSource
    confidence: float = 1.0
    detail: str = ""


@dataclass(frozen=True)
class Exposure:
    """How the frame was exposed, where known."""

    iso: float | None = None
    time_s: float | None = None
    f_number: float | None = None


@dataclass(frozen=True)
class Source:
    """Which file the pixels came from."""

    name: str
    sha256: str = ""
    make: str = ""
    model: str = ""


@dataclass(frozen=True)
class ColorCalibration:
    """DNG colour: XYZ -> camera matrices, each (3, 3) row-major (or (1, 3) for monochrome), with their illuminants.

    calibration_illuminant: EXIF LightSource codes (21 = D65, 17 = A).
    """

    color_matrix_1: tuple[float, ...] | None = None
    calibration_illuminant_1: int = 21
    color_matrix_2: tuple[float, ...] | None = None
    calibration_illuminant_2: int = 0


@dataclass(frozen=True)
class RawFrame:
    """One RAW exposure: the whole sensor frame and all that is needed to read it. Frozen; arrays are not written to.

    mosaic (H, W) uint16 or float32, raw units (DN), masked borders included.
    cfa, black_level: repeat from the ActiveArea's origin (not from mosaic[0, 0]), as DNG says.
    black_level: rows of raw units per CFA position, 1x1, 2x2 or 6x6, repeating; not clipped, may be fractional.
    white_level: raw units per colour plane; a photosite at or above it is saturated.
    default_crop: relative to the ActiveArea's origin, as DNG DefaultCropOrigin/Size.
    as_shot_neutral: camera RGB of a neutral, largest 1; the reciprocal of white-balance gains. () if unknown.
    orientation: EXIF 1..8; the pixels are never rotated.
    """

    mosaic: UInt16Array | FloatArray
    cfa: CfaPattern
    black_level: tuple[tuple[float, ...], ...]
    white_level: tuple[float, ...]
    active_area: Rect
    default_crop: Rect
    as_shot_neutral: tuple[float, ...] = ()
    color: ColorCalibration = ColorCalibration()
    noise_profile: NoiseProfile | None = None
    exposure: Exposure = Exposure()
    orientation: int = 1
    source: Source = Source("")

    def black_map(self) -> FloatArray:
        """Black level of each photosite of the active area, (h, w) float32, raw units; a broadcast if constant."""
        area = self.active_area
        tile = np.array(self.black_level, dtype=np.float32)
        if tile.min() == tile.max():
            return np.broadcast_to(tile.flat[0], (area.height, area.width))
        rows, columns = -(-area.height // tile.shape[0]), -(-area.width // tile.shape[1])
        return np.tile(tile, (rows, columns))[: area.height, : area.width]

    def white_map(self) -> FloatArray:
        """White level of each photosite of the active area, (h, w) float32, raw units."""
        area = self.active_area
        if len(set(self.white_level)) == 1:
            return np.broadcast_to(np.float32(self.white_level[0]), (area.height, area.width))
        levels = np.array(self.white_level, dtype=np.float32)
        return levels[self.cfa.color_map(area.height, area.width)]

    def signal(self) -> FloatArray:
        """(mosaic - black) / (white - black) over the active area, (h, w) float32; below 0 and above 1 kept."""
        black = self.black_map()
        raw = self.mosaic[self.active_area.slices].astype(np.float32)
        raw -= black
        raw /= self.white_map() - black
        return raw

    def with_signal(self, signal: FloatArray) -> RawFrame:
        """The frame with `signal` in the active area (float32 raw units, unrounded); masked borders as they were."""
        black = self.black_map()
        mosaic = self.mosaic.astype(np.float32)
        mosaic[self.active_area.slices] = signal * (self.white_map() - black) + black
        return replace(self, mosaic=mosaic)

    def saturated(self) -> NDArray[np.bool_]:
        """Photosites of the active area at or above white, (h, w) bool."""
        raw = self.mosaic[self.active_area.slices]
        return np.asarray(raw >= self.white_map())


@dataclass(frozen=True)
class LinearImage:
    """A demosaiced linear picture in camera RGB: linear DNG, sRAW, and what fuse and derender return.

    pixels (H, W, 3) uint16 or float32, raw units; black_level, white_level per channel in raw units.
    default_crop relative to the picture; the rest as in RawFrame.
    """

    pixels: UInt16Array | FloatArray
    black_level: tuple[float, ...]
    white_level: tuple[float, ...]
    default_crop: Rect
    as_shot_neutral: tuple[float, ...] = ()
    color: ColorCalibration = ColorCalibration()
    noise_profile: NoiseProfile | None = None
    exposure: Exposure = Exposure()
    orientation: int = 1
    source: Source = field(default_factory=lambda: Source(""))

    def signal(self) -> FloatArray:
        """(pixels - black) / (white - black), (H, W, 3) float32; below 0 and above 1 kept."""
        black = np.array(self.black_level, dtype=np.float32)
        white = np.array(self.white_level, dtype=np.float32)
        return ((self.pixels.astype(np.float32) - black) / (white - black)).astype(np.float32)

    def with_signal(self, signal: FloatArray) -> LinearImage:
        """The picture with `signal`, float32 raw units, unrounded."""
        black = np.array(self.black_level, dtype=np.float32)
        white = np.array(self.white_level, dtype=np.float32)
        return replace(self, pixels=(signal * (white - black) + black).astype(np.float32))
