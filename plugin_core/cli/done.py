"""Whether a result that exists is the one that was asked for, by what its XMP says of its making; decodes nothing."""

from __future__ import annotations

import hashlib
import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core.errors import OptionError

if TYPE_CHECKING:
    from plugin_core.client.values import DenoiseOptions

__all__ = ["difference", "provenance"]

_WINDOW_BYTES = 1 << 16  # around the first of our properties; all of them take about 1 KiB
_MARK = b"SourceSHA256"
# An XMP property of ours, as attribute or as element: prefix:Name="value" or <prefix:Name>value</prefix:Name>.
_PROPERTY = re.compile(rb'[\w.-]+:([A-Z]\w+)(?:="([^"<]*)"|>([^<]*)</)')


def provenance(path: Path) -> dict[str, str]:
    """What a DNG of ours says of its making (SourceSHA256, Strength, ModelId ...); empty for any other file.

    Raises OptionError if the file can't be read.
    """
    try:
        with path.open("rb") as stream:
            if stream.seek(0, 2) == 0:
                return {}
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                place = content.find(_MARK)
                if place < 0:
                    return {}
                window = content[max(place - _WINDOW_BYTES, 0) : place + _WINDOW_BYTES]
    except OSError as error:
        raise OptionError(f"{path}: can't be read ({error.strerror})", "OUTPUT_UNREADABLE") from error
    found: dict[str, str] = {}
    for name, attribute, element in _PROPERTY.findall(window):
        found.setdefault(name.decode(), (attribute or element).decode(errors="replace"))
    return found


def difference(target: Path, source: Path, options: DenoiseOptions, mask: Path | None) -> str:
    """Why an existing target is not what these options would make of the source; "" if it is."""
    made = provenance(target)
    if not made:
        return "was not written by neural-isp"
    if made.get("SourceSHA256") != _sha256(source):
        return "was made from another file"
    for name, value in (("Strength", options.strength), ("Luma", options.luma), ("Chroma", options.chroma)):
        if made.get(name) != f"{value:.4g}":
            return f"was made with {name.lower()} {made.get(name, 'unknown')}, not {value:.4g}"
    if made.get("Mask", "no") != (_sha256(mask) if mask else "no"):
        return "was made with another mask" if mask else "was made with a mask"
    if options.model and made.get("ModelId", options.model) != options.model:
        return f"was made with model {made['ModelId']}, not {options.model}"
    calibration = options.noise_calibration
    wanted_sha256 = hashlib.sha256(calibration[1].encode()).hexdigest() if calibration else ""
    if made.get("NoiseCalibrationSHA256", "") != wanted_sha256:
        return "was made with another noise calibration" if calibration else "was made with a noise calibration"
    if (made.get("NoiseSource") == "user") != (options.noise is not None) or not _same_noise(made, options):
        return "was made with other noise parameters"
    for name, wanted in (("Output", options.output.name), ("Compression", options.compression.name)):
        found = made.get(name, wanted).upper()
        if found != wanted and {found, wanted} != {"SAME", "CFA"}:  # both keep a mosaic a mosaic
            return f"was made with {name.lower()} {found.lower()}, not {wanted.lower()}"
    return ""


def _same_noise(made: dict[str, str], options: DenoiseOptions) -> bool:
    if options.noise is None:
        return True
    for name, wanted in zip(("NoiseA", "NoiseB"), options.noise, strict=True):
        found = [float(part) for part in made.get(name, "").split()]
        full = wanted * len(found) if len(wanted) == 1 else wanted
        if len(found) != len(full) or any(abs(f - w) > 1e-5 * abs(w) for f, w in zip(found, full, strict=True)):
            return False
    return True


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise OptionError(f"{path}: no such file", "INPUT_NOT_FOUND") from error
    except OSError as error:
        raise OptionError(f"{path}: can't be read ({error.strerror})", "INPUT_UNREADABLE") from error
