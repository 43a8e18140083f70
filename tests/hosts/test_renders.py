"""Results render like their sources in LibRaw, darktable and RawTherapee; compared by pixels, never by exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tests.builders import write_cfa_dng
from tests.hosts.conftest import SOURCES, Restore
from tests.hosts.render import HOSTS, TOOLS, psnr
from tests.hosts.sources import scene_frame

pytestmark = [pytest.mark.host, pytest.mark.slow]

BARS = {"libraw": 68.0, "darktable": 90.0, "rawtherapee": 65.0}  # dB, peak 65535
RAWTHERAPEE_WHITE = 16200  # our DNG says 16383, which RawTherapee honours
KNOWN_WARNINGS = ("No IFD", "Nonstandard IFD")


def settings(kind: str, host: str, is_source: bool) -> dict[str, Any]:
    """What a host must be told so that source and result can be compared at all: of an ARW it believes its own tables.

    darktable: white 16300 from its cameras.xml, and no white balance without Sony's encrypted block.
    RawTherapee: white 16200 from its camconst.json.
    """
    if kind != "ARW" or host == "libraw":
        return {}
    if host == "darktable":
        return {"balance": (2.0, 1.0, 1.6), "levels": (512, 16383)}
    scale = (RAWTHERAPEE_WHITE - 512) / (16383 - 512)
    return {"demosaic": "fast", "exposure": scale if is_source else 1.0}


def need(program: str | None) -> None:
    """Skips where a program is not installed."""
    if program and not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def read_plainly(result: Path) -> tuple[NDArray[np.uint16], dict[int, Any]]:
    """Samples and tags of a DNG's full-resolution IFD, by tifffile alone."""
    with tifffile.TiffFile(result) as file:
        pages: list[Any] = [file.pages.first, *(file.pages.first.pages or [])]
        page = next(page for page in pages if page.tags["NewSubfileType"].value == 0)
        return page.asarray(), {tag.code: tag.value for tag in page.tags.values()}


def twin_of(result: Path, kind: str, path: Path) -> Path:
    """The result's samples and levels in the plainest of DNGs: one uncompressed strip by the tests' own writer."""
    samples, tags = read_plainly(result)
    numerator, denominator = tags[50714][:2]
    white = tags[50717]
    frame = scene_frame(kind)
    top, left, bottom, right = tags[50829]
    plain = replace(
        frame,
        mosaic=samples,
        active_area=replace(frame.active_area, top=top, left=left, height=bottom - top, width=right - left),
        black_level=((numerator / denominator,),),
        white_level=(float(white),) * len(frame.white_level),
    )
    return write_cfa_dng(path, plain, metadata=True)  # darktable chooses presets by EXIF


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", SOURCES)
def test_an_identity_renders_like_its_source(kind: str, host: str, restore: Restore, tmp_path: Path) -> None:
    need(TOOLS[host])
    source, result = restore(kind, 0.0)
    before = HOSTS[host](source, tmp_path, **settings(kind, host, True))
    after = HOSTS[host](result, tmp_path, **settings(kind, host, False))
    assert psnr(before, after) >= BARS[host]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["RGGB", "XTRANS", "MONOCHROME"])
def test_a_restored_file_renders_like_its_plainest_twin(kind: str, host: str, restore: Restore, tmp_path: Path) -> None:
    need(TOOLS[host])
    source, result = restore(kind, 1.0)
    twin = twin_of(result, kind, tmp_path / "twin.dng")
    after = HOSTS[host](result, tmp_path)
    assert psnr(HOSTS[host](twin, tmp_path), after) >= BARS[host]

    # closer to the same scene without noise than the source is, and as bright
    clean = HOSTS[host](write_cfa_dng(tmp_path / "clean.dng", scene_frame(kind, noise=None), metadata=True), tmp_path)
    assert psnr(after, clean) > psnr(HOSTS[host](source, tmp_path), clean) + 1.0
    assert np.abs((after.astype(np.float64) - clean).mean(axis=(0, 1))).max() < 0.01 * 65535


@pytest.mark.parametrize("kind", ["RGGB", "ARW", "XTRANS"])
def test_exiftool_finds_every_tag_of_the_source_and_no_fault(kind: str, restore: Restore) -> None:
    need("exiftool")
    source, result = restore(kind, 1.0)
    before, after = exif_tags(source), exif_tags(result)
    lost = {key: value for key, value in before.items() if after.get(key) != value}
    assert not lost
    assert {key for key in before if key.startswith("GPS:")}
    assert "ExifIFD:LensModel" in before
    report = subprocess.run(
        ["exiftool", "-validate", "-warning", "-a", "-s3", str(result)], capture_output=True, text=True, check=False
    ).stdout
    faults = [line for line in report.splitlines()[1:] if not any(known in line for known in KNOWN_WARNINGS)]
    assert not faults, report


def exif_tags(path: Path) -> dict[str, Any]:
    """ExifIFD, GPS, IPTC, XMP and the person's tags of IFD0, as exiftool prints them."""
    groups = ["-ExifIFD:all", "-GPS:all", "-IPTC:all", "-XMP-dc:all", "-XMP-photoshop:all"]
    person = [f"-IFD0:{name}" for name in ("Artist", "Copyright", "ImageDescription", "ModifyDate", "Orientation")]
    camera = ["-IFD0:Make", "-IFD0:Model"]
    command = ["exiftool", "-j", "-G1", "-a", *groups, *person, *camera, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]
    found.pop("SourceFile")
    return found
