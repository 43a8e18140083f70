"""A residual as a DNG that RawTherapee takes for a dark frame: whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

from plugin_core.errors import NoModelError
from plugin_core.frame import CfaKind, UInt16Array
from plugin_core.io.atomic import atomic_write
from plugin_core.io.dng_build import ExtraTag
from plugin_core.io.encode import encode_float_tiles, encode_tiles, tile_side
from plugin_core.io.residual import Encoding, HostResidual
from plugin_core.io.source_file import NAMESPACE, PREFIX, RESIDUAL_CAMERA
from plugin_core.io.write_dng import WriteReport, patch_photometric

__all__ = ["write_residual"]

MAKE, MODEL = RESIDUAL_CAMERA.split()  # a camera's own name would bring RawTherapee's crop for it
BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
FLOAT_PREDICTOR = 3
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:{prefix}={namespace}{properties}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def write_residual(
    path: Path, residual: HostResidual, encoding: Encoding, name: str, provenance: Mapping[str, str], overwrite: bool
) -> WriteReport:
    """Writes the residual of the file called `name`; the same residual gives the same bytes.

    provenance: names and values for our XMP namespace.
    Raises NoModelError for a picture too small for tiles, OptionError (OUTPUT_EXISTS, OUTPUT_UNWRITABLE) or LimitError.
    """
    height, width = residual.samples.shape
    side = tile_side(height, width)
    if not side:
        raise NoModelError(f"{name}: {width} x {height} photosites are too few for a residual", "RESIDUAL_UNSAFE")
    with atomic_write(path, overwrite) as part:
        _write_tiff(part, residual, encoding, side, _ifd0_tags(name, encoding, provenance))
        if residual.cfa.kind is CfaKind.MONOCHROME:
            patch_photometric(part)
        with part.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = part.stat().st_size
    return WriteReport(path, size, sha256)


def _write_tiff(part: Path, residual: HostResidual, encoding: Encoding, side: int, ifd0: list[ExtraTag]) -> None:
    """A grey thumbnail in IFD 0, the samples in its SubIFD."""
    samples = residual.samples
    height, width = samples.shape
    if encoding is Encoding.UINT16:

        def block(top: int, left: int, h: int, w: int) -> UInt16Array:
            return np.maximum(samples[top : top + h, left : left + w], 0).astype(np.uint16)

        stream = encode_tiles(block, height, width, side)
        layout: dict[str, Any] = {"dtype": "uint16", "bitspersample": 16, "compression": 7}
    else:
        floats = samples.astype(np.float16) if encoding is Encoding.FLOAT16 else samples
        stream = encode_float_tiles(floats, side)
        layout = {"dtype": floats.dtype, "compression": 8, "predictor": FLOAT_PREDICTOR}
    shared: dict[str, Any] = {"metadata": None, "software": None}
    with tifffile.TiffWriter(part, byteorder="<", bigtiff=False) as writer:
        grey = np.full((120, 160, 3), 128, dtype=np.uint8)
        writer.write(
            grey, photometric="rgb", subfiletype=1, subifds=1, extratags=ifd0, metadata=None, software="neural-isp"
        )
        writer.write(
            iter(stream),
            shape=samples.shape,
            photometric="minisblack" if residual.cfa.kind is CfaKind.MONOCHROME else "CFA",
            subfiletype=0,
            tile=(side, side),
            extratags=_raw_tags(residual, encoding),
            **layout,
            **shared,
        )


def _ifd0_tags(name: str, encoding: Encoding, provenance: Mapping[str, str]) -> list[ExtraTag]:
    told = f"Residual of {name}: what RawTherapee's Dark Frame tool takes out of it. Not a photograph."
    properties = "".join(f" {PREFIX}:{key}={quoteattr(value)}" for key, value in provenance.items())
    xmp = XMP.format(prefix=PREFIX, namespace=quoteattr(NAMESPACE), properties=properties).encode()
    backward = (1, 1, 0, 0) if encoding is Encoding.UINT16 else (1, 4, 0, 0)  # floats came with DNG 1.4
    return [
        (270, ASCII, 0, told.encode("ascii", "replace").decode(), True),
        (271, ASCII, 0, MAKE, True),
        (272, ASCII, 0, MODEL, True),
        (274, SHORT, 1, 1, True),
        (700, BYTE, len(xmp), xmp, True),
        (50706, BYTE, 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (50707, BYTE, 4, bytes(backward), True),  # DNGBackwardVersion
        (50708, ASCII, 0, RESIDUAL_CAMERA, True),  # UniqueCameraModel
        (50721, SRATIONAL, 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1: of no use
        (50778, SHORT, 1, 21, True),
    ]


def _raw_tags(residual: HostResidual, encoding: Encoding) -> list[ExtraTag]:
    """CFA and levels; RawTherapee looks at neither level of a dark frame, other readers show grey by them."""
    mono = residual.cfa.kind is CfaKind.MONOCHROME
    blacks = 1 if mono else 4
    white = 65535 if encoding is Encoding.UINT16 else max(int(residual.samples.max()), 1)
    tags: list[ExtraTag] = [
        (50713, SHORT, 2, (1, 1) if mono else (2, 2), True),  # BlackLevelRepeatDim
        (50714, RATIONAL, blacks, (0, 1) * blacks, True),
        (50717, LONG, 1, white, True),
    ]
    if not mono:
        n = residual.cfa.period
        tags += [
            (33421, SHORT, 2, (n, n), True),
            (33422, BYTE, n * n, bytes(c for row in residual.cfa.colors for c in row), True),
            (50710, BYTE, 3, bytes((0, 1, 2)), True),  # CFAPlaneColor
            (50711, SHORT, 1, 1, True),  # CFALayout: rectangular
        ]
    return tags
