"""The mosaic of a DNG in lossless-JPEG tiles, decoded on all cores: LibRaw takes one. Anything unusual is LibRaw's.

The decoder goes on past damage without a word, so each tile's length is checked against what its samples take.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from plugin_core.io.dng_tags import DngTags

__all__ = ["read_tiles"]

LOSSLESS_JPEG = 7
# Tags that make samples more than what the tiles hold: LinearizationTable, SubTileBlockSize, RowInterleaveFactor,
# ColumnInterleaveFactor (DNG 1.7).
UNUSUAL = (50712, 50974, 50975, 52547)
SMALLEST_TILE = 16 * 16  # samples; smaller ones cost more than they save
SOI, EOI = b"\xff\xd8", b"\xff\xd9"  # ITU-T T.81, table B.1, as are the markers below
SOF3, DHT, SOS = 0xC3, 0xC4, 0xDA
APPLICATION = range(0xE0, 0xF0)
CATEGORIES = np.array([min(abs(v), 65536 - abs(v)) for v in range(65536)]).astype(np.uint32)
CATEGORIES = np.ceil(np.log2(CATEGORIES + 1)).astype(np.intp)  # SSSS of each difference modulo 2^16, T.81 table H.2


@dataclass
class _Head:
    """What a lossless JPEG says before its samples. lengths: of the code of each SSSS, by table; 0 is no code."""

    bits: int = 0
    shape: tuple[int, int, int] = (0, 0, 0)
    lengths: dict[int, NDArray[np.intp]] = field(default_factory=dict)
    tables: tuple[int, ...] = ()
    scan: bytes = b""


def _code_lengths(content: bytes) -> dict[int, NDArray[np.intp]]:
    """The tables of a DHT segment (T.81, B.2.4.2)."""
    tables, place = {}, 0
    while place + 17 <= len(content):
        counts = content[place + 1 : place + 17]
        symbols = content[place + 17 : place + 17 + sum(counts)]
        lengths = np.zeros(256, dtype=np.intp)
        lengths[list(symbols)] = np.repeat(np.arange(1, 17), list(counts))[: len(symbols)]
        tables[content[place]] = lengths
        place += 17 + sum(counts)
    return tables


def _head(content: bytes) -> _Head | None:
    """The head of a single scan with predictor 1, as cameras and converters write it; None for anything else."""
    head, place = _Head(), len(SOI)
    if not content.startswith(SOI):
        return None
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        part = content[place + 4 : place + 2 + length]
        place += 2 + length
        if marker == SOF3 and len(part) >= 6:
            head.bits = part[0]
            head.shape = (int.from_bytes(part[1:3], "big"), int.from_bytes(part[3:5], "big"), part[5])
        elif marker == DHT:
            head.lengths |= _code_lengths(part)
        elif marker == SOS and part:
            head.tables = tuple(code >> 4 for code in part[2 : 1 + 2 * part[0] : 2])
            head.scan = content[place:].rstrip(b"\0").removesuffix(EOI)
            plain = part[1 + 2 * part[0] :] == b"\1\0\0"  # predictor 1, no point transform
            complete = head.shape[2] == part[0] and all(table in head.lengths for table in head.tables)
            return head if plain and complete and head.scan and 8 < head.bits <= 16 else None
        elif marker not in APPLICATION:
            return None
    return None


def _fills_its_scan(samples: NDArray[np.uint16], head: _Head) -> bool:
    """True if coding the samples (h, w, components) anew takes exactly the bytes that the scan has."""
    before = np.empty_like(samples)
    before[:, 1:] = samples[:, :-1]
    before[1:, 0] = samples[:-1, 0]
    before[0, 0] = 1 << (head.bits - 1)
    differences = samples - before  # modulo 2^16
    bits = 0
    for component, table in enumerate(head.tables):
        counts = np.bincount(CATEGORIES[differences[..., component].ravel()], minlength=17)
        lengths = head.lengths[table][:17]
        if counts[lengths == 0].any():
            return False
        bits += int(counts @ (lengths + np.arange(17) % 16))  # SSSS 16 has no further bits
    return len(head.scan) - head.scan.count(b"\xff\0") == -(-bits // 8)


def _decoded(content: bytes, height: int, width: int) -> NDArray[np.uint16] | None:
    """One tile's samples, (height, width); None if it is unusual or damaged."""
    head = _head(content)
    if head is None or int(np.prod(head.shape)) != height * width:
        return None
    try:
        samples = imagecodecs.jpeg8_decode(content)
    except (imagecodecs.Jpeg8Error, ValueError, RuntimeError):
        return None
    if samples.dtype != np.uint16 or samples.size != height * width:
        return None
    whole: NDArray[np.uint16] = samples.reshape(height, width)
    return whole if _fills_its_scan(samples.reshape(head.shape), head) else None


def _raw_page(tif: tifffile.TiffFile, dng: DngTags) -> Any:
    page: Any = tif.pages[dng.page[0]]
    return page.pages[dng.page[1]] if len(dng.page) > 1 else page


def _is_plain(page: Any, dng: DngTags) -> bool:
    """True if the page holds its samples as they are, in tiles of lossless JPEG."""
    return bool(
        dng.is_mosaic
        and dng.samples == 1
        and dng.compression == LOSSLESS_JPEG
        and page.is_tiled
        and page.shape == (dng.height, dng.width)
        and page.dtype == np.uint16
        and not any(code in page.tags for code in UNUSUAL)
    )


def read_tiles(
    path: Path, dng: DngTags, allocate: Callable[[tuple[int, ...], Any], NDArray[Any]]
) -> NDArray[np.uint16] | None:
    """All samples of the raw image, (height, width), where `allocate` puts them.

    None if it is not plain enough or a tile is damaged, which is no verdict on the file: LibRaw reads it then, or says
    what is wrong.
    """
    with tifffile.TiffFile(path) as tif:
        page = _raw_page(tif, dng)
        if not _is_plain(page, dng):
            return None
        tall, wide = int(page.tilelength), int(page.tilewidth)
        extents = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if min(tall, wide) < 1 or not SMALLEST_TILE <= tall * wide <= 4 * dng.height * dng.width:
        return None
    across, down = -(-dng.width // wide), -(-dng.height // tall)
    if len(extents) != across * down:
        return None
    mosaic: NDArray[np.uint16] = allocate((dng.height, dng.width), np.uint16)
    with path.open("rb") as stream:

        def decode(number: int) -> bool:
            tile = _decoded(os.pread(stream.fileno(), *reversed(extents[number])), tall, wide)
            if tile is None:
                return False
            top, left = number // across * tall, number % across * wide
            place = mosaic[top : top + tall, left : left + wide]
            place[:] = tile[: place.shape[0], : place.shape[1]]
            return True

        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            return mosaic if all(pool.map(decode, range(len(extents)))) else None
