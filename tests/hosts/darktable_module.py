"""The native darktable module as a user installs it, and renders through it as darktable-cli makes them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.hosts.render import EDIT, STEP

__all__ = ["InstalledModule", "Render", "Weights", "decibels", "edit_of", "environment_of", "run_command"]

FloatArray = NDArray[np.float32]
ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0
PPG, MOSAIC, MOSAIC_XTRANS = 0, 3, 1024 + 3  # darktable's demosaic methods; MOSAIC shows the mosaic as it is
CLIP_HIGHLIGHTS, INPAINT_OPPOSED = 0, 5


class Weights(NamedTuple):
    """The module's sliders and model (0 standard, 1 fast, 2 fine)."""

    strength: float = 1.0
    luma: float = 1.0
    chroma: float = 1.0
    model: int = 0


@dataclass(frozen=True)
class Render:
    """One run of darktable-cli. picture None: it wrote none."""

    picture: FloatArray | None
    exit_code: int
    said: str

    @property
    def warnings(self) -> list[str]:
        """What the module said."""
        return [line for line in self.said.splitlines() if line.startswith("[neural isp]")]


def edit_of(weights: Weights | None, on: bool = True, demosaic: int | None = MOSAIC) -> str:
    """A sidecar: our module (None: not in it), and what makes renders repeatable to the bit.

    demosaic MOSAIC: nothing else acts on the mosaic, no white balance, no highlights; so renders are the mosaic itself.
    None: darktable's own choice. The highlights' method is given: by default it depends on what else was edited.
    """
    steps: list[tuple[str, int, bytes, bool]] = []
    bare = demosaic in (MOSAIC, MOSAIC_XTRANS)
    highlights = struct.pack("<i5f2i2fif", INPAINT_OPPOSED, 1, 0, 0, 1, 0, 1, 5, 0.4, 2, 0, 0)
    steps.append(("highlights", 4, highlights, not bare))
    if bare:
        steps.append(("temperature", 3, struct.pack("<4f", 1, 1, 1, 1), True))
    if demosaic is not None:
        steps.append(("demosaic", 4, struct.pack("<ifiiif", 0, 0.0, 0, demosaic, 1, 0.2), True))
    if weights is not None:
        steps.append(("neuralisp", 1, struct.pack("<i3f", weights.model, *weights[:3]), on))
    entries = [
        STEP.format(number=number, operation=operation, version=version, params=params.hex()).replace(
            'enabled="1"', f'enabled="{int(enabled)}"'
        )
        for number, (operation, version, params, enabled) in enumerate(steps)
    ]
    return EDIT.format(count=len(entries), steps="".join(entries))


def environment_of(home: Path) -> dict[str, str]:
    """For a program that takes `home` for the user's."""
    kept = {name: value for name, value in os.environ.items() if name not in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    return {**kept, "HOME": str(home)}


@dataclass(frozen=True)
class InstalledModule:
    """What `neural-isp darktable install` has put into an empty home. source: darktable's source tree, for more."""

    home: Path
    source: Path

    @property
    def launcher(self) -> Path:
        """Starts darktable with the module."""
        return self.home / ".local/bin/darktable-neural-isp"

    @property
    def cli_launcher(self) -> Path:
        """Starts darktable-cli with the module."""
        return self.home / ".local/bin/darktable-cli-neural-isp"

    def render(
        self, image: Path, edit: str, folder: Path, *options: str, core: tuple[str, ...] = (), **env: str
    ) -> Render:
        """darktable-cli's linear float render of `image` with the sidecar's text `edit`."""
        settings = folder / "darktable"
        shutil.rmtree(settings, ignore_errors=True)
        settings.mkdir(parents=True)
        sidecar, output = settings / "edit.xmp", folder / "render.pfm"
        sidecar.write_text(edit)
        output.unlink(missing_ok=True)
        command = [str(self.cli_launcher), str(image), str(sidecar), str(output), "--apply-custom-presets", "false"]
        command += ["--icc-type", "LIN_REC709", *options]
        command += ["--core", "--configdir", str(settings), "--library", ":memory:", "--disable-opencl"]
        command += ["--conf", "plugins/darkroom/workflow=none", *core]
        environment = {**environment_of(self.home), **env}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
        picture = _read_pfm(output) if output.exists() else None
        return Render(picture, done.returncode, done.stdout + done.stderr)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `neural-isp darktable ...` in this home."""
        return run_command(self.home, *arguments)


def run_command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `neural-isp darktable ...` with `home` for the user's."""
    return subprocess.run(
        [sys.executable, "-m", "plugin_core.cli", "darktable", *arguments],
        cwd=ROOT,
        env=environment_of(home),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def decibels(one: FloatArray | None, other: FloatArray | None) -> float:
    """Peak signal-to-noise ratio, peak 1; inf when equal."""
    assert one is not None, "a render is missing"
    assert other is not None, "a render is missing"
    assert one.shape == other.shape
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _read_pfm(path: Path) -> FloatArray:
    with path.open("rb") as stream:
        assert stream.readline() == b"PF\n"
        width, height = map(int, stream.readline().split())
        stream.readline()
        return np.frombuffer(stream.read(), "<f4").reshape(height, width, 3)[::-1]
