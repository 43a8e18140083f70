"""RawTherapee for tests: a settings folder of its own, and renders that stop before the demosaicing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0  # the machine may be busy
# RawTherapee's neutral values, without demosaicing: what comes out is the raw data.
NEUTRAL = """[Version]
AppVersion=5.9
Version=349
[Color Management]
InputProfile=(camera)
[RAW]
DarkFrameAuto=false
[RAW Bayer]
Method=none
[RAW X-Trans]
Method=none
"""


@dataclass(frozen=True)
class Place:
    """A home folder with RawTherapee's settings and cache; nothing of the user's is touched."""

    home: Path

    @property
    def settings(self) -> Path:
        return self.home / "settings"

    @property
    def neutral(self) -> Path:
        """A profile with neutral values and no demosaicing."""
        return self.home / "neutral.pp3"

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.home), "RT_SETTINGS": str(self.settings), "RT_CACHE": str(self.home / "cache")}
        return {**os.environ, **own, "XDG_CONFIG_HOME": str(self.home / ".config"), "NO_AT_BRIDGE": "1"}

    def isp(self, *arguments: object, **environment: str) -> tuple[int, list[str], str]:
        """`neural-isp rawtherapee` with these arguments: exit code, lines of stdout, stderr."""
        command = [sys.executable, "-m", "plugin_core.cli", "rawtherapee", *map(str, arguments)]
        done = subprocess.run(
            command,
            env={**self.environment, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    def mosaic(self, path: Path, *profiles: Path, sidecar: bool = False) -> tuple[NDArray[np.uint16], str]:
        """The raw data as RawTherapee hands them on, and what it said; with the sidecar's dark frame if asked for."""
        output = self.home / "render.tif"
        output.unlink(missing_ok=True)
        command = ["rawtherapee-cli", "-q", "-Y", "-o", str(output), "-t", "-b16", *(["-S"] if sidecar else [])]
        for profile in (self.neutral, *profiles):
            command += ["-p", str(profile)]
        done = subprocess.run(
            [*command, "-c", str(path)],
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
        assert output.exists(), done.stdout + done.stderr
        return tifffile.imread(output), done.stdout


def make_place(home: Path, options: Mapping[str, str] | None = None) -> Place:
    """A place whose RawTherapee talks. options: more lines by group."""
    place = Place(home)
    for folder in (place.settings, home / "cache"):
        folder.mkdir(parents=True)
    place.neutral.write_text(NEUTRAL)
    groups = {"General": "Verbose=true\nVersion=5.9\n", **(options or {})}
    (place.settings / "options").write_text("\n".join(f"[{name}]\n{lines}" for name, lines in groups.items()))
    return place
