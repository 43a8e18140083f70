"""Renders photographs by rawtherapee-cli with less noise; nothing is left beside them. A picture or an error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.rawtherapee import host, keyfile
from adapters.rawtherapee.attach import compute
from adapters.rawtherapee.names import is_ours, sidecar_path
from adapters.rawtherapee.record import Wish, read_file
from adapters.rawtherapee.sidecar import AUTO, DARK, GROUP, check_free
from plugin_core.client.client import Client
from plugin_core.client.values import ProgressCallback, Restored
from plugin_core.errors import FileFormatError, IspError, LimitError, OptionError
from plugin_core.io.atomic import atomic_write

__all__ = ["FORMATS", "Rendered", "Style", "develop", "render"]

FORMATS = {".tif": "-t", ".tiff": "-t", ".jpg": "-j", ".jpeg": "-j", ".png": "-n"}
TIMEOUT_S = 1800.0
NO_PROFILE = 253  # rawtherapee-cli's exit codes
UNREADABLE = 254


@dataclass(frozen=True)
class Style:
    """How to develop. profiles: pp3 files, each over the ones before; they lie over the sidecar.

    sidecar: begin with the photograph's own. Without any, the user's default profile is the beginning.
    bits: "8", "16", "16f" or "32"; "": RawTherapee's choice. quality: of JPEG.
    """

    profiles: tuple[Path, ...] = ()
    sidecar: bool = True
    bits: str = ""
    quality: int = 92


@dataclass(frozen=True)
class Rendered:
    """reason: why a restored DNG was developed and not the photograph with its residual; "" for the latter."""

    output: Path
    reason: str
    restored: Restored
    notes: tuple[str, ...]


def render(
    client: Client,
    source: Path,
    output: Path,
    wish: Wish,
    style: Style,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> Rendered:
    """Develops one photograph to `output`, whole or not at all; the format is its ending's.

    force: replace an existing output, and a dark frame of the user's own.
    Raises the client's errors, OptionError, FileFormatError or LimitError where RawTherapee fails.
    """
    source, output = Path(os.path.abspath(source)), Path(os.path.abspath(output))
    if output.suffix.lower() not in FORMATS:
        raise OptionError(f"{output}: pictures end in {', '.join(FORMATS)}", "OUTPUT_KIND")
    if not output.parent.is_dir():
        raise OptionError(f"{output}: no such folder to write to", "OUTPUT_UNWRITABLE")
    if output.exists() and not force:
        raise OptionError(f"{output}: exists already; --force replaces it", "OUTPUT_EXISTS")
    host.find_cli()
    profiles = _profiles(source, style)
    if not force:
        for profile in profiles:
            check_free(profile, read_file(profile))
    restored, notes = compute(client, source, wish, progress)
    assert restored.dng is not None
    assert restored.residual is not None
    with tempfile.TemporaryDirectory(prefix="neural-isp-") as name:
        folder = Path(name)
        made = folder / "residual.dng"
        made.write_bytes(restored.dng)
        reason = restored.residual.refusal
        last = folder / "neural-isp.pp3"
        last.write_bytes(keyfile.with_keys(b"", GROUP, {DARK: "" if reason else str(made), AUTO: "false"}))
        picture = folder / f"picture{output.suffix}"
        arguments = _arguments(output.suffix.lower(), style) + ([] if profiles else ["-d"])
        develop(made if reason else source, picture, [*profiles, last], arguments, source.name)
        with atomic_write(output, overwrite=force) as part:
            shutil.copyfile(picture, part)
    return Rendered(output, reason, restored, notes)


def develop(
    source: Path,
    picture: Path,
    profiles: Iterable[Path],
    arguments: list[str],
    name: str,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs rawtherapee-cli; `picture` is there when this returns what it said.

    Its exit code alone is not believed: it is 0 also where nothing was written.
    """
    command = [host.find_cli(), "-q", "-Y", "-o", str(picture), *arguments]
    for profile in profiles:
        command += ["-p", str(profile)]
    command += ["-c", str(source)]  # must be last
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            env=None if environment is None else dict(environment),
        )
    except subprocess.TimeoutExpired as error:
        raise LimitError(f"{name}: RawTherapee was not done after {TIMEOUT_S:.0f} s", "HOST_TIMEOUT") from error
    if done.returncode or not picture.is_file() or not picture.stat().st_size:
        raise _failure(name, done.returncode, done.stderr or done.stdout)
    return done.stdout


def _failure(name: str, code: int, said: str) -> IspError:
    line = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "it said nothing")
    if code == NO_PROFILE:
        return OptionError(f"{name}: RawTherapee can't read a profile ({line})", "HOST_PROFILE")
    if code == UNREADABLE:
        return FileFormatError(f"{name}: RawTherapee can't read it ({line})", "HOST_UNREADABLE")
    if code < 0:
        return FileFormatError(f"{name}: RawTherapee crashed ({signal.Signals(-code).name})", "HOST_CRASHED")
    return FileFormatError(f"{name}: RawTherapee wrote no picture (exit code {code}: {line})", "HOST_NO_PICTURE")


def _profiles(source: Path, style: Style) -> list[Path]:
    """The sidecar, where there is one and it is wanted, then the given ones, by absolute paths."""
    if is_ours(source.name):
        raise OptionError(f"{source}: is a result of neural-isp, not a photograph to restore", "INPUT_IS_RESULT")
    own = sidecar_path(source)
    found = [own] if style.sidecar and own.is_file() else []
    for profile in style.profiles:
        if not profile.is_file():
            raise OptionError(f"{profile}: no such profile", "INPUT_NOT_FOUND")
        found.append(Path(os.path.abspath(profile)))
    return found


def _arguments(suffix: str, style: Style) -> list[str]:
    kind = FORMATS[suffix]
    return [f"-j{style.quality}" if kind == "-j" else kind, *([f"-b{style.bits}"] if style.bits else [])]
