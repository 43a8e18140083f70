"""Noise by camera and ISO: the facts that ship (cameras.json), and darktable's own table where it is installed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from plugin_core.frame import NoiseProfile, NoiseSource

__all__ = ["DARKTABLE_TABLE", "default_read_variance", "interpolate", "lookup"]

DARKTABLE_TABLE = Path("/usr/share/darktable/noiseprofiles.json")

# darktable's `a` is not the slope of raw variance: its profiling works on a compressed signal, and a_r, a_b hold the
# white balance of the profiling shot. Measured against raw files, slope / a_g was 8 .. 9 (two cameras) and lies between
# 8.3 and 13 by full wells. Its b is no read noise (one row in nine has b_g < 0) and is not used.
DARKTABLE_SCALE = 10.0
DARKTABLE_CONFIDENCE = 0.3

REACH_STOPS = 1.0  # beyond the first and last ISO of a camera; there a follows the gain
CORPORATE = re.compile(r"\b(CORPORATION|CORP|CO|LTD|INC|OPTICAL|IMAGING|CAMERA|COMPANY|EASTMAN|ELECTRONICS|AG)\b")


@dataclass(frozen=True)
class Point:
    """One ISO of one camera; b None where it is not known."""

    iso: float
    a: float
    b: float | None


@dataclass(frozen=True)
class Camera:
    """The points of one camera by rising ISO, and where they come from."""

    points: tuple[Point, ...]
    source: str
    confidence: float


def lookup(
    make: str, model: str, iso: float | None, plane_count: int, darktable: Path = DARKTABLE_TABLE
) -> NoiseProfile | None:
    """The table's profile of a camera at an ISO, for `plane_count` planes; None if it knows nothing near that.

    The table that ships is asked first, then darktable's noiseprofiles.json, which is read where the user has it and
    never copied. Between two ISOs a and b are interpolated in log-log; at most one stop beyond the ends.
    """
    if iso is None or not math.isfinite(iso) or iso <= 0 or not model.strip():
        return None
    key = camera_key(make, model)
    for camera in (shipped().get(key), from_darktable(darktable).get(key)):
        found = interpolate(camera.points, iso) if camera is not None else None
        if camera is not None and found is not None:
            a, b = found
            return NoiseProfile(
                a=(a,) * plane_count,
                b=(b,) * plane_count,
                source=NoiseSource.TABLE,
                confidence=camera.confidence,
                detail=f"{model.strip()} at ISO {iso:g}: {camera.source}",
            )
    return None


def default_read_variance(a: float) -> float:
    """b where only a is known: 5 electrons^2, and 2 DN of 14 bits for the converter, as the cameras that ship."""
    return 5.0 * a * a + (2.0 / 16383.0) ** 2


def interpolate(points: tuple[Point, ...], iso: float) -> tuple[float, float] | None:
    """(a, b) at an ISO from points by rising ISO, log-log; None more than REACH_STOPS outside of them."""
    first, last = points[0], points[-1]
    if not first.iso * 2**-REACH_STOPS <= iso <= last.iso * 2**REACH_STOPS:
        return None
    if iso <= first.iso or iso >= last.iso:
        end = first if iso <= first.iso else last
        gain = iso / end.iso
        a = end.a * gain
        # the converter's noise stays, the sensor's grows with the gain squared: the middle way
        b = end.b * gain if end.b is not None else default_read_variance(a)
        return a, b
    upper = next(i for i, point in enumerate(points) if point.iso >= iso)
    low, high = points[upper - 1], points[upper]
    share = math.log(iso / low.iso) / math.log(high.iso / low.iso)
    a = log_mix(low.a, high.a, share)
    b = log_mix(low.b, high.b, share) if low.b and high.b else default_read_variance(a)
    return a, b


def log_mix(low: float, high: float, share: float) -> float:
    """Between two positive numbers, straight in the logarithm."""
    return math.exp((1 - share) * math.log(low) + share * math.log(high))


def camera_key(make: str, model: str) -> str:
    """One spelling per camera: letters and digits of maker and model, without the maker repeated or its legal form.

    "NIKON CORPORATION", "NIKON D850" and darktable's "Nikon", "D850" become "NIKON D850".
    """
    maker = CORPORATE.sub(" ", re.sub(r"[^A-Z0-9]+", " ", make.upper())).split()
    words = re.sub(r"[^A-Z0-9]+", " ", model.upper()).split()
    brand = maker[0] if maker else ""
    if words and brand and words[0] == brand:
        words = words[1:]
    return f"{brand} {''.join(words)}".strip()


@lru_cache(maxsize=1)
def shipped() -> dict[str, Camera]:
    """The cameras of cameras.json by `camera_key`."""
    text = resources.files("plugin_core.noise").joinpath("cameras.json").read_text(encoding="utf-8")
    found = {}
    for entry in json.loads(text)["cameras"]:
        points = tuple(Point(*row) for row in entry["points"])
        camera = Camera(points, entry["source"], entry["confidence"])
        found.update({camera_key(entry["make"], model): camera for model in entry["models"]})
    return found


@lru_cache(maxsize=4)
def from_darktable(path: Path) -> dict[str, Camera]:
    """The cameras of darktable's noiseprofiles.json by `camera_key`; empty if it is missing or in another form."""
    try:
        makers = json.loads(path.read_text(encoding="utf-8"))["noiseprofiles"]
        return {
            camera_key(maker["maker"], model["model"]): camera
            for maker in makers
            for model in maker["models"]
            if (camera := darktable_camera(model)) is not None
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}  # the user's file, of a version we don't know: no table is no error


def darktable_camera(model: dict[str, Any]) -> Camera | None:
    """One model of darktable's table: a from a_g alone, b unknown."""
    rows = {float(p["iso"]): float(p["a"][1]) * DARKTABLE_SCALE for p in model["profiles"] if float(p["a"][1]) > 0}
    points = tuple(Point(iso, a, None) for iso, a in sorted(rows.items()) if iso > 0)
    source = f"darktable's green a times {DARKTABLE_SCALE:g} (8.3 to 13), read noise not taken from it"
    return Camera(points, source, DARKTABLE_CONFIDENCE) if points else None
