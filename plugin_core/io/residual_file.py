"""The residual of a host's mosaic as a file that its pixel pipe maps into memory; docs/api.md has the layout."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plugin_core.errors import LimitError
from plugin_core.frame import CfaPattern, FloatArray
from plugin_core.io.atomic import atomic_write

__all__ = ["HEADER", "VERSION", "ResidualHeader", "is_residual", "write_residual"]

MAGIC = b"NISPRES\0"
VERSION = 1
# Little-endian, 256 bytes: magic, version, header bytes, width, height, span, CFA period, CFA (36), CRC-32 of the
# payload, payload bytes, then names as UTF-8 padded with zeros: model id, model version, source of the noise.
HEADER = struct.Struct("<8s4IfI36sIQ32s16s32s96x")
assert HEADER.size == 256


@dataclass(frozen=True)
class ResidualHeader:
    """What stands before the planes.

    span: what to divide the planes by to get the host's signal; 0: they are in raw units, the host divides by its own
    white - black of each photosite, whatever levels it knows the camera by.
    """

    height: int
    width: int
    cfa: CfaPattern
    span: float
    model_id: str
    model_version: str
    noise_source: str

    def packed(self, crc: int) -> bytes:
        """The header's bytes. crc: CRC-32 of both planes."""
        colors = bytes(color for row in self.cfa.colors for color in row)
        return HEADER.pack(
            MAGIC,
            VERSION,
            HEADER.size,
            self.width,
            self.height,
            self.span,
            self.cfa.period,
            colors,
            crc,
            4 * self.height * self.width,
            *(text.encode()[:size] for text, size in ((self.model_id, 31), (self.model_version, 15))),
            self.noise_source.encode()[:31],
        )


def is_residual(path: Path) -> bool:
    """True for a file that begins like one of ours."""
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def write_residual(
    path: Path, header: ResidualHeader, strips: Iterable[tuple[FloatArray, FloatArray]]
) -> tuple[int, str]:
    """Writes the header and two float16 planes, luma part then chroma part; size in bytes and SHA-256 of the file.

    strips: both parts of consecutive rows, (n, width) float32 each, `header.height` rows in all. An existing file is
    replaced when the new one is whole. Raises OptionError (OUTPUT_UNWRITABLE) or LimitError (DISK_FULL).
    """
    plane_bytes = 2 * header.height * header.width
    with atomic_write(path, overwrite=True) as part:
        with part.open("r+b") as stream:
            row = 0
            for strip in strips:
                for plane, samples in enumerate(strip):
                    stream.seek(HEADER.size + plane * plane_bytes + 2 * row * header.width)
                    stream.write(samples.clip(-65504, 65504).astype("<f2").tobytes())
                row += len(strip[0])
            assert row == header.height, f"{row} rows, expected {header.height}"
            stream.seek(HEADER.size)
            crc = 0
            while piece := stream.read(1 << 22):
                crc = zlib.crc32(piece, crc)
            stream.seek(0)
            stream.write(header.packed(crc))
        size = part.stat().st_size
        if size != HEADER.size + 2 * plane_bytes:
            raise LimitError(f"{path}: the disk is full", "DISK_FULL", {"path": str(path)})
        with part.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return size, digest
