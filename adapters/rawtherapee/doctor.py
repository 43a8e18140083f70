"""Whether all is well between RawTherapee and us: what is installed and set, and one photograph both ways."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.rawtherapee import host, probe
from adapters.rawtherapee.attach import compute
from adapters.rawtherapee.install import MARK
from adapters.rawtherapee.record import Wish
from adapters.rawtherapee.render import develop
from plugin_core.client.client import Client
from plugin_core.client.values import DenoiseOptions
from plugin_core.errors import IspError

__all__ = ["Finding", "examine", "set_up"]

LEAST_DB = 60.0  # between the photograph with its residual and the restored DNG; a wrong size gives 30 to 40
# Neutral, and without demosaicing, which would make much of small differences at edges.
PROFILE = (
    "[Version]\nAppVersion=5.9\nVersion=349\n[Color Management]\nInputProfile=(camera)\n[RAW]\nDarkFrame={dark}\n"
    "DarkFrameAuto=false\nPreExposure={exposure:.9f}\n[RAW Bayer]\nMethod=none\n[RAW X-Trans]\nMethod=none\n"
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. well: None for what is neither good nor bad."""

    well: bool | None
    text: str


def set_up() -> Iterator[Finding]:
    """What is installed and set, without a photograph."""
    try:
        yield Finding(True, f"RawTherapee {host.version() or 'of unknown version'}: {host.find_cli()}")
    except IspError as error:
        yield Finding(False, error.message)
    builder = host.option("Profiles", "CustomProfileBuilderPath") or ""
    if MARK in builder:
        program = builder.split(" rawtherapee")[0].strip("'\"")
        there = os.access(program, os.X_OK) or " -m " in program
        yield Finding(there, f"photographs are restored on opening ({builder}){'' if there else ': no such program'}")
    else:
        yield Finding(None, "photographs are not restored on opening: neural-isp rawtherapee install")
    if host.option("Profiles", "LoadParamsFromLocation") == "0":
        yield Finding(False, "RawTherapee prefers profiles from its cache to sidecars (Preferences > Image Processing)")
    endings = dict(
        zip(
            (host.option("File Browser", "ParseExtensions") or "").split(";"),
            (host.option("File Browser", "ParseExtensionsEnabled") or "").split(";"),
            strict=False,
        )
    )
    if endings.get("dng", "1") == "0":
        yield Finding(False, "DNG is switched off in RawTherapee's list of endings: no residual would be read")


def examine(client: Client, source: Path) -> Iterator[Finding]:
    """The photograph with its residual against the restored DNG, both developed by this RawTherapee.

    Catches a wrong size, margin, scale or encoding, and false hot pixels, at once. Raises the client's errors, and
    FileFormatError where RawTherapee fails.
    """
    from plugin_core.io.compare import psnr

    source = Path(os.path.abspath(source))
    restored, notes = compute(client, source, Wish())
    yield from (Finding(None, note) for note in notes)
    report = restored.residual
    assert report is not None
    assert restored.dng is not None
    if report.refusal:
        yield Finding(None, f"a restored DNG takes the residual's place: {report.refusal}")
        return
    yield Finding(None, f"residual: {report.encoding}, {report.false_hot_pixels} false hot pixels")
    with tempfile.TemporaryDirectory(prefix="neural-isp-") as name:
        folder = Path(name)
        environment = probe.verbose_environment(folder)

        def developed(what: Path, label: str, dark: str = "", exposure: float = 1.0) -> tuple[Path, str]:
            profile, picture = folder / f"{label}.pp3", folder / f"{label}.tif"
            profile.write_text(PROFILE.format(dark=dark, exposure=exposure))
            return picture, develop(what, picture, [profile], ["-t", "-b16"], source.name, environment)

        residual, reference = folder / "residual.dng", folder / "restored.dng"
        residual.write_bytes(restored.dng)
        client.denoise(source, reference, DenoiseOptions())
        noisy, said = developed(source, "noisy")
        seen = probe.parse(said)
        with_residual, _ = developed(source, "with", str(residual))
        with_dng, _ = developed(reference, "dng", exposure=_exposure(client, source, seen))
        apart, changed = psnr(with_residual, with_dng), psnr(with_residual, noisy)
    yield Finding(changed < float("inf"), f"the residual changes the picture ({changed:.1f} dB)")
    text = f"residual against restored DNG: {apart:.1f} dB, at least {LEAST_DB:g} expected"
    yield Finding(apart >= LEAST_DB, text)


def _exposure(client: Client, source: Path, seen: probe.Seen | None) -> float:
    """What the restored DNG's values must be multiplied with where RawTherapee takes another white for the source."""
    described = client.describe(source)
    if seen is None or not seen.white or not described.white_level or not described.black_level:
        return 1.0
    black, white = min(described.black_level), max(described.white_level)
    return (white - black) / (seen.white - black) if seen.white > black else 1.0
