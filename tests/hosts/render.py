"""A RAW file as its readers show it: LibRaw, darktable and RawTherapee with neutral settings, as pixels to compare.

Neither host's exit code is believed: both leave 0 behind black pictures, so a render is a picture or an error.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import rawpy
import tifffile
from numpy.typing import NDArray

__all__ = ["HOSTS", "TOOLS", "RenderError", "psnr", "render_darktable", "render_libraw", "render_rawtherapee"]

UInt16Array = NDArray[np.uint16]
TIMEOUT_S = 240.0
PPG = 0

# One entry of darktable's edit history. Its own demosaic (RCD) differs between two runs near the right edge, PPG does
# not (Bayer only). White balance by fixed factors is for files whose own white balance darktable can't find.
STEP = """<rdf:li darktable:num="{number}" darktable:operation="{operation}" darktable:enabled="1"
 darktable:modversion="{version}" darktable:params="{params}" darktable:multi_name="" darktable:multi_priority="0"
 darktable:blendop_version="11" darktable:blendop_params="gz12eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>"""
EDIT = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:darktable="http://darktable.sf.net/" darktable:xmp_version="5"
 darktable:raw_params="0" darktable:auto_presets_applied="0" darktable:history_end="{count}"
 darktable:iop_order_version="2"><darktable:history><rdf:Seq>{steps}</rdf:Seq></darktable:history>
</rdf:Description></rdf:RDF></x:xmpmeta>
"""

# RawTherapee's best X-Trans demosaic differs between two runs; one pass does not.
NEUTRAL_PP3 = """[Version]
AppVersion=5.9
Version=349
[Color Management]
InputProfile=(camera)
[RAW]
DarkFrameAuto=false
PreExposure={exposure:.9f}
[RAW Bayer]
Method={demosaic}
[RAW X-Trans]
Method=1-pass (medium)
"""


class RenderError(Exception):
    """The host gave no picture; the message holds the end of what it said."""


def psnr(one: NDArray[np.uint16], other: NDArray[np.uint16], border: int = 0) -> float:
    """Peak signal-to-noise ratio of two 16-bit renders in dB, `border` pixels left out all round; inf when equal.

    Raises RenderError where the sizes differ: a host that crops differently has not shown the same picture.
    """
    if one.shape != other.shape:
        raise RenderError(f"renders are {one.shape} and {other.shape}, expected the same size")
    inner = slice(border, -border) if border else slice(None)
    difference = one[inner, inner].astype(np.float64) - other[inner, inner]
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else float(10 * np.log10(65535.0**2 / error))


def run(command: list[str], output: Path, environment: Mapping[str, str] | None = None) -> UInt16Array:
    """What `command` wrote to `output`, (H, W, 3) uint16. Raises RenderError without a picture, or for a flat one."""
    output.unlink(missing_ok=True)  # darktable would write name_01 beside it, RawTherapee would skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
        env=None if environment is None else dict(environment),
    )
    said = (done.stdout + done.stderr).strip()[-600:]
    if not output.exists():
        raise RenderError(f"{command[0]} wrote nothing (exit {done.returncode}): {said}")
    picture: UInt16Array = tifffile.imread(output)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if picture.dtype != np.uint16 or picture[..., :3].std() == 0:
        raise RenderError(f"{command[0]} wrote a flat picture (exit {done.returncode}): {said}")
    return picture[..., :3]


def render_libraw(path: Path, folder: Path) -> UInt16Array:
    """LibRaw's render through rawpy: camera white balance, no automatic brightness, no rotation. folder is not used."""
    del folder
    with rawpy.imread(str(path)) as raw:
        xtrans = raw.raw_pattern is not None and raw.raw_pattern.shape == (6, 6)
        # LibRaw's X-Trans demosaic is a race between threads: two renders of one file are 60 dB apart. Linear is not.
        demosaic = rawpy.DemosaicAlgorithm.LINEAR if xtrans else None
        picture: UInt16Array = raw.postprocess(
            demosaic_algorithm=demosaic, use_camera_wb=True, no_auto_bright=True, output_bps=16, user_flip=0
        ).copy()
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture


def edit_of(bayer: bool, balance: tuple[float, float, float] | None, levels: tuple[int, int] | None) -> str:
    """darktable's sidecar with these steps alone: PPG where `bayer`, white balance R, G, B and levels where given."""
    steps = []
    if levels is not None:
        black, white = levels
        steps.append(("rawprepare", 2, struct.pack("<4i5Hxxi", 0, 0, 0, 0, *(black,) * 4, white, 0)))
    if balance is not None:
        steps.append(("temperature", 3, struct.pack("<4f", *balance, balance[1])))
    if bayer:
        steps.append(("demosaic", 4, struct.pack("<ifiiif", 0, 0.0, 0, PPG, 1, 0.2)))
    entries = [
        STEP.format(number=number, operation=operation, version=version, params=params.hex())
        for number, (operation, version, params) in enumerate(steps)
    ]
    return EDIT.format(count=len(entries), steps="".join(entries))


def render_darktable(
    path: Path,
    folder: Path,
    bayer: bool | None = None,
    balance: tuple[float, float, float] | None = None,
    levels: tuple[int, int] | None = None,
) -> UInt16Array:
    """darktable-cli's render without tone mapping, 16 bit; its settings and database live and die in `folder`.

    bayer: demosaic with PPG, repeatable to the bit; by default where LibRaw says the file is Bayer.
    balance: white-balance factors R, G, B; levels: black and white. Both instead of the file's own.
    """
    if bayer is None:
        with rawpy.imread(str(path)) as raw:
            bayer = raw.raw_pattern is not None and raw.raw_pattern.shape == (2, 2)
    settings = folder / "darktable"
    shutil.rmtree(settings, ignore_errors=True)
    settings.mkdir(parents=True)
    output = folder / f"{path.stem}.darktable.tif"
    command = ["darktable-cli", str(path)]
    if bayer or balance or levels:
        edit = settings / "edit.xmp"  # beside the file as its-stem.xmp darktable would take it for Lightroom's
        edit.write_text(edit_of(bayer, balance, levels))
        command.append(str(edit))
    command += [str(output), "--apply-custom-presets", "false", "--core", "--configdir", str(settings)]
    command += ["--library", ":memory:", "--disable-opencl", "--conf", "plugins/darkroom/workflow=none"]
    command += ["--conf", "plugins/imageio/format/tiff/bpp=16"]
    return run(command, output)


def render_rawtherapee(path: Path, folder: Path, exposure: float = 1.0, demosaic: str = "amaze") -> UInt16Array:
    """rawtherapee-cli's neutral render with the file's own matrix, 16 bit; its settings live in `folder`.

    exposure: factor on the raw values, for a file whose white RawTherapee takes from its own table of cameras.
    demosaic: its name for Bayer; AMaZE, the default, turns differences of one in a million into other edges.
    """
    settings, cache = folder / "rawtherapee", folder / "rawtherapee-cache"
    for place in (settings, cache):
        place.mkdir(parents=True, exist_ok=True)
    profile = folder / "neutral.pp3"
    profile.write_text(NEUTRAL_PP3.format(exposure=exposure, demosaic=demosaic))
    output = folder / f"{path.stem}.rawtherapee.tif"
    command = ["rawtherapee-cli", "-q", "-Y", "-o", str(output), "-t", "-b16", "-p", str(profile)]
    command += ["-c", str(path.resolve())]  # -c must be last, and paths absolute
    environment = {**os.environ, "RT_SETTINGS": str(settings), "RT_CACHE": str(cache)}
    return run(command, output, environment)


TOOLS: dict[str, str | None] = {"libraw": None, "darktable": "darktable-cli", "rawtherapee": "rawtherapee-cli"}
HOSTS: dict[str, Callable[..., UInt16Array]] = {
    "libraw": render_libraw,
    "darktable": render_darktable,
    "rawtherapee": render_rawtherapee,
}
