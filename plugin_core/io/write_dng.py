"""A restored frame as a DNG that LibRaw, darktable and RawTherapee open alike: whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from plugin_core.errors import FileFormatError, LimitError
from plugin_core.frame import CfaKind, LinearImage, NoiseProfile, RawFrame, Rect, UInt16Array
from plugin_core.io.atomic import atomic_write
from plugin_core.io.dng_build import (
    OPCODE_LIST_1,
    OPCODE_LIST_2,
    ExtraTag,
    ifd0_tags,
    linear_tags,
    mosaic_tags,
    noise_tags,
)
from plugin_core.io.encode import Block, encode_tiles, tile_side
from plugin_core.io.levels import choose_levels, quantised
from plugin_core.io.preview import render_preview, shrink
from plugin_core.io.source_file import Metadata, SourceFile
from plugin_core.io.worker import DecodeWorker

__all__ = ["Compression", "WriteOptions", "WriteReport", "patch_photometric", "write_dng"]

THUMBNAIL_SIDE = 256
PREVIEW_QUALITY = 88


class Compression(Enum):
    """How samples are stored. LJPEG: lossless JPEG, about half the size; NONE: one uncompressed strip."""

    LJPEG = "ljpeg"
    NONE = "none"


@dataclass(frozen=True)
class WriteOptions:
    """How the file is written."""

    compression: Compression = Compression.LJPEG
    overwrite: bool = False


@dataclass(frozen=True)
class WriteReport:
    """What was written. warnings: levels that were changed, tags that could not be carried over."""

    path: Path
    size_bytes: int
    sha256: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Raw:
    """The raw IFD to be: samples by block, size, tags."""

    block: Block
    height: int
    width: int
    samples: int
    photometric: Any
    tags: list[ExtraTag]
    notes: tuple[str, ...]


def write_dng(
    path: Path,
    image: RawFrame | LinearImage,
    source: SourceFile,
    provenance: Mapping[str, str],
    remaining_noise: NoiseProfile | None,
    noise_reduction_applied: float,
    options: WriteOptions,
    worker: DecodeWorker,
) -> WriteReport:
    """Writes `image` with the metadata of `source` and a preview rendered from it; the file appears when it is whole.

    image: mosaic or pixels in raw units; float32 is rounded to levels that the report names.
    provenance: names and values for our XMP namespace. remaining_noise: None leaves the NoiseProfile tag out.
    noise_reduction_applied: 0..1, DNG's NoiseReductionApplied.
    Raises OptionError (OUTPUT_EXISTS, OUTPUT_UNWRITABLE) or LimitError (DISK_FULL).
    """
    metadata = source.metadata
    if isinstance(image, RawFrame):
        raw = _mosaic(image, metadata, remaining_noise)
    else:
        raw = _linear(image, metadata, was_mosaic=isinstance(source.image, RawFrame))
    planes = image.cfa.plane_count if isinstance(image, RawFrame) else 3
    raw.tags.extend(noise_tags(remaining_noise, noise_reduction_applied, planes))
    with atomic_write(path, options.overwrite) as part:
        digest = _write_tiff(part, raw, image, metadata, options.compression)
        stamp = {**provenance, "RawStreamSHA256": digest}
        warnings = _finish(worker, part, path, metadata, stamp)
        size = part.stat().st_size
        with part.open("rb") as f:
            sha256 = hashlib.file_digest(f, "sha256").hexdigest()
    return WriteReport(path, size, sha256, raw.notes + warnings)


def _finish(
    worker: DecodeWorker, part: Path, path: Path, metadata: Metadata, stamp: Mapping[str, str]
) -> tuple[str, ...]:
    """The metadata step; exiv2 doesn't say when the disk is full, the file is just broken then."""
    needed = part.stat().st_size
    try:
        return worker.finish_dng(part, metadata, stamp)
    except (FileFormatError, RuntimeError) as error:
        free = shutil.disk_usage(part.parent).free
        if free < needed // 8:
            raise LimitError(f"{path}: the disk is full", "DISK_FULL", {"path": str(path)}) from error
        raise RuntimeError(f"{path}: the written file does not read back: {error}") from error


def _even_margins(frame: RawFrame) -> bool:
    """Readers move odd margins (LibRaw) and shift the CFA's phase: multiples of 2, of 6 for X-Trans."""
    step = 6 if frame.cfa.kind is CfaKind.XTRANS else 2
    return frame.active_area.top % step == 0 and frame.active_area.left % step == 0


def _mosaic(frame: RawFrame, metadata: Metadata, remaining_noise: NoiseProfile | None) -> _Raw:
    notes: tuple[str, ...] = ()
    height, width = frame.mosaic.shape
    area: Rect | None = frame.active_area
    if not _even_margins(frame):
        notes = (f"masked borders left out: margins {frame.active_area.top}, {frame.active_area.left} are not even",)
        frame = replace(
            frame,
            mosaic=frame.mosaic[frame.active_area.slices],
            active_area=Rect(0, 0, frame.active_area.height, frame.active_area.width),
        )
        height, width = frame.mosaic.shape
        area = None
    levels = choose_levels(frame, remaining_noise)
    has_defect_list = any(tag.code == OPCODE_LIST_1 for tag in metadata.raw_tags)
    if has_defect_list and not (levels.unchanged and area is not None):
        notes += ("OpcodeList1 (defects of the raw samples) left out: it speaks of samples that have changed",)

    def block(top: int, left: int, h: int, w: int) -> UInt16Array:
        return quantised(frame, levels, top, left, h, w)

    photometric = "minisblack" if frame.cfa.kind is CfaKind.MONOCHROME else "CFA"
    tags = mosaic_tags(frame, levels, metadata, area)
    return _Raw(block, height, width, 1, photometric, tags, levels.notes + notes)


def _linear(image: LinearImage, metadata: Metadata, was_mosaic: bool) -> _Raw:
    black, white = np.array(image.black_level, np.float32), np.array(image.white_level, np.float32)
    unchanged = image.pixels.dtype == np.uint16 and not black.any() and bool((white == 65535).all())
    notes: tuple[str, ...] = ()
    if not unchanged:
        notes = ("linear levels rescaled to black 0, white 65535; values below black and above white are cut",)

    if was_mosaic and any(tag.code == OPCODE_LIST_2 for tag in metadata.raw_tags):
        notes += ("OpcodeList2 (gains of the mosaic) left out: a demosaiced picture can't carry it",)

    def block(top: int, left: int, h: int, w: int) -> UInt16Array:
        samples = image.pixels[top : top + h, left : left + w]
        if unchanged:
            return np.ascontiguousarray(samples).astype(np.uint16, copy=False)
        values = (samples.astype(np.float32) - black) * (np.float32(65535) / (white - black))
        return np.clip(np.rint(values), 0, 65535).astype(np.uint16)

    height, width = image.pixels.shape[:2]
    return _Raw(block, height, width, 3, 34892, linear_tags(image, metadata, was_mosaic), notes)


def _write_tiff(
    part: Path, raw: _Raw, image: RawFrame | LinearImage, metadata: Metadata, compression: Compression
) -> str:
    """The container: thumbnail in IFD 0, raw and JPEG preview in its SubIFDs. Returns the raw stream's SHA-256."""
    side = tile_side(raw.height, raw.width) if compression is Compression.LJPEG else 0
    with ThreadPoolExecutor(2) as beside:  # numpy, imagecodecs and hashlib let other threads run
        rendering = beside.submit(render_preview, image)
        if side:
            stream: list[bytes] = encode_tiles(raw.block, raw.height, raw.width, side)
            layout: dict[str, Any] = {"tile": (side, side), "compression": 7}
        else:
            stream = [raw.block(0, 0, raw.height, raw.width).astype("<u2").tobytes()]
            layout = {"rowsperstrip": raw.height, "compression": None}
        hashing = beside.submit(_digest, hashlib.md5(usedforsecurity=False), stream)
        sha256, md5, preview = _digest(hashlib.sha256(), stream), hashing.result(), rendering.result()
    shape = (raw.height, raw.width) if raw.samples == 1 else (raw.height, raw.width, raw.samples)
    shared: dict[str, Any] = {"metadata": None, "software": None}
    with tifffile.TiffWriter(part, byteorder="<", bigtiff=False) as writer:
        writer.write(
            shrink(preview, THUMBNAIL_SIDE),
            photometric="rgb",
            subfiletype=1,
            subifds=2,
            extratags=ifd0_tags(image, metadata, md5),
            metadata=None,
            software="neural-isp",
        )
        # bitspersample=16: left out, tifffile writes 12 for lossless JPEG and RawTherapee clips white to that.
        writer.write(
            iter(stream),
            shape=shape,
            dtype="uint16",
            bitspersample=16,
            photometric=raw.photometric,
            planarconfig="contig" if raw.samples == 3 else None,
            subfiletype=0,
            extratags=raw.tags,
            **layout,
            **shared,
        )
        jpeg = bytes(imagecodecs.jpeg8_encode(preview, level=PREVIEW_QUALITY, subsampling="420"))
        writer.write(
            iter([jpeg]),
            shape=preview.shape,
            dtype="uint8",
            photometric="ycbcr",
            compression=7,
            subsampling=(2, 2),
            rowsperstrip=len(preview),
            subfiletype=1,
            **shared,
        )
    if raw.photometric == "minisblack":
        patch_photometric(part)
    return sha256.hex()


def _digest(algorithm: Any, stream: Iterable[bytes]) -> bytes:
    for piece in stream:
        algorithm.update(piece)
    return bytes(algorithm.digest())


def patch_photometric(part: Path) -> None:
    """Sets the raw IFD's PhotometricInterpretation to LinearRaw: tifffile refuses that with one sample."""
    with tifffile.TiffFile(part) as tif:
        first: Any = tif.pages.first
        offset = first.pages[0].tags[262].valueoffset
    with part.open("r+b") as f:
        f.seek(offset)
        f.write(struct.pack("<H", 34892))
