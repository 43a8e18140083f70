"""EXIF, GPS, lens, MakerNote, XMP and IPTC: read from any source, put into a finished DNG. By pyexiv2.

pyexiv2 (GPL-3, C++ parsers) is imported here and in describe.py and verify.py's reader only, and those only in the
worker process. Image structure is never copied: keys are chosen, and the MakerNote travels as DNGPrivateData.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyexiv2

from plugin_core.frame import Exposure
from plugin_core.io.source_file import NAMESPACE, PREFIX, Metadata

__all__ = ["NAMESPACE", "PREFIX", "RawTags", "exposure", "finish_dng", "open_tags", "read_metadata"]

Values = Mapping[str, str | list[str]]

# Tags of IFD 0 that speak of the picture and not of the file's structure.
KEPT_IMAGE_TAGS = {
    *("DateTime", "Artist", "Copyright", "ImageDescription", "Rating", "RatingPercent", "HostComputer"),
    *("TimeZoneOffset", "XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject", "DateTimeOriginal"),
}
# Exposure facts that TIFF/EP cameras and converters keep in IFD 0; hosts look for them in the EXIF IFD.
EXPOSURE_TAGS = (
    *("ExposureTime", "FNumber", "ISOSpeedRatings", "FocalLength", "DateTimeOriginal", "ExposureBiasValue"),
    *("ExposureProgram", "MeteringMode", "Flash", "ApertureValue", "ShutterSpeedValue", "LightSource"),
)

pyexiv2.set_log_level(4)  # else exiv2's log lines of level error become exceptions, even on opening
pyexiv2.registerNs(NAMESPACE, PREFIX)


class RawTags:
    """A file's exiv2 tags as plain dictionaries: exif, iptc, xmp values and the xmp packet."""

    def __init__(self, exif: Values, iptc: Values, xmp: Mapping[str, Any], packet: str) -> None:
        self.exif, self.iptc, self.xmp, self.packet = exif, iptc, xmp, packet

    def text(self, *keys: str) -> str:
        """The first non-empty value of the keys, stripped; "" if there is none."""
        for key in keys:
            value = self.exif.get(key, "")
            text = (value[0] if isinstance(value, list) else value).strip(" \0")
            if text:
                return text
        return ""


@contextmanager
def _image(path: Path) -> Iterator[Any]:
    image = pyexiv2.Image(str(path))
    try:
        yield image
    finally:
        image.close()


def open_tags(path: Path) -> RawTags:
    """Every tag that exiv2 finds. Raises RuntimeError (exiv2's own) if it can't read the file."""
    with _image(path) as image:
        # latin-1: read_exif() raises UnicodeDecodeError on binary strings otherwise.
        exif = image.read_exif(encoding="latin-1")
        iptc = image.read_iptc(encoding="latin-1")
        packet = image.read_raw_xmp()
        return RawTags(exif, iptc, image.read_xmp(), packet)


def read_metadata(path: Path, name: str) -> tuple[Metadata, RawTags, tuple[str, ...]]:
    """What to carry over from a source, its tags, and a warning where they can't be read (that fails no job)."""
    original = Path(name).name or path.name
    try:
        tags = open_tags(path)
    except (RuntimeError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        make, model = _camera_of_bmff(path)
        warning = f"metadata can't be read ({reason}): the result carries levels and colour only"
        return Metadata(original_name=original, make=make, model=model), RawTags({}, {}, {}, ""), (warning,)
    metadata = Metadata(
        original_name=original,
        make=tags.text("Exif.Image.Make"),
        model=tags.text("Exif.Image.Model"),
        unique_camera_model=tags.text("Exif.Image.UniqueCameraModel"),
        lens=_lens(tags),
        exif=_with_lens(_kept_exif(tags.exif), tags),
        iptc=dict(tags.iptc),
        xmp=tags.packet,
        private_data=_maker_note(tags),
    )
    return metadata, tags, ()


def _camera_of_bmff(path: Path) -> tuple[str, str]:
    """Make and Model out of a CR3's first CMT1 box (a small TIFF), where exiv2 gives up; "" if there is none."""
    with path.open("rb") as f:
        head = f.read(1 << 16)
    if head[4:12] != b"ftypcrx ":
        return "", ""
    start = head.find(b"CMT1II*\0")
    if start < 0:
        return "", ""
    tiff = head[start + 4 :]
    entries = struct.unpack_from("<H", tiff, struct.unpack_from("<I", tiff, 4)[0])[0]
    found = {}
    for i in range(min(entries, 64)):
        code, kind, count, offset = struct.unpack_from("<HHII", tiff, struct.unpack_from("<I", tiff, 4)[0] + 2 + 12 * i)
        if code in (271, 272) and kind == 2 and offset + count <= len(tiff):
            found[code] = tiff[offset : offset + count].split(b"\0")[0].decode("latin-1").strip()
    return found.get(271, ""), found.get(272, "")


def _kept_exif(exif: Values) -> dict[str, str | list[str]]:
    kept: dict[str, str | list[str]] = {}
    for key, value in exif.items():
        _, group, tag = key.split(".", 2)
        if (
            group in ("GPSInfo", "Iop")
            or (group == "Photo" and tag not in ("MakerNote", "InteroperabilityTag"))
            or (group == "Image" and tag in KEPT_IMAGE_TAGS)
        ):
            kept[key] = value[0] if isinstance(value, list) else value  # a list: the tag was there twice
    for tag in EXPOSURE_TAGS:
        source = exif.get(f"Exif.Image.{tag}")
        if source and f"Exif.Photo.{tag}" not in kept:
            kept[f"Exif.Photo.{tag}"] = source[0] if isinstance(source, list) else source
    return kept


# Where makers keep the lens's name, and its range as (shortest, longest, widest apertures), when EXIF has none.
_LENS_NAMES = (
    *("Exif.Photo.LensModel", "Exif.Canon.LensModel", "Exif.OlympusEq.LensModel", "Exif.Fujifilm.LensModel"),
    *("Exif.Panasonic.LensType", "Exif.PanasonicRaw.LensTypeModel", "Exif.Samsung2.LensType"),
)
_LENS_RANGES = ("Exif.Photo.LensSpecification", "Exif.Image.LensInfo", "Exif.Nikon3.Lens")


def _lens_range(tags: RawTags) -> str:
    """EXIF's LensSpecification, four rationals; "" if unknown."""
    found = tags.text(*_LENS_RANGES)
    canon = tags.text("Exif.CanonCs.Lens").split()  # longest, shortest, units per mm
    if found or len(canon) != 3 or not all(part.isdigit() for part in canon) or canon[0] == "0" or canon[2] == "0":
        return found
    return f"{canon[1]}/{canon[2]} {canon[0]}/{canon[2]} 0/0 0/0"


def _lens(tags: RawTags) -> str:
    """The lens's name, else its range in words; "" if nobody says."""
    name = tags.text(*_LENS_NAMES)
    if name and not re.fullmatch(r"[\d ]*", name):  # a bare number is the maker's id, not a name
        return name
    parts = [_fraction(part) for part in _lens_range(tags).split()]
    if len(parts) != 4 or parts[0] is None:
        return ""

    def span(low: float | None, high: float | None) -> str:
        return f"{low:g}-{high:g}" if low and high and low != high else f"{low or high or 0:g}"

    aperture = f" f/{span(parts[2], parts[3])}" if parts[2] else ""
    return f"{span(parts[0], parts[1])} mm{aperture}"


def _with_lens(kept: dict[str, str | list[str]], tags: RawTags) -> dict[str, str | list[str]]:
    """The lens as EXIF, for hosts that can't read the MakerNote where a DNG keeps it."""
    lens, lens_range = _lens(tags), _lens_range(tags)
    if lens and not tags.text("Exif.Photo.LensModel"):
        kept["Exif.Photo.LensModel"] = lens
    if lens_range and "Exif.Photo.LensSpecification" not in kept:
        kept["Exif.Photo.LensSpecification"] = lens_range
    return kept


def _maker_note(tags: RawTags) -> bytes:
    """The MakerNote in Adobe's DNGPrivateData container: it keeps its original offset and byte order there."""
    value = tags.exif.get("Exif.Photo.MakerNote", "")
    if not isinstance(value, str) or not value:
        return b""
    note = bytes(int(v) & 255 for v in value.split())
    order = tags.text("Exif.MakerNote.ByteOrder")[:2].encode() or b"II"
    offset = int(tags.text("Exif.MakerNote.Offset") or 0)
    return b"Adobe\0MakN" + struct.pack(">I", len(note) + 6) + order + struct.pack(">I", offset) + note


def _fraction(text: str) -> float | None:
    first = text.split()[0] if text.split() else ""
    try:
        numerator, _, denominator = first.partition("/")
        value = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def exposure(tags: RawTags) -> Exposure:
    """ISO, seconds and f-number of the tags; None where unknown."""

    def value(*names: str) -> float | None:
        return _fraction(tags.text(*(f"Exif.{group}.{name}" for name in names for group in ("Photo", "Image"))))

    iso = value("ISOSpeedRatings")
    if iso is None or iso == 65535:  # EXIF's 16-bit tag is full: the real value is beside it
        iso = value("RecommendedExposureIndex", "ISOSpeed", "StandardOutputSensitivity") or iso
    return Exposure(iso, value("ExposureTime"), value("FNumber"))


def finish_dng(path: Path, metadata: Metadata, provenance: Mapping[str, str]) -> tuple[str, ...]:
    """Puts the source's EXIF, GPS, XMP and IPTC and our provenance into a DNG that tifffile has closed.

    provenance: names of our XMP namespace (Xmp.nisp.<name>) to values. Returns warnings: groups that exiv2 refused.
    Raises RuntimeError if the file can't be opened or the provenance can't be written.
    """
    warnings: list[str] = []
    with _image(path) as image:
        if metadata.exif:
            warnings += _write_exif(image, metadata.exif)
        if metadata.iptc:
            try:
                image.modify_iptc(dict(metadata.iptc), encoding="latin-1")
            except (RuntimeError, ValueError) as error:
                warnings.append(f"IPTC not copied: {' '.join(str(error).split())}")
        if metadata.xmp:
            try:
                image.modify_raw_xmp(metadata.xmp)
            except (RuntimeError, ValueError) as error:
                warnings.append(f"XMP not copied: {' '.join(str(error).split())}")
        stamp: dict[str, Any] = {f"Xmp.{PREFIX}.{key}": value for key, value in provenance.items() if value}
        stamp["Xmp.xmp.CreatorTool"] = "neural-isp"
        if metadata.original_name:
            stamp["Xmp.xmpMM.PreservedFileName"] = metadata.original_name
            stamp["Xmp.xmpMM.DerivedFrom"] = 'type="Struct"'
            stamp["Xmp.xmpMM.DerivedFrom/stRef:filePath"] = metadata.original_name
        image.modify_xmp(stamp)
    return tuple(warnings)


def _write_exif(image: Any, exif: Values) -> list[str]:
    """All at once; where exiv2 refuses that, tag by tag, so that one odd value costs itself only."""
    try:
        image.modify_exif(dict(exif), encoding="latin-1")
        return []
    except (RuntimeError, ValueError):
        pass
    refused = []
    for key, value in exif.items():
        try:
            image.modify_exif({key: value}, encoding="latin-1")
        except (RuntimeError, ValueError):
            refused.append(key)
    return [f"EXIF tags not copied: {', '.join(refused)}"] if refused else []
