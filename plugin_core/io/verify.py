"""What of a source survived in a result, by group. Runs in the worker process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import tifffile

from plugin_core.config import Limits
from plugin_core.errors import FileFormatError
from plugin_core.frame import LinearImage, RawFrame
from plugin_core.io.describe import group_of
from plugin_core.io.dng_build import BAYER_GREEN_SPLIT, OPCODE_LIST_1
from plugin_core.io.dng_tags import DngTags, read_dng_tags
from plugin_core.io.metadata import PREFIX, RawTags, read_metadata
from plugin_core.io.read_raw import read_raw
from plugin_core.io.source_file import Check, CheckGroup, Metadata, SourceFile, VerifyReport
from plugin_core.io.verify_pixels import check_geometry, check_levels, check_pixels

__all__ = ["verify"]

COLOR_TOLERANCE = 1.5e-4  # matrices are published in steps of 1e-4
# XMP that every program sets for itself.
OWN_XMP = ("Xmp.xmp.CreatorTool", "Xmp.xmpMM.PreservedFileName", "Xmp.xmpMM.DerivedFrom", f"Xmp.{PREFIX}.")


def verify(source: Path, result: Path, limits: Limits) -> VerifyReport:
    """Every group of facts, kept, changed on purpose, lost or absent. Raises as read_raw does, for either file.

    Tags are compared value by value, colour within 1.5e-4, pixels by their means and their saturated places.
    """
    before, after = read_raw(source, limits=limits), read_raw(result, limits=limits)
    tags = read_dng_tags(result, result.name)
    if tags is None:
        raise FileFormatError(f"{result.name}: is no DNG", "NOT_DNG")
    _, old, _ = read_metadata(source, source.name)
    _, new, _ = read_metadata(result, result.name)
    groups = (
        check_geometry(before.image, after.image),
        check_levels(before.image, after.image),
        check_pixels(before.image, after.image),
        _orientation(before, after),
        _color(before, after),
        _opcodes(before, after),
        *_tag_groups(before.metadata, old, new),
        _maker_note(before.metadata, tags),
        _noise(result, after),
        _preview(result),
        _provenance(result, before, new, tags),
    )
    return VerifyReport(source.name, result.name, groups)


def _group(name: str, lost: Iterable[str], present: bool, detail: str = "", state: Check = Check.KEPT) -> CheckGroup:
    found = tuple(lost)
    if found:
        return CheckGroup(name, Check.LOST, detail, found)
    return CheckGroup(name, state if present else Check.ABSENT, detail)


def _same(one: str | list[str], other: str | list[str]) -> bool:
    """Equal as values: "40/10" is "4/1", a list of one is its member."""

    def parts(value: str | list[str]) -> list[str]:
        return [p for v in (value if isinstance(value, list) else [value]) for p in str(v).strip(" \0").split()]

    def number(text: str) -> float | str:
        head, slash, tail = text.partition("/")
        try:
            return float(head) / float(tail) if slash and float(tail) else float(head)
        except ValueError:
            return text

    return [number(p) for p in parts(one)] == [number(p) for p in parts(other)]


def _missing(old: Mapping[str, Any], new: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    lost = []
    for key in keys:
        name = key.split(".", 1)[1]
        if key not in new:
            lost.append(f"{name}: missing")
        elif not _same(old[key], new[key]):
            lost.append(f"{name}: {str(old[key])[:60]} became {str(new[key])[:60]}")
    return lost


def _tag_groups(metadata: Metadata, old: RawTags, new: RawTags) -> list[CheckGroup]:
    groups = []
    for name in ("EXIF", "GPS", "Lens"):
        keys = [key for key, value in metadata.exif.items() if group_of(key) == name and value]
        groups.append(_group(name, _missing(metadata.exif, new.exif, keys), bool(keys), f"{len(keys)} tags"))
    xmp = [key for key in old.xmp if not key.startswith(OWN_XMP)]
    groups.append(_group("XMP", _missing(old.xmp, new.xmp, xmp), bool(xmp), f"{len(xmp)} properties"))
    iptc = list(old.iptc)
    groups.append(_group("IPTC", _missing(old.iptc, new.iptc, iptc), bool(iptc), f"{len(iptc)} tags"))
    return groups


def _maker_note(metadata: Metadata, result: DngTags) -> CheckGroup:
    note = metadata.private_data
    lost = [f"DNGPrivateData: {len(result.private_data)} bytes, expected {len(note)}"] if note else []
    kept = note == result.private_data
    return _group("MakerNote", [] if kept else lost, bool(note), f"{len(note)} bytes in DNGPrivateData" if note else "")


def _orientation(before: SourceFile, after: SourceFile) -> CheckGroup:
    one, other = before.image.orientation, after.image.orientation
    return _group("Orientation", [] if one == other else [f"{one} became {other}"], True, str(other))


def _color(before: SourceFile, after: SourceFile) -> CheckGroup:
    lost: list[str] = []
    if before.metadata.is_dng:
        written = {tag.code: tag for tag in after.metadata.ifd0_tags}
        for tag in before.metadata.ifd0_tags:
            name = tifffile.TIFF.TAGS.get(tag.code, str(tag.code))
            if tag.code not in written:
                lost.append(f"{name}: missing")
            elif written[tag.code].value != tag.value:
                lost.append(f"{name}: changed")
    pairs = (
        ("AsShotNeutral", before.image.as_shot_neutral, after.image.as_shot_neutral),
        ("ColorMatrix1", before.image.color.color_matrix_1 or (), after.image.color.color_matrix_1 or ()),
        ("ColorMatrix2", before.image.color.color_matrix_2 or (), after.image.color.color_matrix_2 or ()),
    )
    for name, one, other in pairs:
        if len(one) != len(other) or not np.allclose(one, other, atol=COLOR_TOLERANCE):
            lost.append(f"{name}: {one} became {other}")
    camera = [(m.make, m.model) for m in (before.metadata, after.metadata)]
    if camera[0][0] and camera[0] != camera[1]:
        lost.append(f"Make, Model: {camera[0]} became {camera[1]}")
    count = len(before.metadata.ifd0_tags)
    detail = f"{count} tags of the source DNG" if count else "camera, matrix and neutral"
    return _group("Colour", lost, True, detail)


def _opcodes(before: SourceFile, after: SourceFile) -> CheckGroup:
    written = {tag.code: tag.value for tag in after.metadata.raw_tags}
    demosaiced = isinstance(before.image, RawFrame) and isinstance(after.image, LinearImage)
    ours = [tag for tag in before.metadata.raw_tags if not (demosaiced and tag.code == BAYER_GREEN_SPLIT)]
    lost, dropped = [], ""
    for tag in ours:
        name = tifffile.TIFF.TAGS.get(tag.code, str(tag.code))
        if written.get(tag.code) == tag.value:
            continue
        if tag.code == OPCODE_LIST_1:
            dropped = "; OpcodeList1 left out, its raw defects are restored"
        else:
            lost.append(f"{name}: {'changed' if tag.code in written else 'missing'}")
    return _group("Opcodes and hints", lost, bool(ours), f"{len(ours)} tags{dropped}" if ours else "")


def _raw_page(path: Path, read: Callable[[Any, Any], Any]) -> Any:
    """What `read` takes from the open file and its raw IFD."""
    tags = read_dng_tags(path, path.name)
    assert tags is not None
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[tags.page[0]]
        if len(tags.page) > 1:
            page = page.pages[tags.page[1]]
        return read(tif, page)


def _noise(result: Path, after: SourceFile) -> CheckGroup:
    def applied(_: Any, page: Any) -> str:
        tag = page.tags.get(50935)
        if tag is None:
            return ""
        numerator, denominator = tag.value
        return f"{numerator / denominator:g}" if denominator else "unknown"

    reduction = _raw_page(result, applied)
    if not reduction:
        return CheckGroup("Noise tags", Check.ABSENT, "no NoiseReductionApplied")
    profile = after.image.noise_profile
    rest = "NoiseProfile of what remains" if profile is not None else "no NoiseProfile"
    return CheckGroup("Noise tags", Check.CHANGED, f"NoiseReductionApplied {reduction}, {rest}")


def _preview(result: Path) -> CheckGroup:
    try:
        with rawpy.imread(str(result)) as raw:
            thumb = raw.extract_thumb()
    except rawpy.LibRawError as error:
        return CheckGroup("Preview", Check.LOST, "", (f"no preview can be extracted ({error})",))
    kind = "JPEG" if thumb.format == rawpy.ThumbFormat.JPEG else "bitmap"
    return CheckGroup("Preview", Check.CHANGED, f"{kind}, rendered anew")


def _provenance(result: Path, before: SourceFile, new: RawTags, tags: DngTags) -> CheckGroup:
    """Our XMP: the source's digest, and the raw stream's (one flipped bit in lossless JPEG mostly goes unseen)."""
    stamp = {key.split(".", 2)[2]: value for key, value in new.xmp.items() if key.startswith(f"Xmp.{PREFIX}.")}
    if not stamp:
        return CheckGroup("Provenance", Check.ABSENT, "not written by neural-isp")
    lost = []
    claimed = stamp.get("SourceSHA256", "")
    if claimed and claimed != before.image.source.sha256:
        lost.append(f"SourceSHA256: {claimed[:16]}..., the source has {before.image.source.sha256[:16]}...")

    def digest(tif: Any, page: Any) -> str:
        total = hashlib.sha256()
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
            tif.filehandle.seek(offset)
            total.update(tif.filehandle.read(size))
        return total.hexdigest()

    stream = stamp.get("RawStreamSHA256", "")
    if stream and stream != _raw_page(result, digest):
        lost.append("RawStreamSHA256: the raw image has changed since it was written")
    model = " ".join(str(stamp[key]) for key in ("ModelId", "ModelVersion") if key in stamp)
    return _group("Provenance", lost, True, model)
