"""Which part of the sensor frame RawTherapee uses of a camera's files: asked once per camera and release, then known.

A dark frame of another size is ignored without a word, and its own table of cameras may crop differently than LibRaw.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.rawtherapee import host, keyfile
from adapters.rawtherapee.record import write_file
from plugin_core.client.values import ResidualReport
from plugin_core.config import cache_directory
from plugin_core.errors import IspError

__all__ = ["Seen", "host_area", "look", "verbose_environment"]

TIMEOUT_S = 240.0
_CROP = re.compile(r"^raw crop: (\d+) (\d+) (\d+) (\d+)", re.MULTILINE)
_WHITE = re.compile(r"^white levels: R:(\d+)", re.MULTILINE)
# Cheapest settings: no demosaicing, and only the corner of the picture is written.
PROFILE = (
    "[Crop]\nEnabled=true\nX=0\nY=0\nW=64\nH=64\n[RAW]\nDarkFrameAuto=false\n[RAW Bayer]\nMethod=none\n"
    "[RAW X-Trans]\nMethod=none\n"
)


@dataclass(frozen=True)
class Seen:
    """What RawTherapee said of a file. crop: top, left, height, width of the frame it reads; white: its white level."""

    crop: tuple[int, ...]
    white: int


def verbose_environment(folder: Path) -> dict[str, str]:
    """An environment in which RawTherapee talks, with settings in `folder` and the user's table of cameras."""
    settings, cache = folder / "settings", folder / "cache"
    for place in (settings, cache):
        place.mkdir(parents=True, exist_ok=True)
    own = host.settings_folder() / "camconst.json"
    if own.is_file():
        shutil.copy(own, settings / own.name)
    (settings / "options").write_bytes(keyfile.with_keys(b"", "General", {"Verbose": "true"}))
    return {**os.environ, "RT_SETTINGS": str(settings), "RT_CACHE": str(cache)}


def look(source: Path) -> Seen | None:
    """What RawTherapee says of the file; None where it is not installed, can't read it or says nothing."""
    try:
        program = host.find_cli()
    except IspError:
        return None
    with tempfile.TemporaryDirectory(prefix="neural-isp-") as name:
        folder = Path(name)
        profile = folder / "probe.pp3"
        profile.write_text(PROFILE)
        command = [program, "-q", "-Y", "-o", str(folder / "out.tif"), "-t", "-b8", "-p", str(profile)]
        try:
            said = subprocess.run(
                [*command, "-c", os.path.abspath(source)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
                env=verbose_environment(folder),
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
    return parse(said)


def parse(said: str) -> Seen | None:
    """The first crop and white level in RawTherapee's verbose output."""
    crop, white = _CROP.search(said), _WHITE.search(said)
    if not crop:
        return None
    left, top, width, height = map(int, crop.groups())
    return Seen((top, left, height, width), int(white[1]) if white else 0)


def host_area(source: Path, report: ResidualReport) -> tuple[int, ...]:
    """The area that RawTherapee uses of this camera's frames, from memory or by asking it; () if it can't be known.

    report: of a residual over the area that the file itself says.
    """
    path = cache_directory() / "rawtherapee.json"
    try:
        release = host.installation()
    except IspError:
        return ()
    sizes = [" ".join(map(str, values)) for values in (report.frame_size, report.host_area)]
    key = "|".join([release, report.make, report.model, source.suffix.lower(), *sizes])
    known = _known(path)
    if key not in known:
        seen = look(source)
        if seen is None:
            return ()
        known = {**_known(path), key: list(seen.crop)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, json.dumps(known, indent=1).encode())
        except (OSError, IspError):
            pass  # asked again next time
    area = tuple(known[key])
    height, width = report.frame_size
    inside = len(area) == 4 and area[0] + area[2] <= height and area[1] + area[3] <= width
    return area if inside else ()


def _known(path: Path) -> Mapping[str, list[int]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
