"""A file's tags by group, for people. Decodes no pixels. Runs in the worker process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tifffile

from plugin_core.config import Limits
from plugin_core.io.metadata import RawTags, read_metadata
from plugin_core.io.read_raw import check_file
from plugin_core.io.source_file import FileDescription, Tag

__all__ = ["GROUPS", "describe", "group_of"]

GROUPS = ("EXIF", "GPS", "Lens", "MakerNote", "XMP", "IPTC", "DNG")
LONGEST_VALUE = 160  # characters; opcode lists and profiles have megabytes

# Tags that say where bytes lie, not what the picture is.
_STRUCTURE = re.compile(
    r"^Exif\.(Thumbnail|SubThumb\d*|SubImage\d*|Image[2-9]|SubImage|PanasonicRaw)\."
    r"|^Exif\.Image\.(StripOffsets|StripByteCounts|Tile\w+|SubIFDs|ExifTag|GPSTag|XMLPacket|IPTCNAA|RowsPerStrip"
    r"|NewSubfileType|PlanarConfiguration|SamplesPerPixel|ImageResources|InterColorProfile|DNGPrivateData)$"
    r"|^Exif\.(MakerNote\..*|Photo\.(MakerNote|InteroperabilityTag))$"
)
_EXIF_GROUPS = {"Image", "Photo", "Iop", "MpfInfo"}


def group_of(key: str) -> str:
    """The group of an exiv2 key; "" for structure."""
    if _STRUCTURE.search(key):
        return ""
    family, group, name = key.split(".", 2)
    if family == "Xmp":
        return "XMP"
    if family == "Iptc":
        return "IPTC"
    if group == "GPSInfo":
        return "GPS"
    if "Lens" in name and group in _EXIF_GROUPS and "Tag" not in name:
        return "Lens"
    if group == "Image" and tifffile.TIFF.TAGS.get(name, 0) and tifffile.TIFF.TAGS[name] >= 50706:
        return "DNG"
    return "EXIF" if group in _EXIF_GROUPS else "MakerNote"


def _entries(tags: RawTags) -> Iterator[Tag]:
    for values in (tags.exif, tags.iptc, tags.xmp):
        for key, value in values.items():
            group = group_of(key)
            if not group:
                continue
            text = " ".join((", ".join(map(str, value)) if isinstance(value, list) else str(value)).split())
            if len(text) > LONGEST_VALUE:
                text = f"{text[:LONGEST_VALUE]} ..."
            name = key.split(".", 2)[2] if group not in ("MakerNote", "XMP") else key.split(".", 1)[1]
            yield Tag(group, name, text)


def describe(path: Path, name: str, limits: Limits) -> FileDescription:
    """Camera, lens and every tag of the file, groups in the order of GROUPS.

    Raises OptionError, FileFormatError or LimitError for files that can't be opened; unreadable tags are a warning.
    """
    name = name or path.name
    check_file(path, name, limits)
    metadata, tags, warnings = read_metadata(path, name)
    entries = sorted(_entries(tags), key=lambda tag: GROUPS.index(tag.group))
    return FileDescription(name, metadata.make, metadata.model, metadata.lens, tuple(entries), warnings)
