"""A RAW file as RawFrame or LinearImage: by LibRaw (rawpy), by tifffile for float DNGs. Runs in the worker process.

It does not demosaic, white-balance or rotate. Kinds that have no mosaic of red, green and blue are refused by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError, LimitError, OptionError
from plugin_core.frame import LinearImage, RawFrame, Source
from plugin_core.io.dng_tags import DngTags, read_dng_tags
from plugin_core.io.libraw import Allocate, check_pixels, copied, frame_of_dng, read_libraw, translated
from plugin_core.io.lossless_jpeg import read_tiles
from plugin_core.io.metadata import exposure, read_metadata
from plugin_core.io.refuse import refuse_by_signature, refuse_dng
from plugin_core.io.source_file import SourceFile

__all__ = ["check_file", "read_raw"]


def check_file(path: Path, name: str, limits: Limits) -> int:
    """The file's size in bytes.

    Raises OptionError if it can't be read, FileFormatError if it is empty, LimitError if it is too large.
    """
    try:
        with path.open("rb") as f:
            size = f.seek(0, 2)
    except OSError as error:
        raise OptionError(f"{name}: {error.strerror or error}", "INPUT_UNREADABLE", {"path": str(path)}) from error
    if size == 0:
        raise FileFormatError(f"{name}: the file is empty", "NOT_RAW")
    if size > limits.file_bytes:
        raise LimitError(
            f"{name}: the file has {size} bytes, the limit is {limits.file_bytes}",
            "FILE_TOO_LARGE",
            {"found": str(size), "limit": str(limits.file_bytes)},
        )
    return size


def read_raw(path: Path, name: str = "", limits: Limits | None = None, allocate: Allocate = np.empty) -> SourceFile:
    """The decoded file with levels, areas, colour and metadata.

    name: what the user calls the file; the base name by default. allocate(shape, dtype): where the pixels shall live.
    Raises FileFormatError (no RAW, truncated, damaged), NoModelError (refused by name), LimitError, OptionError.
    """
    limits = limits or Limits()
    name = name or path.name
    check_file(path, name, limits)
    refuse_by_signature(path, name)
    dng = read_dng_tags(path, name)
    if dng is not None:
        check_pixels(dng.height, dng.width, name, limits)
        refuse_dng(dng, name)
    metadata, tags, warnings = read_metadata(path, name)
    if dng is not None:
        metadata = replace(
            metadata,
            is_dng=True,
            unique_camera_model=dng.unique_camera_model or metadata.unique_camera_model,
            private_data=dng.private_data or metadata.private_data,
            ifd0_tags=dng.ifd0_tags,
            raw_tags=dng.raw_tags,
        )
    with path.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    source = Source(Path(name).name, digest, metadata.make, metadata.model)
    facts = {"exposure": exposure(tags), "source": source}
    try:
        if dng is not None and dng.is_float:
            image, more = _read_float(path, name, dng, allocate, facts)
        elif dng is not None and (samples := read_tiles(path, dng, allocate)) is not None:
            image, more = frame_of_dng(samples, dng, name, facts), ()
        else:
            image, more, raw_tags = read_libraw(path, name, dng, limits, allocate, facts)
            metadata = replace(metadata, raw_tags=metadata.raw_tags + raw_tags)
    except rawpy.LibRawError as error:
        raise translated(error, name, dng) from error
    except MemoryError as error:
        raise LimitError(f"{name}: decoding needs more memory than allowed", "OUT_OF_MEMORY") from error
    if dng is None:
        orientation = tags.text("Exif.Image.Orientation")
        if orientation in set("12345678"):
            image = replace(image, orientation=int(orientation))
    return SourceFile(image, metadata, warnings + (dng.warnings if dng else ()) + more)


def _read_float(
    path: Path, name: str, dng: DngTags, allocate: Allocate, facts: dict[str, Any]
) -> tuple[RawFrame | LinearImage, tuple[str, ...]]:
    """A float DNG by tifffile: LibRaw rounds, rescales and clips those."""
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[dng.page[0]]
        if len(dng.page) > 1:
            page = page.pages[dng.page[1]]
        try:
            decoded = page.asarray(maxworkers=2)
        except MemoryError:
            raise
        except Exception as error:  # tifffile and its codecs raise their own kinds, by compression
            raise FileFormatError(f"{name}: damaged: {' '.join(str(error).split())}", "DAMAGED") from error
    area = dng.active_area.slices if dng.samples == 3 else ...
    pixels = copied(decoded[area].astype(np.float32, copy=False), allocate)
    if not np.isfinite(pixels).all():
        raise FileFormatError(f"{name}: damaged: some values are no finite numbers", "DAMAGED")
    return frame_of_dng(pixels, dng, name, facts), ()
