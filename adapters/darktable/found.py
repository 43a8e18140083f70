"""The darktable that is installed here: which version, where its modules lie, how it was built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plugin_core.errors import OptionError

__all__ = ["Darktable", "data_home", "find_darktable", "run"]

PRIVATE_NAME = "neural-isp/darktable"  # below the user's data folder


@dataclass(frozen=True)
class Darktable:
    """An installed darktable. modules: the folder with views/ and plugins/; opencl: built with OpenCL."""

    program: Path
    version: str
    modules: Path
    opencl: bool

    @property
    def plugins(self) -> Path:
        """Where it looks for its modules."""
        return self.modules / "plugins"


def data_home() -> Path:
    """$XDG_DATA_HOME, by default ~/.local/share."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")


def run(
    command: list[str], reason: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """What a program printed. Raises OptionError with the last line it said if it fails or is not there."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise OptionError(f"{command[0]}: is not installed", reason) from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower() or line.startswith("E:")]
        said = (errors or lines or ["it said nothing"])[0 if errors else -1]
        raise OptionError(f"{Path(command[0]).name} failed: {said}", reason)
    return done.stdout


def find_darktable() -> Darktable:
    """The darktable on the PATH. Raises OptionError where there is none, or one that takes no module of ours."""
    program = shutil.which("darktable")
    if program is None:
        raise OptionError("darktable is not installed (no `darktable` on the PATH)", "NO_DARKTABLE")
    real = Path(program).resolve()
    if {"snap", "flatpak"} & set(real.parts):
        raise OptionError(
            f"{program}: a Snap or Flatpak takes no module from outside; "
            "use `neural-isp darktable install --lua` there",
            "NO_NATIVE_ROUTE",
        )
    # it leaves with 1 after telling its version
    said = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", check=False).stdout
    found = re.search(r"(?:this is )?darktable (\d+\.\d+\.\d+\S*)", said)
    if found is None:
        raise OptionError(f"{program} --version names no version", "NO_DARKTABLE")
    modules = _modules_folder(real)
    return Darktable(Path(program), found[1], modules, bool(re.search(r"OpenCL(?: support)?\W+(enabled|ON)", said)))


def _modules_folder(program: Path) -> Path:
    """The folder with views/ and plugins/, by the usual layouts beside the program."""
    prefix = program.parent.parent
    for pattern in ("lib/darktable", "lib/*/darktable", "lib64/darktable"):
        for folder in sorted(prefix.glob(pattern)):
            if (folder / "plugins").is_dir() and (folder / "views").is_dir():
                return folder
    raise OptionError(f"{program}: its modules are in no folder like {prefix}/lib/darktable", "NO_DARKTABLE")
