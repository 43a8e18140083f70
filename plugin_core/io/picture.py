"""Plain greyscale pictures: the change map that is written, the mask that is read. PNG and TIFF."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, LimitError, OptionError
from plugin_core.frame import FloatArray, UInt16Array
from plugin_core.io.atomic import atomic_write

__all__ = ["read_mask", "write_change_map"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SUFFIXES = {".png": "png", ".tif": "tiff", ".tiff": "tiff"}


def _kind(path: Path) -> str:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise OptionError(
            f"{path.name}: ends in {path.suffix or 'nothing'}, expected .png, .tif or .tiff", "PICTURE_FORMAT"
        )
    return kind


def write_change_map(path: Path, change_map: UInt16Array, overwrite: bool = False) -> None:
    """Writes (h, w) uint16 as a 16-bit greyscale PNG or TIFF by the name's ending; (h, w, 3) as RGB.

    Raises OptionError (ending, OUTPUT_EXISTS, OUTPUT_UNWRITABLE) or LimitError (DISK_FULL).
    """
    kind = _kind(path)
    with atomic_write(path, overwrite) as part:
        if kind == "png":
            part.write_bytes(bytes(imagecodecs.png_encode(np.ascontiguousarray(change_map), level=1)))
        else:
            photometric = "minisblack" if change_map.ndim == 2 else "rgb"
            options: dict[str, Any] = {"compression": "zlib", "predictor": True, "software": "neural-isp"}
            tifffile.imwrite(part, change_map, photometric=photometric, metadata=None, **options)


def read_mask(path: Path, limits: Limits | None = None) -> FloatArray:
    """An 8- or 16-bit greyscale PNG or TIFF as (h, w) float32 in 0..1; its size is the caller's to compare.

    Raises OptionError if the file can't be read, FileFormatError if it is no such picture, LimitError if too large.
    """
    limits = limits or Limits()
    try:
        with path.open("rb") as f:
            head = f.read(32)
            size = f.seek(0, 2)
    except OSError as error:
        raise OptionError(f"{path.name}: {error.strerror or error}", "INPUT_UNREADABLE", {"path": str(path)}) from error
    if size > limits.file_bytes:
        raise LimitError(f"{path.name}: the file has {size} bytes, the limit is {limits.file_bytes}", "FILE_TOO_LARGE")
    try:
        pixels = _read_png(path, head, limits) if head.startswith(PNG_SIGNATURE) else _read_tiff(path, limits)
    except (FileFormatError, LimitError):
        raise
    except Exception as error:  # the codecs raise kinds of their own
        reason = " ".join(str(error).split())[:120]
        raise FileFormatError(f"{path.name}: no readable PNG or TIFF ({reason})", "BAD_MASK") from error
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        shape = "x".join(map(str, pixels.shape))
        raise FileFormatError(
            f"{path.name}: {shape} {pixels.dtype}, expected one greyscale channel of 8 or 16 bits", "BAD_MASK"
        )
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _check(width: int, height: int, path: Path, limits: Limits) -> None:
    if max(width, height) > limits.side or width * height > limits.pixels:
        raise LimitError(f"{path.name}: {height}x{width} pixels, the limit is {limits.pixels}", "IMAGE_TOO_LARGE")


def _read_png(path: Path, head: bytes, limits: Limits) -> np.ndarray[Any, Any]:
    width, height = struct.unpack(">II", head[16:24])
    _check(width, height, path, limits)
    pixels: np.ndarray[Any, Any] = imagecodecs.png_decode(path.read_bytes())
    return pixels


def _read_tiff(path: Path, limits: Limits) -> np.ndarray[Any, Any]:
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages.first
        _check(page.imagewidth, page.imagelength, path, limits)
        pixels: np.ndarray[Any, Any] = page.asarray()
        return (np.iinfo(pixels.dtype).max - pixels) if int(page.photometric) == 0 else pixels  # 0: MinIsWhite
