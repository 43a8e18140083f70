"""What a source file gives besides pixels: metadata to carry over, a description, the outcome of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from plugin_core.frame import LinearImage, RawFrame

__all__ = [
    "NAMESPACE",
    "PREFIX",
    "RESIDUAL_CAMERA",
    "Check",
    "CheckGroup",
    "FileDescription",
    "Metadata",
    "SourceFile",
    "Tag",
    "TiffTag",
    "VerifyReport",
]

# Our XMP properties: what results say of their making.
NAMESPACE = "https://neural-isp.org/ns/1.0/"
PREFIX = "nisp"
# UniqueCameraModel of a residual, which is no photograph to restore.
RESIDUAL_CAMERA = "neural-isp residual"

TagValue = int | float | str | bytes | tuple[int | float, ...]


@dataclass(frozen=True)
class TiffTag:
    """One TIFF tag to be written as it was read; value as tifffile's extratags take it (rationals: n, d, n, d)."""

    code: int
    dtype: int  # TIFF type code
    count: int
    value: TagValue


@dataclass(frozen=True)
class Metadata:
    """Everything of a source file that a result carries on. Picklable; opaque outside plugin_core.io.

    exif: exiv2 keys and values to copy, GPS and lens included; never structure, never a MakerNote.
    private_data: DNGPrivateData (tag 50740) to write: a DNG source's own, or the MakerNote in Adobe's container.
    ifd0_tags, raw_tags: a DNG source's tags that hold for the result too, colour first; empty for other sources.
    """

    original_name: str = ""
    make: str = ""
    model: str = ""
    unique_camera_model: str = ""
    lens: str = ""
    exif: Mapping[str, str | list[str]] = field(default_factory=dict)
    iptc: Mapping[str, str | list[str]] = field(default_factory=dict)
    xmp: str = ""
    private_data: bytes = b""
    ifd0_tags: tuple[TiffTag, ...] = ()
    raw_tags: tuple[TiffTag, ...] = ()
    is_dng: bool = False


@dataclass(frozen=True)
class SourceFile:
    """A decoded file: pixels with levels, what to carry over, and what the reader had to guess (warnings)."""

    image: RawFrame | LinearImage  # noise_profile only from the DNG NoiseProfile tag
    metadata: Metadata
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tag:
    """One metadata entry for people. group: EXIF, GPS, Lens, MakerNote, XMP, IPTC or DNG."""

    group: str
    name: str
    value: str


@dataclass(frozen=True)
class FileDescription:
    """Camera and tags of a file, without its pixels."""

    name: str
    make: str = ""
    model: str = ""
    lens: str = ""
    tags: tuple[Tag, ...] = ()
    warnings: tuple[str, ...] = ()


class Check(Enum):
    """How one group of facts fared from source to result."""

    KEPT = "kept"
    CHANGED = "changed"  # on purpose, and so that hosts show the same: levels, noise tags, preview
    LOST = "lost"
    ABSENT = "absent"  # the source has none


@dataclass(frozen=True)
class CheckGroup:
    """One group of a verification. lost: what is missing or wrong, one line each; empty unless state is LOST."""

    name: str
    state: Check
    detail: str = ""
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifyReport:
    """What of a source survived in a result, by group."""

    source: str
    result: str
    groups: tuple[CheckGroup, ...]

    @property
    def passed(self) -> bool:
        """True if no group lost anything."""
        return not any(group.state is Check.LOST for group in self.groups)
